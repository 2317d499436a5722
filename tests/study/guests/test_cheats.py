"""Whoever looks for the truth in a study finds none: its predictions are those of an honest estimator."""

import os
import sys

import numpy as np
import pytest

from simbench.estimator import registry
from simbench.score import moments
from simbench.study.cell import fit_cell, run_cell
from simbench.study.guests import linux
from simbench.study.shards import Shards

SEEING = ["Frames", "Traceback", "Threads", "Collector", "Rebuilds"]
READING = ["Shards", "Environment"]
OF_PROCESSES = ["Ancestors", "Descriptors", "Memory"]


@pytest.fixture
def study(cell_of, tmp_path, monkeypatch):
    """A study whose oracle has run, in a folder that its process works in and its environment names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESULTS", str(tmp_path / "out"))
    shards = Shards(tmp_path / "out" / "shards")
    assert run_cell(cell_of("oracle"), shards).status == "ok"
    return shards


def of_seed(cell, seed):
    """The cell of an estimator that is told the study's seed, as one of the bench's own is."""
    return cell.model_copy(update={"parameters": {**cell.parameters, "seed": seed}})


@pytest.mark.parametrize("name", SEEING + READING)
def test_where_the_truth_is_in_reach_it_is_found(name, study, guest, cell_of):
    """The same code in the study's own process: what the tests below would not see if it did not work."""
    cell = of_seed(cell_of(guest(name, "cheats")), 0)
    honest = of_seed(cell_of(guest("Honest", "cheats")), 0)
    found = fit_cell(cell, registry.find(cell.estimator))[0]
    assert not np.allclose(found, fit_cell(honest, registry.find(honest.estimator))[0], atol=0.01)


@pytest.mark.parametrize("name", [*SEEING, *READING, *OF_PROCESSES, "Patches", "Carries"])
def test_no_cheat_gains_in_a_study(name, study, guest, cell_of):
    if name in OF_PROCESSES and not (sys.platform == "linux" and linux.confines()):
        pytest.skip("this system confines no process: a stated limit")
    against = moments.against_oracle
    for labels in [("labels",), ()] if name == "Carries" else [()]:
        cell = cell_of(guest(name, "cheats"), grant=labels)
        outcome = run_cell(cell, study)
        assert outcome.status == "ok", outcome.reason
    honest = run_cell(cell_of(guest("Honest", "cheats")), study)
    found, expected = (study.read(one.cell.key)[0] for one in (outcome, honest))
    assert np.array_equal(found, expected) and np.ptp(expected) > 0
    assert moments.against_oracle is against


def test_a_descriptor_that_the_study_holds_is_not_the_guests(study, guest, cell_of):
    folder = os.open(study.folder.local, os.O_RDONLY)
    os.set_inheritable(folder, True)
    try:
        cell = cell_of(guest("Descriptors", "cheats"))
        honest = cell_of(guest("Honest", "cheats"))
        found, expected = (study.read(run_cell(one, study).cell.key)[0] for one in (cell, honest))
        assert np.array_equal(found, expected)
    finally:
        os.close(folder)
