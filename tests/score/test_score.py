"""Moments and metrics against loops over replicates and responses."""

import math
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, root_mean_squared_error

from simbench.score.moments import against_oracle, per_replicate, score
from simbench.score.squared_mean import gram_matrix

RNG = np.random.default_rng(0)
GAMMA = RNG.uniform(size=40)
GROUPS = np.repeat(np.arange(10), 4)
SCORES = np.round(RNG.uniform(size=(3, 40)), 1)  # with ties
METRICS = ["auroc", "pairwise_accuracy", "brier", "nll", "calibration_shift", "ece", "regret"]
PUBLISHED = ["r2", "mae", "rmse"]


def test_the_gram_matrix_holds_the_mean_products_of_errors():
    found = gram_matrix(SCORES, GAMMA)
    for a, b in product(range(3), repeat=2):
        errors = [(SCORES[a, x] - GAMMA[x]) * (SCORES[b, x] - GAMMA[x]) for x in range(40)]
        assert found[a, b] == pytest.approx(sum(errors) / 40, abs=1e-14)


def test_bias2_is_the_corrected_square():
    found = score(SCORES, GAMMA, GROUPS)
    variance = SCORES.var(axis=0, ddof=1).mean()
    bias2 = ((SCORES.mean(0) - GAMMA) ** 2).mean() - variance / 3
    assert found["bias2"].value == pytest.approx(bias2, abs=1e-12)
    assert found["variance"].value == pytest.approx(variance, abs=1e-12)
    assert found["mse"].value == pytest.approx(bias2 + variance, abs=1e-12)
    assert found["mse"].value == pytest.approx(((SCORES - GAMMA) ** 2).mean(), abs=1e-12)


def test_bias2_may_be_negative_and_is_not_clipped():
    """Two replicates whose errors are opposite: their one product is -.01."""
    found = score(np.array([[0.6], [0.4]]), np.array([0.5]), np.zeros(1))
    assert found["bias2"].value == pytest.approx(-0.01)
    assert found["variance"].value == pytest.approx(0.02)


def test_one_replicate_has_an_mse_and_no_more():
    found = score(SCORES[:1], GAMMA, GROUPS)
    assert math.isnan(found["bias2"].value) and math.isnan(found["variance"].value)
    assert found["mse"].value == pytest.approx(((SCORES[0] - GAMMA) ** 2).mean())
    assert all(math.isnan(estimate.low) and math.isnan(estimate.high) for estimate in found.values())


def off_diagonal_mean(predictions, reward):
    errors = predictions - reward
    pairs = [(errors[a] * errors[b]).mean() for a in range(len(errors)) for b in range(len(errors)) if a != b]
    return np.mean(pairs)


def test_excess_is_the_estimate_less_the_oracles():
    mine, oracle = SCORES, 0.5 * GAMMA + 0.5 * SCORES[::-1]
    found = against_oracle(mine, oracle, GAMMA)
    bias2 = off_diagonal_mean(mine, GAMMA) - off_diagonal_mean(oracle, GAMMA)
    mse = ((mine - GAMMA) ** 2).mean() - ((oracle - GAMMA) ** 2).mean()
    assert list(found) == ["distance2", "excess_bias2", "excess_mse"]
    assert found["distance2"].value == pytest.approx(off_diagonal_mean(mine, oracle))
    assert found["excess_bias2"].value == pytest.approx(bias2)
    assert found["excess_mse"].value == pytest.approx(mse)
    assert mse > 0.05 and abs(bias2 - mse) > 0.005  # so that neither passes for the other


def test_opposite_biases_do_not_cancel_in_the_distance():
    """An estimator at γ - .15 v beside an oracle at γ + .15 v: the same bias², and .3 v apart."""
    v = RNG.choice([-1.0, 1.0], 40)
    noise = 0.01 * RNG.standard_normal((2, 8, 40))
    found = against_oracle(GAMMA - 0.15 * v + noise[0], GAMMA + 0.15 * v + noise[1], GAMMA)
    assert abs(found["excess_bias2"].value) < 0.001
    assert found["distance2"].value == pytest.approx(0.09, rel=0.05)
    assert found["distance2"].low > 0.08


def test_excess_over_itself_is_zero():
    scores = np.tile(SCORES, (4, 1)) + np.linspace(0, 0.01, 12)[:, None]
    for found in against_oracle(scores, scores, GAMMA).values():
        assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-15)


def test_excess_over_a_better_oracle_is_positive_and_the_other_way_negative():
    noise = 0.05 * RNG.standard_normal((12, 40))
    good, bad = GAMMA + noise, GAMMA + 0.2 + noise[::-1]
    assert against_oracle(bad, good, GAMMA)["excess_bias2"].low > 0.03
    assert against_oracle(good, bad, GAMMA)["excess_bias2"].high < -0.03
    assert against_oracle(bad, good, GAMMA)["excess_mse"].low > 0.03


def test_score_has_all_metrics_as_means_over_replicates():
    found, single = score(SCORES, GAMMA, GROUPS), per_replicate(SCORES, GAMMA, GROUPS)
    assert list(found) == ["bias2", "variance", "mse", *METRICS, *PUBLISHED]
    for name in METRICS + PUBLISHED:
        assert single[name].shape == (3,)
        assert found[name].value == pytest.approx(single[name].mean())
        assert math.isnan(found[name].low)
    many = score(RNG.uniform(size=(6, 40)), GAMMA, GROUPS)
    assert all(one.low < one.value < one.high for one in many.values())


def test_metrics_against_labels_are_means_over_the_labels():
    """Each label is drawn as a row of weight γ that is good, and one of weight 1 - γ that is bad."""
    found = per_replicate(SCORES.clip(0.05, 0.95), GAMMA, GROUPS)
    label, weight = np.repeat([1, 0], 40), np.r_[GAMMA, 1 - GAMMA]
    for row, own in enumerate(SCORES.clip(0.05, 0.95)):
        twice = np.r_[own, own]
        assert found["nll"][row] == pytest.approx(log_loss(label, twice, sample_weight=weight))
        assert found["brier"][row] == pytest.approx(brier_score_loss(label, twice, sample_weight=weight))
        assert found["rmse"][row] == pytest.approx(
            root_mean_squared_error(label, twice, sample_weight=weight)
        )
        assert found["calibration_shift"][row] == pytest.approx(own.mean() - GAMMA.mean())


def test_ranking_metrics_of_the_truth_and_of_its_opposite():
    found = per_replicate(np.stack([GAMMA, 1 - GAMMA]), GAMMA, GROUPS)
    ranges = [np.ptp(GAMMA[prompt == GROUPS]) for prompt in range(10)]
    assert found["regret"] == pytest.approx([0, np.mean(ranges)], abs=1e-12)
    assert found["pairwise_accuracy"] == pytest.approx([1, 0], abs=1e-12)
    assert found["auroc"][0] > 0.6 and found["auroc"].sum() == pytest.approx(1)
    assert found["ece"][0] == pytest.approx(0, abs=1e-12) and found["ece"][1] > 0.3


def test_a_sure_prediction_that_is_wrong_has_a_large_and_finite_nll():
    """-log 1e-12 for the one of two labels that was held impossible."""
    found = per_replicate(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([1.0, 0.0]), np.zeros(2))
    assert found["nll"] == pytest.approx(np.full(2, -math.log(1e-12) / 2), rel=1e-4)


def test_a_level_shift_of_all_predictions_is_the_calibration_shift():
    found = per_replicate(np.stack([GAMMA - 0.25, GAMMA + 0.125]), GAMMA, GROUPS)
    assert found["calibration_shift"] == pytest.approx([-0.25, 0.125])
