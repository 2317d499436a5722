"""Bootstrap intervals: percentiles, centring and widening against the formula, and their coverage."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm, t

from simbench.score.moments import (
    Estimate,
    _interval,
    _resamples,
    excess,
    over_replicates,
    score,
)

RNG = np.random.default_rng(4)


def expected_interval(value, draws, level, n):
    """Percentiles about the mean of the draws, √(n/(n-1)) and the ratio of t to normal times as wide."""
    draws = np.sort([draw for draw in draws if math.isfinite(draw)])
    tail = (1 - level) / 2

    def quantile(q):  # linear between order statistics
        place = q * (len(draws) - 1)
        below = math.floor(place)
        above = min(below + 1, len(draws) - 1)
        return draws[below] + (place - below) * (draws[above] - draws[below])

    wider = math.sqrt(n / (n - 1)) * t.ppf(1 - tail, n - 1) / norm.ppf(1 - tail)
    mean = sum(draws) / len(draws)
    return value, value + wider * (quantile(tail) - mean), value + wider * (quantile(1 - tail) - mean)


def as_tuple(estimate: Estimate):
    return estimate.value, estimate.low, estimate.high


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_an_interval_is_its_formula(n, level):
    """Of skew draws whose mean is not the estimate: long upwards, and so is a wide interval."""
    draws = RNG.exponential(size=101)
    found = _interval(7.0, draws, level, n)
    assert as_tuple(found) == pytest.approx(expected_interval(7.0, draws, level, n), rel=1e-6)
    assert level == 0.5 or found.high - 7 > 7 - found.low


def test_draws_that_are_not_finite_are_left_out():
    draws = np.array([1.0, math.nan, 2.0, math.inf, 4.0, -math.inf])
    assert as_tuple(_interval(0.5, draws, 0.9, 4)) == pytest.approx(
        expected_interval(0.5, [1, 2, 4], 0.9, 4), rel=1e-6
    )


@pytest.mark.parametrize(
    ("value", "draws", "n"),
    [
        (1.0, [0.0, 1.0], 1),
        (1.0, [math.nan, math.nan], 5),
        (math.nan, [0.0, 1.0], 5),
    ],
)
def test_what_cannot_have_an_interval_has_none(value, draws, n):
    found = _interval(value, np.array(draws), 0.95, n)
    assert found.value == pytest.approx(value, nan_ok=True)
    assert math.isnan(found.low) and math.isnan(found.high)


def test_resamples_count_draws_with_replacement():
    """Each replicate is missed with probability ((n-1)/n)ⁿ: within a binomial bound of error 1e-6."""
    counts = _resamples(5, 4000, 3)
    assert counts.shape == (4000, 5) and (counts.sum(1) == 5).all()
    assert np.array_equal(counts, counts.round()) and (counts >= 0).all()
    for missed in (counts == 0).sum(0):
        assert binom.ppf(1e-7, 4000, 0.8**5) <= missed <= binom.isf(1e-7, 4000, 0.8**5)
    assert np.array_equal(counts, _resamples(5, 4000, 3))
    assert not np.array_equal(counts, _resamples(5, 4000, 4))


def test_the_interval_of_a_mean_comes_from_means_of_resamples():
    values = np.array([0.1, 0.2, 0.9, 0.4])
    draws = [sum(w * v for w, v in zip(row, values, strict=True)) / 4 for row in _resamples(4, 50, 2)]
    found = over_replicates(values, level=0.8, n_bootstrap=50, seed=2)
    assert as_tuple(found) == pytest.approx(expected_interval(0.4, draws, 0.8, 4), rel=1e-6)


@pytest.fixture(scope="module")
def drawn():
    reward = RNG.uniform(size=12)
    return reward + 0.1 * RNG.standard_normal((6, 12)), reward + 0.05 * RNG.standard_normal((6, 12)), reward


def resampled(predictions, reward, weights):
    """Bias² and MSE of every resample, by loops over pairs of two different replicates."""
    errors, bias2, mse = predictions - reward, [], []
    for row in weights.astype(int):
        drawn = np.repeat(np.arange(len(row)), row)
        pairs = [(errors[a] * errors[b]).mean() for a in drawn for b in drawn if a != b]
        bias2.append(np.mean(pairs) if pairs else math.nan)
        mse.append(np.mean([(errors[a] ** 2).mean() for a in drawn]))
    return np.array(bias2), np.array(mse)


def test_the_intervals_of_score_come_from_resampled_replicates(drawn):
    predictions, _, reward = drawn
    found = score(predictions, reward, np.arange(12), level=0.8, n_bootstrap=40, seed=5)
    bias2, mse = resampled(predictions, reward, _resamples(6, 40, 5))
    for name, draws in (("bias2", bias2), ("mse", mse), ("variance", mse - bias2)):
        expected = expected_interval(found[name].value, draws, 0.8, 6)
        assert as_tuple(found[name]) == pytest.approx(expected, rel=1e-6)
    mae = found["mae"]
    own = (reward * (1 - predictions) + (1 - reward) * predictions).mean(1)
    assert as_tuple(mae) == pytest.approx(
        as_tuple(over_replicates(own, level=0.8, n_bootstrap=40, seed=5)), rel=1e-9
    )


def test_the_intervals_of_excess_resample_replicates_in_pairs(drawn):
    mine, oracle, reward = drawn
    found = excess(mine, oracle, reward, level=0.8, n_bootstrap=40, seed=5)
    weights = _resamples(6, 40, 5)
    ours, theirs = resampled(mine, reward, weights), resampled(oracle, reward, weights)
    for number, name in enumerate(("excess_bias2", "excess_mse")):
        expected = expected_interval(found[name].value, ours[number] - theirs[number], 0.8, 6)
        assert as_tuple(found[name]) == pytest.approx(expected, rel=1e-6)


def test_defaults_are_a_thousand_resamples_at_95_percent(drawn):
    predictions, oracle, reward = drawn
    known = {"level": 0.95, "n_bootstrap": 1000, "seed": 0}
    groups = np.repeat(np.arange(4), 3)
    for found, expected in (
        (score(predictions, reward, groups), score(predictions, reward, groups, **known)),
        (excess(predictions, oracle, reward), excess(predictions, oracle, reward, **known)),
        ({"": over_replicates(reward)}, {"": over_replicates(reward, **known)}),
    ):
        for name, estimate in expected.items():
            assert as_tuple(found[name]) == pytest.approx(as_tuple(estimate))


@pytest.mark.parametrize("bias", [0.0, 0.02, 0.1])
def test_the_interval_of_bias2_covers(bias):
    """400 studies of 20 replicates; at true coverage .93 the bound fails with probability 1e-6.

    The excess over an oracle without error is bias² itself.
    """
    rng = np.random.default_rng(3)
    covered, error = 0, 0.0
    zero, perfect = np.zeros(60), np.zeros((20, 60))
    for _ in range(400):
        predictions = bias + 0.05 * rng.standard_normal((20, 60))
        found = excess(predictions, perfect, zero, n_bootstrap=300)["excess_bias2"]
        covered += found.low <= bias**2 <= found.high
        error += (found.value - bias**2) / 400
    assert covered >= binom.ppf(1e-6, 400, 0.93)
    assert abs(error) < 5 * (2 * bias * 0.05 / np.sqrt(60 * 20) + 0.05**2 / 60) / 20  # 5 standard errors
