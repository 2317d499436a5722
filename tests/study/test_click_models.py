"""Click models in a study: run where the world logs what they read, skipped elsewhere, told and annotated."""

import pytest

import simbench as sb
from simbench.estimator.registry import find
from simbench.study.cell import Cell, fit_cell, missing
from simbench.study.conformance import examine
from simbench.study.trap import world_for
from simbench.worlds.presets import PRESETS

BEHAVIOURS = {"pbm": "page", "cascade-mle": "cascade", "regenerate-mle": "regenerate"}


def cell_of(name, **changes):
    return Cell(
        world=PRESETS["exclusive"].changed(test_size=100, **changes),
        bias_level=0.8,
        size=200,
        estimator=name,
        parameters={"epochs": 2},
        replicates=2,
        seed=0,
        grant=(),
        label_share=0.1,
        device="cpu",
    )


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_what_it_reads_is_granted_by_the_world(name):
    kind = find(name)
    assert missing(cell_of(name, behaviour=BEHAVIOURS[name]), kind) == []
    assert missing(cell_of(name), kind) == sorted(kind.needs)
    predictions, facts = fit_cell(cell_of(name, behaviour=BEHAVIOURS[name]), kind)
    assert predictions.shape == (2, 100)
    told = {"pbm": "pages", "cascade-mle": "pages", "regenerate-mle": "context, 2 signals, attempts, pages"}
    assert facts["knows"] == told[name]


def test_pages_without_attempts_are_not_enough_for_a_chat():
    assert missing(cell_of("regenerate-mle", behaviour="cascade"), find("regenerate-mle")) == [
        "attempts",
        "signals",
    ]


def test_the_kit_gives_each_a_world_that_it_can_read():
    for name in ("pbm", "cascade-mle"):
        assert world_for(find(name), signals=1).behaviour.kind == "page"
    assert world_for(find("regenerate-mle"), signals=2).behaviour.kind == "regenerate"
    assert world_for(find("naive"), signals=2).behaviour.kind == "logit"


@pytest.mark.slow
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_it_conforms(name):
    assert [finding for finding in examine(find(name), name, 400) if not finding.passed] == []


def test_the_level_is_the_position_based_models_to_doubt_and_not_the_chats():
    def notes(behaviour, name):
        who = ("oracle", "naive", name)
        found = sb.run(
            worlds=[PRESETS["exclusive"].changed(behaviour=behaviour, test_size=100)],
            bias_levels=[0.0],
            sizes=[200],
            replicates=2,
            estimators=list(who),
            parameters={one: {"epochs": 2} for one in who},
        )
        return [note for note in found.notes if name in note and "IDENTIFIED" in note]

    (note,) = notes("page", "pbm")
    assert "LEVEL of the reward is NOT IDENTIFIED" in note and "read the same features" not in note
    assert notes("regenerate", "regenerate-mle") == []
