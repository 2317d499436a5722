"""Facts are of replicates: those of a few are a prefix of those of many, and more can be added."""

import importlib.metadata

import pytest

from simbench import __version__
from simbench.study import facts


def told(replicates, seconds, start=0, **changes):
    numbers = [float(start + number) for number in range(replicates)]
    part = {**facts.made(replicates, seconds), **changes}
    return {
        "knows": "propensity", "weights": {"largest_weight": numbers}, "restarts": {"spread": numbers[::-1]},
        "settings": list(range(start, start + replicates)), "parts": [part],
    }  # fmt: skip


def test_more_replicates_stand_behind_the_first():
    old, new = told(2, 3.0), told(3, 6.0, 2)
    both = facts.joined(old, new)
    assert facts.checked(both, 5) is both
    assert both["weights"]["largest_weight"] == [0, 1, 2, 3, 4] == both["settings"]
    assert both["restarts"]["spread"] == [1, 0, 4, 3, 2] and both["knows"] == "propensity"
    assert [part["replicates"] for part in both["parts"]] == [2, 3] and facts.seconds(both) == 9.0


def test_the_first_replicates_are_what_they_were_before_more_came():
    both = facts.joined(told(2, 3.0), told(3, 6.0, 2))
    assert facts.first(both, 2) == told(2, 3.0) and facts.first(both, 5) == both
    four = facts.first(both, 4)
    assert four["settings"] == [0, 1, 2, 3] and facts.checked(four, 4)
    assert facts.seconds(four) == pytest.approx(3.0 + 6.0 * 2 / 3)  # shared equally
    assert facts.seconds(facts.first(both, 1)) == 1.5


def test_means_are_over_replicates():
    assert facts.means(told(4, 1.0)) == {"largest_weight": 1.5, "spread": 1.5}
    assert facts.means({"knows": "nothing"}) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"weights": {"largest_weight": 1.5}}, "its weights are not those of 2"),
        ({"restarts": {"spread": [1.0]}}, "its restarts are not those of 2"),
        ({"weights": [1.0, 2.0]}, "its weights are not those of 2"),
        ({"settings": [0]}, "its settings are not those of 2"),
        ({"parts": [{"replicates": 3}]}, "its parts are not of 2"),
    ],
)
def test_facts_of_another_form_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        facts.checked({**told(2, 1.0), **wrong}, 2)
    with pytest.raises(ValueError, match="no mapping"):
        facts.checked([1.0, 2.0], 2)


def test_replicates_that_were_told_or_say_other_things_are_not_added():
    for other, said in (
        ({"knows": "truth"}, "more replicates were told 'truth', the first 'propensity'"),
        ({"weights": {}}, "other weights than the first"),
        ({"restarts": {"agreement": [1.0]}}, "other restarts than the first"),
    ):
        with pytest.raises(ValueError, match=said):
            facts.joined(told(2, 1.0), {**told(1, 1.0), **other})


def test_what_they_were_made_with_is_said_once_for_each_set_of_versions():
    own = {name: importlib.metadata.version(name) for name in ("torch", "numpy")}
    usual = f"simbench {__version__}, torch {own['torch']}, numpy {own['numpy']}"
    assert facts.stacks(facts.joined(told(1, 1.0), told(1, 1.0))) == {usual}
    older = facts.joined(told(1, 1.0), told(1, 1.0, torch="1.0"))
    assert facts.stacks(older) == {usual, f"simbench {__version__}, torch 1.0, numpy {own['numpy']}"}
    assert facts.stacks(facts.first(older, 1)) == {usual}
