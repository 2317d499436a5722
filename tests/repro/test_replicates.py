"""Scores of single replicates agree with the scores of all together."""

import numpy as np
import pandas as pd
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from simbench.repro.replicates import COLUMNS, as_rows, collect, scores, write
from simbench.score.labels import expected_r2
from simbench.score.moments import score
from simbench.score.squared_mean import gram_matrix, pseudo_values
from simbench.study.config import StudyConfig, cells_of
from simbench.study.run import run
from simbench.study.shards import Shards
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
    assert pseudo_values(gram_matrix(predictions, reward))[0] == pytest.approx(9 * whole - 8 * without)


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


def test_pseudo_values_of_every_replicate_are_r_times_all_less_the_others(drawn):
    """Of four replicates, by products of errors: ``R θ - (R - 1) θ_without``, in the replicates' order."""
    predictions, reward = drawn[0][:4, :30], drawn[1][:30]
    errors = predictions - reward

    def bias2(of):
        return np.mean([(errors[a] * errors[b]).mean() for a in of for b in of if a != b])

    expected = [4 * bias2(range(4)) - 3 * bias2([b for b in range(4) if b != a]) for a in range(4)]
    assert pseudo_values(gram_matrix(predictions, reward)) == pytest.approx(expected)
    three = pseudo_values(gram_matrix(predictions[:3], reward))
    assert three.mean() == pytest.approx(bias2(range(3)))


@pytest.mark.parametrize("n", [1, 2])
def test_below_three_replicates_there_are_no_pseudo_values(drawn, n):
    found = pseudo_values(gram_matrix(drawn[0][:n], drawn[1]))
    assert found.shape == (n,) and np.isnan(found).all()


def test_each_score_is_its_formula(drawn):
    """At sure rewards, where r* is the reward."""
    predictions, reward = drawn[0][:3], (drawn[1] > 0.4).astype(float)
    found = scores(predictions, reward)
    of_rewards = ["r2", "r2_recalibrated", "rmse", "mae", "shift", "mae_of_truth", "mae_least"]
    assert list(found) == ["auroc", "mse", "bias2", *of_rewards]
    assert found["mae_of_truth"] == pytest.approx(0) and found["mae_least"] == pytest.approx(0)
    for row, own in enumerate(predictions):
        squares = ((own - reward) ** 2).mean()
        assert found["auroc"][row] == pytest.approx(roc_auc_score(reward, own))
        assert found["mse"][row] == pytest.approx(squares)
        assert found["rmse"][row] == pytest.approx(np.sqrt(squares))
        assert found["r2"][row] == pytest.approx(1 - squares / reward.var())
        assert found["mae"][row] == pytest.approx(np.abs(own - reward).mean())
        assert found["shift"][row] == pytest.approx(own.mean() - reward.mean())


def test_mse_is_to_the_reward_and_rmse_to_the_label(drawn):
    predictions, reward = drawn
    found = scores(predictions, reward)
    assert found["mse"] == pytest.approx(((predictions - reward) ** 2).mean(1))
    noise = (reward * (1 - reward)).mean()
    assert found["rmse"] == pytest.approx(np.sqrt(found["mse"] + noise))
    assert (found["shift"] > 0.05).all()


def test_a_score_without_a_level_is_judged_by_its_ranks_alone(drawn):
    found = scores(*drawn, ranks_only=True)
    assert list(found) == ["auroc"]
    assert found["auroc"] == pytest.approx(scores(*drawn)["auroc"])


def test_the_best_monotone_map_is_scikit_learns_isotonic_regression():
    """With ties, which share a value, in an order that is not sorted, and mostly the wrong way about."""
    rng = np.random.default_rng(5)
    reward = rng.random(60)
    prediction = np.round(0.3 * reward + 0.7 * rng.random(60), 1)
    for own in (prediction, 1 - prediction):
        best = IsotonicRegression().fit(own, reward).predict(own)
        found = scores(own[None], reward)["r2_recalibrated"]
        assert found == pytest.approx(expected_r2(best[None], reward))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    world = PRESETS["exclusive"].changed(test_size=300)
    short = {name: {"epochs": 2} for name in ("oracle", "naive", "bpr")}
    config = StudyConfig(
        worlds=(world,),
        estimators=tuple(short),
        parameters=short,
        sizes=(400,),
        replicates=3,
        bias_levels=(1.0,),
    )
    folder = tmp_path_factory.mktemp("study")
    run(config, folder)
    return config, folder


def test_a_study_gives_a_row_a_cell_replicate_and_metric(study):
    table = collect(*study)
    assert list(table.columns) == COLUMNS
    assert not table.duplicated(["estimator", "replicate", "metric"]).any()
    assert set(table[table.estimator == "bpr"].metric) == {"auroc"}  # its scores are no probabilities
    assert table[table.estimator == "naive"].metric.nunique() == 10
    assert table.replicate.nunique() == 3 and np.isfinite(table.value).all()


def test_the_rows_hold_the_scores_of_the_kept_predictions(study):
    config, folder = study
    table = collect(config, folder)
    for cell in cells_of(config):
        predictions, facts = Shards(folder / "shards").read(cell.key)
        own = table[table.estimator == cell.estimator]
        assert set(own.knows) == {facts["knows"]} and set(own["size"]) == {400}
        expected = scores(predictions, cell.built().test.reward, cell.estimator == "bpr")
        for metric, values in expected.items():
            rows = own[own.metric == metric].sort_values("replicate")
            assert rows.replicate.tolist() == [0, 1, 2]
            assert rows.value.to_numpy() == pytest.approx(values)


def test_cells_that_left_no_predictions_have_no_rows(study, tmp_path):
    config, folder = study
    more = config.model_copy(update={"replicates": 4})
    assert list(collect(more, folder).columns) == COLUMNS and collect(more, folder).empty
    both = config.model_copy(update={"bias_levels": (0.5, 1.0)})
    assert set(collect(both, folder).bias_level) == {1.0}
    assert len(collect(both, folder)) == len(collect(config, folder))
    assert collect(config, tmp_path).empty


def test_a_cells_rows_name_it(study, tmp_path):
    cell = cells_of(study[0])[1]
    rows = as_rows(cell, "propensity", {"mse": np.array([0.1, 0.2]), "auroc": np.array([0.7, 0.8])})
    assert list(rows.columns) == COLUMNS
    assert set(rows.knows) == {"propensity"} and set(rows.estimator) == {cell.estimator}
    assert set(rows.bias_level) == {1.0} and set(rows.protocol) == {cell.protocol.name}
    found = rows.set_index(["metric", "replicate"]).value
    assert found.to_dict() == {("mse", 0): 0.1, ("mse", 1): 0.2, ("auroc", 0): 0.7, ("auroc", 1): 0.8}
    write(tmp_path / "kept.parquet", rows)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "kept.parquet"), rows, check_dtype=False)


def test_the_mae_of_the_truth_is_that_of_the_reward_and_the_least_that_of_hard_decisions():
    reward = np.array([0.2, 0.5, 0.9])
    found = scores(np.full((2, 3), 0.4), reward)
    of_truth = (2 * reward * (1 - reward)).mean()  # E|γ - r*|
    assert found["mae_of_truth"] == pytest.approx(of_truth)
    assert found["mae_least"] == pytest.approx((0.2 + 0.5 + 0.1) / 3)
