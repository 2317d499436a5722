"""Bounds by a least propensity: by hand, their coverage, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.reward.bounds.bounds import bounds, bounds_of
from simbench.reward.bounds.click_fits import ClickFits, calibrated, click_estimator, click_fits
from simbench.reward.bounds.pairs import decided_pairs, decided_share
from simbench.reward.clustered import Mean, MeanSet, clustered_difference, clustered_mean
from simbench.worlds.world import world

FAST = {"hidden": (), "lr": 0.03, "epochs": 60}


def fits(p: np.ndarray) -> ClickFits:
    """Two fits that say the same."""
    return ClickFits(np.tile(np.log(p / (1 - p)), (2, 1)), np.zeros(len(p), dtype=np.int64))


def log_of(p: np.ndarray, seed: int = 0) -> FeedbackLog:
    clicks = (np.random.default_rng(seed).random(len(p)) < p).astype(np.float32)
    return FeedbackLog(np.ones((len(p), 1), np.float32), clicks[None], np.arange(len(p)) // 2)


def test_bounds_by_hand():
    p = np.tile([0.1, 0.3, 0.6], 40)
    log = log_of(p, seed=1)
    found = bounds_of(log, 0.5, fits(p), None, 0.95)
    np.testing.assert_allclose(found.low[:3], [0.1, 0.3, 0.6], rtol=1e-9)
    np.testing.assert_allclose(found.high[:3], [0.2, 0.6, 1.0], rtol=1e-9)
    clicks = log.feedback[0].astype(float)
    assert found.mean.low.value == pytest.approx(clicks.mean())
    assert found.mean.high.value == pytest.approx(np.where(p > 0.5, 1.0, clicks / 0.5).mean())


def test_misclicks_are_taken_off_both_ends():
    p = np.tile([0.02, 0.3], 60)
    log = replace(log_of(p), misclick=0.1)
    found = bounds_of(log, 0.5, fits(p), None, 0.95)
    np.testing.assert_allclose(found.low[:2], [0.0, 0.2 / 0.9], rtol=1e-9)
    np.testing.assert_allclose(found.high[:2], [0.0, 0.5 / 0.9], atol=1e-9)
    clicks = log.feedback[0].astype(float)
    assert found.mean.low.value == pytest.approx(np.where(p > 0.1, (clicks - 0.1) / 0.9, 0.0).mean())
    # whatever the fit says, a bound from above is not put at 0
    assert found.mean.high.value == pytest.approx(((clicks / 0.5 - 0.1) / 0.9).mean())


def test_a_wrong_click_model_cannot_break_the_bounds_of_the_mean():
    """200 logs, fixed seeds; a right interval of level .95 covers fewer than 178 with probability .0005."""
    p, alpha, covered = np.tile([0.05, 0.2, 0.4], 200), 0.5, 0
    for seed in range(200):
        wrong = np.random.default_rng(seed + 1000).uniform(0.02, 0.98, len(p))
        found = bounds_of(log_of(p, seed), alpha, fits(wrong), None, 0.95)
        low, high = found.mean.interval()
        covered += low <= (p / alpha).mean() <= high
    assert covered >= 178


def test_the_set_at_a_propensity_of_one_is_the_mean_itself():
    p = np.tile([0.1, 0.3, 0.6], 40)
    found = bounds_of(log_of(p), 1.0, fits(p), None, 0.95)
    assert found.mean.low == found.mean.high
    np.testing.assert_array_equal(found.low, found.high)
    low, high = found.mean.interval()
    assert (low, high) == pytest.approx(found.mean.low.interval(), abs=1e-6)


def test_imbens_and_manskis_quantile():
    wide = MeanSet(Mean(0.2, 0.01, 10**6), Mean(0.8, 0.01, 10**6)).interval(0.95)
    assert wide[0] == pytest.approx(0.2 - 0.01 * norm.ppf(0.95), abs=1e-5)
    near = MeanSet(Mean(0.5, 0.01, 10**6), Mean(0.51, 0.02, 10**6)).interval(0.95)
    critical = (0.5 - near[0]) / 0.01
    assert norm.cdf(critical + 0.01 / 0.02) - norm.cdf(-critical) == pytest.approx(0.95, abs=1e-6)
    crossed = MeanSet(Mean(0.6, 0.01, 10**6), Mean(0.5, 0.01, 10**6)).interval(0.95)
    assert crossed[0] == pytest.approx(0.6 - 0.01 * norm.ppf(0.975), abs=1e-5) and crossed[0] > crossed[1]


def test_errors_by_cluster_are_those_of_the_means_of_clusters():
    rng = np.random.default_rng(0)
    of_cluster = rng.standard_normal(50)
    found = clustered_mean(np.repeat(of_cluster, 4), np.repeat(np.arange(50), 4))
    assert found.error == pytest.approx(of_cluster.std(ddof=1) / np.sqrt(50)) and found.freedom == 49
    # each cluster holds one of either group, at a constant distance: the difference has no error
    scores, clusters = np.repeat(of_cluster, 2), np.repeat(np.arange(50), 2)
    first = np.tile([True, False], 50)
    pair = clustered_difference(scores + 1, scores, first, clusters)
    assert pair.value == pytest.approx(1.0) and pair.error == pytest.approx(0, abs=1e-12)


def test_pairs_that_the_bounds_decide():
    low, high = np.array([0.1, 0.35, 0.9, 0.2]), np.array([0.4, 0.8, 1.0, 0.3])
    groups = np.array([7, 7, 7, 3])
    found = decided_pairs(low, high, groups)
    assert found[["better", "worse"]].to_numpy().tolist() == [[2, 0], [2, 1]]
    np.testing.assert_allclose(found.margin, [0.5, 0.1])
    assert decided_share(low, high, groups) == pytest.approx(2 / 3)
    assert decided_share(low, high) == pytest.approx(4 / 6)  # rows 0 and 1, 0 and 3 overlap
    assert np.isnan(decided_share(low, high, np.arange(4)))
    equal = np.array([0.5, 0.5])
    assert decided_share(equal, equal) == 0.0 and len(decided_pairs(equal, equal, np.zeros(2))) == 0


def test_calibration_undoes_a_shrunken_logit():
    rng = np.random.default_rng(0)
    logit = rng.normal(-1, 1.5, 20_000)
    clicks = (rng.random(20_000) < 1 / (1 + np.exp(-logit))).astype(float)
    shrunken = np.tile(logit / 2 + 1, (2, 1))
    found = calibrated(shrunken, np.zeros(20_000, dtype=np.int64), clicks, np.ones(20_000, dtype=bool))
    assert np.abs(found.unseen - 1 / (1 + np.exp(-logit))).max() < 0.03


def test_limits_are_the_jackknifes():
    logits = np.array([[-1.0, 0.0], [-1.2, 0.0], [-0.8, 0.0]])
    low, high = ClickFits(logits, np.array([0, 1])).limits(0.95)
    error = np.sqrt(2 / 3 * ((logits[:, 0] + 1) ** 2).sum())
    assert np.log(high[0] / (1 - high[0])) == pytest.approx(-1 + 4.302653 * error, rel=1e-5)
    assert low[1] == high[1] == 0.5


def test_no_response_is_predicted_by_a_fit_that_saw_its_prompt():
    log, _ = world("shared", bias_level=1, size=200, seed=0).draw(range(2))
    (found, again) = click_fits(click_estimator(FAST), log, 4)
    assert all(len(np.unique(found.fold[log.groups == g])) == 1 for g in np.unique(log.groups))
    assert found.logits.shape == (4, log.n_rows) and not np.array_equal(found.logits, again.logits)


def test_the_context_sharpens_the_lower_bound_and_both_hold():
    built = world("exclusive", bias_level=2, size=2000, seed=3)
    log, truth = built.draw(range(1))
    found = bounds(log, 0.25, folds=4, **FAST)
    low, high = found.sharpest.interval()
    assert low <= truth.reward.mean() <= high and not found.refuted
    assert found.sharpest.low.value > found.mean.low.value + 0.15
    assert (found.low <= found.high).all() and (found.low_limit <= found.high_limit).all()
    table = found.table()
    assert list(table) == ["row", "prompt", "low", "high", "low_limit", "high_limit"]
    wrong = bounds(log, 0.8, folds=4, **FAST)
    assert wrong.refuted  # mean propensity is .3


@pytest.mark.parametrize("value", [0, -0.1, 1.1, float("nan")])
def test_a_least_propensity_is_a_probability_above_zero(value):
    with pytest.raises(BadInput, match=r"must lie in \(0, 1\]"):
        bounds(log_of(np.full(100, 0.3)), value)


def test_what_has_no_bounds_is_refused():
    log = log_of(np.full(100, 0.3))
    with pytest.raises(BadInput, match="propensity is told"):
        bounds(replace(log, propensity=np.full(100, 0.5)), 0.2)
    with pytest.raises(BadInput, match="at least 30"):
        bounds(replace(log, groups=np.arange(100) // 10), 0.2)
    with pytest.raises(BadInput, match="one replicate"):
        bounds(replace(log, feedback=np.repeat(log.feedback, 2, axis=0)), 0.2)
    with pytest.raises(BadInput, match="folds"):
        bounds(log, 0.2, folds=1)
