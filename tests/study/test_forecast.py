"""A dry run: what it says against what then happens."""

import json
import time

import pytest

from simbench.cli import main
from simbench.estimator.registry import find
from simbench.files.location import Location
from simbench.study.cell import fit_cell
from simbench.study.config import StudyConfig
from simbench.study.forecast import Span, forecast
from simbench.study.run import run
from simbench.study.shards import Shards
from simbench.training.threads import fixed_threads
from simbench.worlds.presets import PRESETS

WORLD = PRESETS["exclusive"].changed(test_size=500)


def study(**changes):
    given = {"worlds": (WORLD,), "sizes": (2000,), "replicates": 64, "estimators": ("naive", "implicitrm")}
    return StudyConfig(**{**given, **changes})


def size_on_disk(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_time_and_bytes_are_near_what_the_study_then_takes(tmp_path):
    """Within a factor of 2.5 in processor time; 64 replicates are 8 times the pilot's block.

    The median of three forecasts, since a pilot takes a third of a second, and other work may fall into it.
    """
    config = study()
    three = [forecast(config, Shards(tmp_path / "shards")) for _ in range(3)]
    found = sorted(three, key=lambda one: one.work.high)[1]
    assert list(tmp_path.iterdir()) == []
    spent = 0.0
    for one in found.cells:
        with fixed_threads():
            start = time.process_time()
            fit_cell(one.cell, find(one.cell.estimator))
            spent += time.process_time() - start
    assert spent / 2.5 < found.work.low <= found.work.high < 2.5 * spent
    run(config, tmp_path / "out")
    assert found.disk == pytest.approx(size_on_disk(tmp_path / "out"), rel=0.1)


def test_what_is_finished_skipped_or_fails_is_said_and_costs_nothing(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(
        "from simbench import Estimator\n"
        "class Broken(Estimator):\n"
        "    name = 'broken'\n"
        "    def reward_loss(self, out, batch):\n"
        "        raise ValueError('no loss today')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = study(estimators=("naive", "ips", "broken:Broken"), sizes=(300,), replicates=2, grant=())
    run(config, tmp_path / "out")
    found = forecast(config, Shards(tmp_path / "out" / "shards"))
    assert [(one.status, one.reason) for one in found.cells] == [
        ("finished", ""),
        ("skipped", "needs propensity"),
        ("fails", "ValueError: no loss today"),
    ]
    assert found.work == Span() and found.wall(2).low == found.scoring


def test_a_pilot_that_does_not_end_gives_a_range(monkeypatch):
    monkeypatch.setattr("simbench.study.forecast.CALIBRATION", 0.0)
    found = forecast(
        study(sizes=(300,), replicates=2, estimators=("naive",)), Shards(Location("memory://none"))
    )
    span = found.cells[0].seconds
    assert 0 < span.low < span.high  # 9 epochs, patience included, against 100
    assert 3 < span.high / span.low < 12


def test_the_command_prints_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simbench.study.forecast.CALIBRATION", 0.2)
    arguments = ["--size", "300", "--replicates", "2", "--bias-level", "0,1", "--estimators", "naive,ips"]
    printed = {}
    for form in ("table", "json"):
        with pytest.raises(SystemExit) as end:
            main(["run", "--worlds", "1", "--dry-run", *arguments, "--out", "out", "--format", form])
        assert end.value.code == 0
        printed[form] = capsys.readouterr().out
    for said in ("cells: 4 to run", "time: about", "an estimate", "memory: about", "disk: about"):
        assert said in printed["table"]
    rows = json.loads(printed["json"])
    assert [(row["estimator"], row["bias level"], row["told"], row["cells"]) for row in rows] == [
        ("naive", "0, 1", "", 2),
        ("ips", "0, 1", "propensity", 2),
    ]
    assert list(tmp_path.iterdir()) == []
