"""Moments, metrics and verdicts against loops over replicates and responses."""

import math
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, root_mean_squared_error

from simbench.score.moments import (
    Estimate,
    _bootstrap_moments,
    _moments,
    excess,
    gram_matrix,
    per_replicate,
    score,
    verdict,
)

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


def test_bootstrap_moments_are_loops_over_pairs_of_drawn_replicates():
    """Over all 256 resamples of four replicates; a pair of copies of one replicate is no pair."""
    gram = gram_matrix(RNG.uniform(size=(4, 9)), GAMMA[:9])
    resamples = list(product(range(4), repeat=4))
    weights = np.array([[drawn.count(r) for r in range(4)] for drawn in resamples], dtype=float)
    bias2, variance, mse = _bootstrap_moments(gram, weights)
    for number, drawn in enumerate(resamples):
        crossed = [gram[a, b] for a in drawn for b in drawn if a != b]
        own = np.mean([gram[a, a] for a in drawn])
        expected = np.mean(crossed) if crossed else np.nan
        assert bias2[number] == pytest.approx(expected, nan_ok=True)
        assert mse[number] == pytest.approx(own)
        assert variance[number] == pytest.approx(own - expected, nan_ok=True)


def test_the_resample_that_draws_each_once_is_the_estimate():
    gram = gram_matrix(SCORES, GAMMA)
    found = [float(values[0]) for values in _bootstrap_moments(gram, np.ones((1, 3)))]
    assert found == pytest.approx(list(_moments(gram).values()))


def off_diagonal_mean(predictions, reward):
    errors = predictions - reward
    pairs = [(errors[a] * errors[b]).mean() for a in range(len(errors)) for b in range(len(errors)) if a != b]
    return np.mean(pairs)


def test_excess_is_the_estimate_less_the_oracles():
    mine, oracle = SCORES, 0.5 * GAMMA + 0.5 * SCORES[::-1]
    found = excess(mine, oracle, GAMMA)
    bias2 = off_diagonal_mean(mine, GAMMA) - off_diagonal_mean(oracle, GAMMA)
    mse = ((mine - GAMMA) ** 2).mean() - ((oracle - GAMMA) ** 2).mean()
    assert list(found) == ["excess_bias2", "excess_mse"]
    assert found["excess_bias2"].value == pytest.approx(bias2)
    assert found["excess_mse"].value == pytest.approx(mse)
    assert mse > 0.05 and abs(bias2 - mse) > 0.005  # so that neither passes for the other


def test_excess_over_itself_is_zero():
    scores = np.tile(SCORES, (4, 1)) + np.linspace(0, 0.01, 12)[:, None]
    for found in excess(scores, scores, GAMMA).values():
        assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-15)


def test_excess_over_a_better_oracle_is_positive_and_the_other_way_negative():
    noise = 0.05 * RNG.standard_normal((12, 40))
    good, bad = GAMMA + noise, GAMMA + 0.2 + noise[::-1]
    assert excess(bad, good, GAMMA)["excess_bias2"].low > 0.03
    assert excess(good, bad, GAMMA)["excess_bias2"].high < -0.03
    assert excess(bad, good, GAMMA)["excess_mse"].low > 0.03


@pytest.mark.parametrize(
    ("interval", "label"),
    [
        ((0.0, -0.1, 0.001), "unbiased"),
        ((0.1, 0.05, 0.2), "biased"),
        ((0.002, 0.0, 0.02), "undecided"),
        ((0.002, 0.0, 0.0025), "undecided"),  # the margin itself is not inside
        ((0.003, 0.0025, 0.02), "undecided"),  # nor outside
        ((0.002, 0.0, 0.0024), "unbiased"),
        ((0.003, 0.0026, 0.02), "biased"),
        ((-0.3, -0.5, -0.1), "unbiased"),  # the estimate of a square, below its margin
    ],
)
def test_the_verdict_rule(interval, label):
    found = verdict(Estimate(*interval), margin=0.0025, n_replicates=20)
    assert found.label == label
    assert (label == "undecided") == ("replicates would decide" in found.reason)
    assert (label == "undecided") == (found.replicates_needed is not None)


@pytest.mark.parametrize(
    ("interval", "replicates", "needed"),
    [
        ((0.25, 0.0, 1.0), 20, 81),  # a half width of twice the distance: four times as many, and one
        ((0.75, 0.0, 1.0), 20, 81),
        ((0.25, 0.0, 0.75), 16, 37),  # (3/8 / 1/4)² = 2.25
        ((0.25, 0.125, 0.75), 16, 26),  # 1.25² = 1.5625: 25 and one
        ((0.25, 0.125, 0.75), 5, 9),  # 7.8125, rounded up, and one
        ((0.25, 0.5, 0.625), 20, 21),  # a skew interval: more than there are, all the same
        ((0.25, 0.0, 1.0), 2499, 9997),
        ((0.25, 0.5, 0.625), 9999, 10_000),
        ((0.25, 0.0, 1.0), 2500, None),  # 10,001
        ((0.5, 0.0, 1.0), 20, None),
    ],
)
def test_how_many_replicates_would_decide(interval, replicates, needed):
    found = verdict(Estimate(*interval), margin=0.5, n_replicates=replicates)
    assert (found.label, found.replicates_needed) == ("undecided", needed)
    if needed is None:
        assert found.reason.endswith("too near the margin for any number of replicates")
    else:
        assert found.reason.endswith(f"about {needed} replicates would decide")


def test_a_verdict_says_what_it_rests_on():
    found = verdict(Estimate(0.00104, 0.0002, 0.0017), margin=0.0025, n_replicates=20)
    assert found.reason == "excess bias² 0.0010 [0.0002, 0.0017] against a margin of 0.0025"
    found = verdict(Estimate(0.01, math.nan, math.nan), margin=0.0025, n_replicates=1)
    assert (found.label, found.replicates_needed) == ("undecided", None)
    assert "one replicate shows no variance" in found.reason


def test_score_has_all_metrics_as_means_over_replicates():
    found, single = score(SCORES, GAMMA, GROUPS), per_replicate(SCORES, GAMMA, GROUPS)
    assert list(found) == ["bias2", "variance", "mse", *METRICS, *PUBLISHED]
    for name in METRICS + PUBLISHED:
        assert single[name].shape == (3,)
        assert found[name].value == pytest.approx(single[name].mean())
        assert found[name].low < found[name].value < found[name].high


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
