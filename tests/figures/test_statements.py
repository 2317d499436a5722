"""Every installed figure states itself what it shows and which study it needs."""

import pytest

from simbench.study.figures import find, names

COMMANDS = ("simbench run", "simbench check", "simbench repro", "python benchmarks/throughput.py")


@pytest.mark.parametrize("name", names())
def test_it_says_what_it_shows_and_which_study_it_needs(name):
    figure = find(name)
    assert figure.shows[:1].isupper() and figure.shows.endswith(".") and figure.shows.count(". ") == 0
    assert any(command in figure.needs for command in COMMANDS), "a reader can copy the command"
    assert "--out DIR" in figure.needs
    assert isinstance(figure.module.STEPS, tuple) and all(isinstance(step, str) for step in figure.steps)


@pytest.mark.parametrize("name", names())
def test_the_first_line_of_its_documentation_is_a_sentence(name):
    first = (find(name).module.__doc__ or "").splitlines()[0]
    assert first[:1].isupper() and first.endswith(".")
    assert ":" not in first, "a sentence with a verb, not a heading"


def test_no_two_figures_say_the_same():
    assert len({find(name).shows for name in names()}) == len(names())
