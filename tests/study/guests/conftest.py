"""Cells of estimators from outside, small enough for tests."""

from pathlib import Path

import pytest

from simbench.estimator import registry
from simbench.study.cell import Cell, fit_cell
from simbench.study.guests import kinds
from simbench.worlds.presets import PRESETS

HERE = Path(__file__).parent
WORLD = PRESETS["exclusive"].changed(test_size=100)


@pytest.fixture(scope="session")
def guest():
    """The name of a class among the guests."""
    return lambda name, file="guests": f"{HERE / file}.py:{name}"


@pytest.fixture(scope="session")
def cell_of():
    """A small cell of an estimator, in which it is told the same seed wherever it runs."""

    def cell_of(name, **changes):
        own = {"epochs": 2, "seed": kinds.seed_for_guests(0), **changes.pop("parameters", {})}
        there = kinds.find(name)().get_params()
        settings = {
            "world": WORLD,
            "bias_level": 0.8,
            "size": 200,
            "estimator": name,
            "parameters": {key: value for key, value in own.items() if key in there},
            "replicates": 3,
            "seed": 0,
            "grant": (),
            "label_share": 0.2,
            "device": "cpu",
        }
        return Cell(**{**settings, **changes})

    return cell_of


@pytest.fixture(scope="session")
def both(cell_of):
    """What a cell gives in the guest's process, and in this one."""

    def both(cell):
        return [fit_cell(cell, find(cell.estimator)) for find in (kinds.find, registry.find)]

    return both
