"""Progress in a pipe: a line for each cell, lines for what takes long besides, and the time that is left."""

import pytest

from simbench.cli import progress as module
from simbench.cli.progress import CellProgress
from simbench.study.cell import Outcome
from simbench.study.config import StudyConfig, cells_of

CELLS = cells_of(StudyConfig(estimators=("naive", "oracle", "ips", "upu")))


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_is_that_of_cells_of_this_run(clock, capsys):
    with CellProgress("a heading") as progress:
        progress.phase("reading finished cells", 0, 4)
        clock[0] += 5
        progress.phase("cells", 1, 4)
        for done, seconds in ((1, 0), (2, 3), (3, 5), (4, 1)):
            clock[0] += seconds
            progress(Outcome(CELLS[done - 1], "ok", "", 2.0), done, 4)
    heading, first, *rest = capsys.readouterr().err.splitlines()
    assert heading == "a heading" and first == "[1/4] exclusive, bias level 0.8: naive: ok, 2.0 s"
    assert [line.split("ok, ")[1] for line in rest] == ["2.0 s, 6.0 s left", "2.0 s, 4.0 s left", "2.0 s"]


def test_a_phase_is_told_when_it_takes_long_and_counts_its_own_time(clock, capsys):
    with CellProgress() as progress:
        clock[0] += 9
        progress.phase("checking worlds", 0, 1000)
        assert capsys.readouterr().err == ""
        clock[0] += 10
        progress.phase("checking worlds", 250, 1000)
        progress.phase("checking worlds", 251, 1000)
        assert capsys.readouterr().err == "checking worlds: 250 of 1,000, 30 s left\n"
        clock[0] += 10
        progress.phase("policies", 0, 12)
        assert capsys.readouterr().err == "policies: 0 of 12\n"
