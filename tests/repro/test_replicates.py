"""Scores of single replicates agree with the scores of all together."""

import numpy as np
import pytest

from simbench.repro.replicates import bias2_by_replicate, collect, scores
from simbench.score.labels import expected_r2
from simbench.score.moments import score
from simbench.study.config import StudyConfig
from simbench.study.run import run
from simbench.worlds.presets import PRESETS


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    reward = rng.uniform(0.05, 0.95, 400)
    return (reward + 0.1 + 0.05 * rng.standard_normal((9, 400))).clip(0, 1), reward


def test_means_are_those_of_score(drawn):
    predictions, reward = drawn
    whole = score(predictions, reward, np.arange(400))
    single = scores(predictions, reward)
    for metric in ("bias2", "mse", "auroc"):
        assert single[metric].mean() == pytest.approx(whole[metric].value, abs=1e-12)


def test_pseudo_values_are_the_jackknifes(drawn):
    predictions, reward = drawn
    whole = score(predictions, reward, np.arange(400))["bias2"].value
    without = score(predictions[1:], reward, np.arange(400))["bias2"].value
    assert bias2_by_replicate(predictions, reward)[0] == pytest.approx(9 * whole - 8 * without)


def test_r2_and_mae_are_expectations_over_the_preferences(drawn):
    """Against drawn preferences: 4,000 draws, within five standard errors."""
    predictions, reward = drawn
    rng = np.random.default_rng(3)
    found = {name: values[0] for name, values in scores(predictions, reward).items()}
    drawn_preferences = rng.random((4000, 400)) < reward
    brier = ((drawn_preferences - predictions[0]) ** 2).mean(1)
    mae = np.abs(drawn_preferences - predictions[0]).mean(1)
    spread = drawn_preferences.var(1).mean()
    assert abs(np.mean(brier) - (1 - found["r2"]) * spread) < 5 * np.std(brier) / np.sqrt(4000)
    assert abs(mae.mean() - found["mae"]) < 5 * mae.std() / np.sqrt(4000)
    assert found["rmse"] ** 2 == pytest.approx(np.mean(brier), rel=0.01)


def test_recalibration_undoes_any_monotone_map(drawn):
    _, reward = drawn
    found = scores(np.stack([reward, reward**3, np.full(400, 0.2)]), reward)
    best = expected_r2(reward[None], reward)[0]
    assert found["r2_recalibrated"][:2] == pytest.approx([best, best])
    assert found["r2_recalibrated"][2] == pytest.approx(0, abs=0.01)
    assert found["r2"][1] < best


def test_a_study_gives_a_row_a_cell_replicate_and_metric(tmp_path):
    world = PRESETS["exclusive"].model_copy(update={"test_size": 300})
    config = StudyConfig(
        worlds=(world,), estimators=("oracle", "naive", "bpr"), sizes=(400,), replicates=3, bias_levels=(1.0,)
    )
    run(config, tmp_path / "out")
    table = collect(config, tmp_path / "out")
    assert not table.duplicated(["estimator", "replicate", "metric"]).any()
    assert set(table[table.estimator == "bpr"].metric) == {"auroc"}  # its scores are no probabilities
    assert table[table.estimator == "naive"].metric.nunique() == 8
    assert table.replicate.nunique() == 3 and np.isfinite(table.value).all()
