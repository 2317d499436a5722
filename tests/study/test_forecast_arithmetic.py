"""The arithmetic of a forecast, exactly: with a clock that the pilots themselves move on."""

import numpy as np
import pytest

from simbench.estimator import registry
from simbench.study import forecast as module
from simbench.study.cell import Outcome, run_cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.forecast import CellForecast, Forecast, Span, forecast
from simbench.study.protocol import EvaluationProtocol
from simbench.study.shards import Shards
from simbench.worlds.presets import PRESETS

WORLD = PRESETS["exclusive"].changed(test_size=100, n_features=3, n_context=2)
COSTS = """
from simbench import Estimator

class Costs(Estimator):
    name = "costs"
    restarts = 1
    def __init__(self, hidden=(32, 16), epochs=10, patience=3, restarts=1, seed=0, device="cpu"):
        super().__init__(hidden=hidden, epochs=epochs, patience=patience, seed=seed, device=device)
        self.restarts = restarts
    def selection_loss(self, out, batch):
        return 0.0
"""
BEFORE, EPOCH, AFTER = 0.2, 0.5, 0.3  # seconds of a pilot


class Clock:
    """Of the processor and of the wall; the latter runs three times as fast."""

    def __init__(self):
        self.now, self.pilots = 100.0, []

    def process_time(self):
        return self.now

    def perf_counter(self):
        return 3 * self.now


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """Pilots of at most 100 rows that take their 7 epochs, unless they run out of time."""
    (tmp_path / "costs.py").write_text(COSTS)
    monkeypatch.syspath_prepend(tmp_path)
    clock = Clock()
    clock.epochs = 7

    def fit_cell(cell, kind, world):
        clock.pilots.append(cell)
        clock.now += BEFORE
        if "hidden" in kind().get_params():
            for _ in range(clock.epochs):
                clock.now += EPOCH
                kind().selection_loss(None, None)
        clock.now += AFTER

    def scored(*_, **__):
        clock.now += 0.1

    monkeypatch.setattr(registry, "is_from_outside", lambda name: False)  # as one of simbench's own
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "fit_cell", fit_cell)
    monkeypatch.setattr(module, "ROWS", 100)
    monkeypatch.setattr(module, "_measured", {})
    monkeypatch.setattr(module, "score", scored)
    monkeypatch.setattr(module, "against_oracle", scored)
    monkeypatch.setattr(module, "_resident", lambda: 1000)
    return clock


def study(**changes):
    usual = {"worlds": (WORLD,), "sizes": (200,), "replicates": 20, "estimators": ("costs:Costs",)}
    return StudyConfig(**{**usual, **changes})


def forecast_of(**changes) -> Forecast:
    return forecast(study(**changes), Shards("memory://forecast"))


def seconds(found) -> tuple[float, float]:
    (cell,) = found.cells
    return cell.seconds.low, cell.seconds.high


# -- time --------------------------------------------------------------------------------------


def test_time_goes_by_rows_epochs_and_blocks_of_replicates(clock):
    """Stopped after 7 epochs of 100 rows, 3 of them patience: 4 epochs of rows are 2 of twice as many, and
    patience. Twenty replicates are 3 blocks of 8, and the pilot is one."""
    found = forecast_of()
    assert seconds(found) == pytest.approx(((0.5 + 0.5 * (2 + 3)) * 2 * 3,) * 2)
    pilot = clock.pilots[-1]
    assert (pilot.size, pilot.replicates) == (100, 8)


def test_steps_are_rounded_up_to_epochs_and_no_more_than_there_are(clock):
    clock.epochs = 8  # 5 before patience: 2.5 of twice as many rows
    assert seconds(forecast_of())[0] == pytest.approx((0.5 + 0.5 * (3 + 3)) * 6)
    found = forecast_of(sizes=(50,), replicates=8)  # a pilot at full size
    assert seconds(found)[0] == pytest.approx(0.5 + 0.5 * 8) and clock.pilots[-1].size == 50
    found = forecast_of(parameters={"costs:Costs": {"epochs": 9}}, sizes=(101,), replicates=8)
    assert seconds(found)[0] == pytest.approx((0.5 + 0.5 * 8) * 1.01)
    clock.epochs = 3  # all of it patience: the first epoch was the best
    assert seconds(forecast_of())[0] == pytest.approx((0.5 + 0.5 * (1 + 3)) * 6)


def test_a_pilot_that_takes_all_its_epochs_says_that_every_fit_does(clock):
    clock.epochs = 10
    assert seconds(forecast_of()) == pytest.approx(((0.5 + 0.5 * 10) * 6,) * 2)


def test_several_settings_are_several_fits(clock):
    """Of each 10 epochs and 3 of patience: 20 and 6; of 16 epochs 10 are before patience."""
    clock.epochs = 16
    tries = (EvaluationProtocol(settings=({"patience": 3},)),)
    assert seconds(forecast_of(protocols=tries))[0] == pytest.approx((0.5 + 0.5 * (5 + 6)) * 6)


def test_a_pilot_that_runs_out_of_time_gives_a_range(clock, monkeypatch):
    """Three epochs at least; then at least the patience and one more, at most all 10."""
    monkeypatch.setattr(module, "CALIBRATION", 1.6)
    assert seconds(forecast_of()) == pytest.approx(((0.2 + 0.5 * 4) * 6, (0.2 + 0.5 * 10) * 6))
    impatient = {"costs:Costs": {"patience": 1}}
    low, high = seconds(forecast_of(parameters=impatient))
    assert (low, high) == pytest.approx(((0.2 + 0.5 * 2) * 6, (0.2 + 0.5 * 10) * 6))
    monkeypatch.setattr(module, "CALIBRATION", 2.6)  # the fifth epoch ends at 2.7
    assert seconds(forecast_of(parameters=impatient))[0] == pytest.approx((0.2 + 0.5 * 2.5) * 6)


def test_who_has_no_epochs_or_one_is_scaled_whole(clock):
    found = forecast_of(estimators=("sklearn:GaussianNB",))
    assert clock.pilots[-1].replicates == 1
    assert seconds(found) == pytest.approx((0.5 * 2 * 20,) * 2)  # replicate by replicate
    clock.epochs = 1
    assert seconds(forecast_of())[0] == pytest.approx(1.0 * 6)


def test_restarts_fill_blocks_as_replicates_do(clock):
    found = forecast_of(parameters={"costs:Costs": {"restarts": 3}})
    assert clock.pilots[-1].replicates == 2  # 6 of 8
    assert seconds(found)[0] == pytest.approx((0.5 + 0.5 * 5) * 2 * 8)  # 60 networks are 8 blocks
    found = forecast_of(parameters={"costs:Costs": {"hidden": (256,)}})
    assert clock.pilots[-1].replicates == 1 and seconds(found)[0] == pytest.approx(3 * 2 * 20)
    forecast_of(replicates=3)
    assert clock.pilots[-1].replicates == 3  # fewer than a block


def test_a_gpu_is_timed_by_the_wall_and_a_processor_by_its_time(clock, monkeypatch):
    cell = cells_of(study())[0].model_copy(update={"device": "cuda"})
    monkeypatch.setattr(module, "cells_of", lambda config: [cell])
    monkeypatch.setattr(module, "CALIBRATION", 100.0)
    assert seconds(forecast_of())[0] == pytest.approx(3 * (0.5 + 0.5 * 5) * 6)


def test_one_pilot_for_each_kind_of_work_after_one_that_warms_up(clock, monkeypatch):
    """Time is shared among the pilots: of 6 s, in which each would end, each of two has 3."""
    heard = []
    config = study(bias_levels=(0.5, 1.0), sizes=(200, 300))
    forecast(config, Shards("memory://forecast"), lambda *said: heard.append(said))
    assert len(clock.pilots) == 2 and heard == [("costs:Costs", 0, 1)]
    clock.pilots.clear()
    two = (WORLD, WORLD.changed(name="wide", n_features=4))
    monkeypatch.setattr(module, "CALIBRATION", 6.0)
    heard.clear()
    found = forecast(study(worlds=two), Shards("memory://forecast"), lambda *said: heard.append(said))
    assert [pilot.world.name for pilot in clock.pilots] == ["exclusive", "exclusive", "wide"]
    assert heard == [("costs:Costs", 0, 2), ("costs:Costs", 1, 2)]
    # cut off at the end of an epoch: the rest is .2, not .5
    assert [one.seconds.high for one in found.cells] == pytest.approx([(0.2 + 0.5 * 10) * 6] * 2)


@pytest.mark.parametrize(
    "change",
    [
        {"estimator": "naive"},
        {"parameters": {"epochs": 5}},
        {"world": WORLD.changed(n_context=5)},
        {"world": WORLD.changed(reads="features")},
        {"world": WORLD.changed(signals=2)},
        {"size": 60},
        {"grant": ("labels",)},
        {"device": "cuda"},
        {"protocol": EvaluationProtocol(name="other")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_makes_another_kind_of_work(change):
    cell = cells_of(study(estimators=("implicitrm",)))[0]
    assert module._kind_of_work(cell.model_copy(update=change)) != module._kind_of_work(cell)


def test_what_makes_the_same_kind_of_work(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 100)
    cell = cells_of(study(estimators=("implicitrm",), grant=("labels=0.1",)))[0]
    for change in (
        {"bias_level": 3.0},
        {"size": 900},
        {"grant": ("labels=0.2",)},
        {"replicates": 5},
        {"seed": 1},
    ):
        assert module._kind_of_work(cell.model_copy(update=change)) == module._kind_of_work(cell)


# -- what is there already, and what will not run ----------------------------------------------


def test_finished_skipped_and_failing_cells_take_no_time(clock, monkeypatch):
    config = study(estimators=("sklearn:GaussianNB", "ips", "costs:Costs"), grant=(), replicates=2)
    finished = cells_of(config)[0]
    shards = Shards("memory://finished")
    shards.write(finished.key, np.full((2, 100), 0.5), {"parts": [{"replicates": 2, "seconds": 1.0}]})

    def breaks(cell, kind, world):
        raise ValueError("no\nmore")

    monkeypatch.setattr(module, "fit_cell", breaks)
    found = forecast(config, shards)
    assert [(one.status, one.reason) for one in found.cells] == [
        ("finished", ""), ("skipped", "needs propensity"), ("fails", "ValueError: no"),
    ]  # fmt: skip
    assert [one.disk for one in found.cells] == [4 * 2 * 100 + 1500, 0, 0]
    assert [one.memory for one in found.cells] == [0, 0, 0] and found.work == Span()
    assert run_cell(finished, shards) == Outcome(finished, "ok", "", 1.0)


# -- scoring, disk and memory ------------------------------------------------------------------


def test_scoring_is_measured_once_for_each_size_on_at_most_20_replicates(clock, monkeypatch):
    """.2 s for 20 replicates: .5 s for 50; every cell with a shard is scored."""
    asked = []

    def scored(predictions, *_, level):
        asked.append((predictions.shape, level))
        clock.now += 0.1

    monkeypatch.setattr(module, "score", scored)
    larger = WORLD.changed(name="larger", test_size=150)
    found = forecast_of(worlds=(WORLD, larger), replicates=50, bias_levels=(0.5, 1.0), level=0.9)
    assert asked == [((20, 100), 0.9), ((20, 150), 0.9)]
    assert found.scoring == pytest.approx(4 * 0.2 * 50 / 20)
    assert forecast_of(replicates=4).scoring == pytest.approx(0.2)
    assert forecast_of(estimators=("ips",), grant=()).scoring == 0


def test_the_forecast_says_how_long_it_took_itself(clock):
    start = clock.now
    found = forecast_of()
    assert found.calibration == pytest.approx(3 * (clock.now - start)) and found.calibration > 0


def test_disk_is_four_bytes_a_prediction_and_the_rest(clock):
    found = forecast_of(bias_levels=(0.5, 1.0))
    assert [one.disk for one in found.cells] == [4 * 20 * 100 + 1500] * 2
    assert found.disk == 12_000 + 2 * (4 * 20 * 100 + 1500 + 600)


def bytes_of_world(n, replicates, signals=1):
    """Features (3) and context (2) twice, of the test once; signals, feedback, its copy, preference;
    predictions in double twice and in float32 once."""
    world = 2 * 4 * n * (3 + 2) + 4 * 100 * 3
    return world + replicates * n * (4 * signals + 4 + 4 + 1) + replicates * 100 * (8 + 8 + 4)


def test_memory_is_the_world_its_logs_and_a_chunk_of_networks(clock):
    """Networks 3-32-16-1: parameters in five vectors; 49 activations of 1,024 rows; 4 values of a row."""
    each = 4 * (5 * (3 * 32 + 32 + 32 * 16 + 16 + 16 + 1) + 4 * 1024 * (32 + 16 + 1) + 4 * 200)
    found = forecast_of()
    assert found.cells[0].memory == pytest.approx(1000 + bytes_of_world(200, 20) + 3 * 8 * each, abs=4000)
    budget = 10 << 20  # more than a block and less than three
    assert 8 * each < budget < 24 * each
    less = forecast_of(memory_budget=budget)
    assert less.cells[0].memory == pytest.approx(1000 + bytes_of_world(200, 20) + budget, abs=4000)
    least = forecast_of(memory_budget=1 << 20)
    assert least.cells[0].memory == pytest.approx(1000 + bytes_of_world(200, 20) + 8 * each, abs=4000)
    two = WORLD.changed(signals=2)
    plain = forecast_of(worlds=(two,), estimators=("sklearn:GaussianNB",))
    assert plain.cells[0].memory == 1000 + bytes_of_world(200, 20, signals=2)


# -- sums --------------------------------------------------------------------------------------


def test_cells_add_up_and_share_the_jobs_but_none_is_split():
    spans = (Span(1, 2), Span(2, 9), Span(3, 4))
    cells = [
        CellForecast(None, "to run", "", span, memory, disk)  # type: ignore[arg-type]
        for span, memory, disk in zip(spans, (5, 70, 6), (10, 20, 30), strict=True)
    ]
    found = Forecast(cells, scoring=0.5, calibration=7.0)
    assert found.work == Span(6, 15) and found.memory == 70
    assert found.disk == 12_000 + 60 + 3 * 600
    assert found.wall(1) == Span(6.5, 15.5)
    assert found.wall(2) == Span(3.5, 9.5)  # half of the work, or the longest cell
    assert found.wall(100) == Span(3.5, 9.5)
    nothing = Forecast([], 0.5, 0.0)
    assert nothing.wall(2) == Span(0.5, 0.5) and nothing.memory == 0 and nothing.disk == 12_000


def test_resident_memory_is_in_bytes():
    before = module._resident()
    held = np.ones(30_000_000)  # 240 MB, touched
    grown = module._resident() - before
    assert held[-1] == 1 and 0.9 < grown / held.nbytes < 1.2
    assert 3e7 < before < 1e11
