"""Behaviours from outside act as in this process, bit for bit, and end no study."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from simbench import PointwiseBehaviour
from simbench.errors import BadInput
from simbench.study.behaviour_kit import examine_behaviour
from simbench.study.cell import run_cell
from simbench.study.config import validate_worlds
from simbench.study.file import study_from
from simbench.study.guests.acting import PROBABILITIES
from simbench.study.guests.behaviours import GuestBehaviour, behaviours_as_guests
from simbench.study.guests.process import limited
from simbench.study.shards import Shards
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

HERE = Path(__file__).parent
WORLD = PRESETS["exclusive"].changed(test_size=100)


def name(of: str) -> str:
    return f"{HERE / 'acting'}.py:{of}"


def inside(kind: str, channel=None, **settings):
    return WORLD.changed(behaviour={"kind": name(kind), **settings}, channel=channel or {})


@behaviours_as_guests()
def world(kind: str, channel=None, **settings):
    return inside(kind, channel, **settings)


@pytest.mark.parametrize(
    ("kind", "settings", "channel"),
    [
        ("Steep", {"weight": 2.0, "features": [0, 3]}, {"signals": 2, "misclick": 0.1, "always_share": 0.05}),
        ("Patient", {}, {}),
        ("Lawful", {}, {}),
        ("Starred", {"capped": False}, {}),
    ],
)
def test_it_acts_as_in_this_process_bit_for_bit(kind, settings, channel):
    theirs, own = (how(kind, channel, **settings) for how in (world, inside))
    assert isinstance(theirs.behaviour, GuestBehaviour) and not isinstance(own.behaviour, GuestBehaviour)
    assert theirs.model_dump_json() == own.model_dump_json()  # and so the keys of cells
    for attribute in ("keeps_rate", "logs", "reads_trait", "reads_reward", "scar_at_0", "composes"):
        assert getattr(theirs.behaviour, attribute) == getattr(own.behaviour, attribute)
    assert hasattr(theirs.behaviour, "kappa") == hasattr(own.behaviour, "kappa") == (kind == "Starred")
    assert theirs.signal_names == own.signal_names and hash(theirs)
    one, other = (build(config, 0.8, 120, 3) for config in (theirs, own))
    for attribute in (*PROBABILITIES, "shown_probability"):
        np.testing.assert_array_equal(getattr(one.train.law, attribute), getattr(other.train.law, attribute))
    assert one.train.law.is_one_click == other.train.law.is_one_click
    assert one.train.law.action_correlation() == other.train.law.action_correlation()
    for drawn, expected in zip(one.draw(range(3)), other.draw(range(3)), strict=True):
        for field in ("feedback", "signals", "shown", "preference", "propensity"):
            values, right = getattr(drawn, field, None), getattr(expected, field, None)
            assert (values is None) == (right is None)
            if values is not None:
                np.testing.assert_array_equal(values, right)
    rows = np.arange(4)
    for field in ("signals", "shown", "probability"):
        found, right = (getattr(there.train.law.outcomes(rows), field) for there in (one, other))
        np.testing.assert_array_equal(found, right)


def test_a_generator_goes_on_where_the_law_left_it():
    laws = [build(how("Lawful"), 1.0, 120, 3).train.law for how in (world, inside)]
    rngs = [np.random.default_rng(5) for _ in laws]
    for law, rng in zip(laws, rngs, strict=True):
        law.draw(rng)
    assert rngs[0].random() == rngs[1].random()


def test_settings_are_checked_by_the_behaviour_itself():
    with pytest.raises(BadInput, match=r"weight: Input should be a valid number.*'two'"):
        world("Steep", weight="two")
    with pytest.raises(BadInput, match="wait: Extra inputs are not permitted"):
        world("Steep", wait=2)
    steep: Any = world("Steep", weight="2").behaviour
    assert steep.weight == 2.0
    with pytest.raises(BadInput, match=r"is not a subclass of simbench\.Behaviour"):
        world("np")
    theirs: Any = world("Starred").behaviour
    own: Any = inside("Starred").behaviour
    assert theirs.kappa(0.3) == own.kappa(0.3) == 0.7
    with pytest.raises(BadInput, match="has a setting 'asked', which means something else"):
        world("Shadowing")
    with pytest.raises(ValidationError):
        steep.weight = 3.0


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Exits", r"it ended its process \(exit code 0\)"),
        ("Leaves", "SystemExit: 0"),
        ("Crashes", r"it ended its process \(killed by SIGSEGV\)"),
        ("Hangs", "it took longer than --timeout allows"),
        ("Raises", r"ValueError: \[red\]no\[/red\] \[/\]"),
        ("Unsure", "its propensity is not a probability on 120 rows"),
        ("Short", r"its propensity has shape \(3,\), not \(120,\)"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends with the process that serves it")
def test_what_ends_badly_is_one_sentence_before_anything_runs(kind, said, cell_of):
    cell = cell_of("naive", world=world(kind), size=120, timeout=1.0)
    with pytest.raises(BadInput, match=f"^the behaviour '.*{kind}' fails in the world .*: {said}"):
        validate_worlds([cell])


def test_what_a_behaviour_refuses_is_said_in_its_words():
    with pytest.raises(BadInput, match=r"^the level is too low for my users\.$"):
        build(world("Refuses"), 1.0, 120, 3)


def test_it_may_print_and_is_shown_a_little(capfd):
    assert build(world("Loud"), 1.0, 120, 3).train.propensity.shape == (120,)
    shown = capfd.readouterr().err
    assert len(shown) < 200_000 and "Loud] x" in shown and "more bytes" in shown


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exits", r"it ended its process (exit code 0)"),
        ("short", "it drew preference of shape (3,), not (120,)"),
    ],
)
def test_one_that_cannot_draw_fails_its_cells_alone(how, said, cell_of, tmp_path):
    cell = cell_of("naive", world=world("Unlawful", how=how), size=120)
    validate_worlds([cell])
    outcome = run_cell(cell, Shards(tmp_path))
    assert (outcome.status, outcome.reason) == ("failed", f"its behaviour fails: {said}")


def test_a_cell_travels_without_its_code(cell_of):
    cell = cell_of("naive", world=world("Steep", features=[1, 2]))
    there = pickle.loads(pickle.dumps(cell))
    assert there == cell and there.key == cell.key and isinstance(there.world.behaviour, GuestBehaviour)


def test_a_study_never_imports_it(tmp_path):
    path = tmp_path / "marked.py"
    path.write_text((HERE / "acting.py").read_text() + "\nimport pathlib\npathlib.Path('met').touch()\n")
    raw = {"preset": "exclusive", "behaviour": {"kind": f"{path}:Steep"}}
    config = study_from({"worlds": [raw], "estimators": ["naive"]})
    again = type(config).model_validate(json.loads(config.model_dump_json()))
    assert again == config and isinstance(config.worlds[0].behaviour, GuestBehaviour)
    assert not Path("met").exists() and not any("marked" in module for module in sys.modules)


def test_a_class_of_this_very_program_stays_in_its_process(monkeypatch):
    class Own(PointwiseBehaviour):
        """Users of a notebook."""

        def propensity(self, scene, bias_level, action_rate, signal):
            return np.full(scene.n_rows, action_rate)

    Own.__module__, Own.__qualname__ = "__main__", "Own"
    monkeypatch.setattr(sys.modules["__main__"], "Own", Own, raising=False)
    config = study_from({"worlds": [WORLD.changed(behaviour=Own())], "estimators": ["naive"]})
    assert type(config.worlds[0].behaviour) is Own
    with pytest.raises(BadInput, match="cannot be imported"):
        study_from({"worlds": [{"behaviour": "no_such_module:Own"}]})


def test_the_kit_ends_where_nothing_works():
    with limited(1.0):
        (finding,) = examine_behaviour(name("Hangs"))
    assert not finding.passed and "longer than --timeout allows" in finding.detail
    assert "ZeroDivisionError" not in finding.detail
