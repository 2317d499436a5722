"""The squared norm of a mean: loops over pairs, the exact intervals that it must reproduce, and coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom
from scipy.stats import t as student

from simbench.score.estimate import over_replicates
from simbench.score.squared_mean import (
    gram_matrix,
    mse_with_interval,
    pseudo_values,
    spread,
    squared_mean,
    variance_with_interval,
    with_interval,
)


def noisy(rng, count, dimensions, bias, deviation=0.1):
    """Gram matrix of noise of so many dimensions about a mean whose norm is the bias."""
    rows = rng.standard_normal((count, dimensions)) * deviation / math.sqrt(dimensions)
    rows[:, 0] += bias
    return rows @ rows.T


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.tuples(st.integers(2, 7), st.integers(1, 5)), elements=st.floats(-1, 1)))
def test_the_estimate_is_the_mean_over_pairs(rows):
    count, width = rows.shape
    pairs = [rows[a] @ rows[b] / width for a in range(count) for b in range(count) if a != b]
    assert squared_mean(gram_matrix(rows, np.zeros(width))) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_pseudo_values_leave_one_replicate_out():
    gram = noisy(np.random.default_rng(0), 6, 3, 0.1)
    whole = squared_mean(gram)
    for out, found in enumerate(pseudo_values(gram)):
        kept = [row for row in range(6) if row != out]
        assert found == pytest.approx(6 * whole - 5 * squared_mean(gram[np.ix_(kept, kept)]))


def test_along_one_dimension_it_is_students_interval_squared():
    """``(|x̄| ± t s/√R)²``, with t's own quantiles; draws of the noise alone blur it by a few percent."""
    values = 0.5 + 0.1 * np.random.default_rng(1).standard_normal(12)
    found = with_interval(np.outer(values, values))
    half = student.ppf(0.975, 11) * values.std(ddof=1) / math.sqrt(12)
    assert found.value == pytest.approx(values.mean() ** 2 - values.var(ddof=1) / 12)
    assert (found.low, found.high) == pytest.approx(
        ((values.mean() - half) ** 2, (values.mean() + half) ** 2), rel=0.05
    )


def test_spread_of_many_replicates_is_that_of_the_law():
    found = spread(noisy(np.random.default_rng(2), 4000, 5, 0.3))
    assert found.variance == pytest.approx(0.01, rel=0.05)
    assert found.concentration == pytest.approx(0.2, rel=0.1)
    assert found.along == pytest.approx(0.2, rel=0.15)
    assert found.squared_mean == pytest.approx(0.09, rel=0.02)


COVERED = [(5, 1, 0.03), (5, 5, 0.0), (8, 1, 0.1), (8, 33, 0.03), (20, 5, 0.1), (20, 33, 0.0)]


@pytest.mark.parametrize(("count", "dimensions", "bias"), COVERED)
def test_intervals_cover(count, dimensions, bias):
    """250 draws: .90 is refused in error, if the coverage is .93, with a probability of at most .01."""
    rng, trials = np.random.default_rng(count * dimensions), 250
    covered = np.zeros(3)
    for _ in range(trials):
        gram = noisy(rng, count, dimensions, bias)
        for number, (make, truth) in enumerate(
            (
                (with_interval, bias**2),
                (variance_with_interval, 0.01),
                (mse_with_interval, bias**2 + 0.01),
            )
        ):
            found = make(gram)
            covered[number] += found.low <= truth <= found.high
    assert (covered >= binom.ppf(0.003, trials, 0.93)).all(), covered / trials


def test_below_five_replicates_there_is_no_interval():
    gram = noisy(np.random.default_rng(3), 4, 2, 0.1)
    for found in (with_interval(gram), variance_with_interval(gram), mse_with_interval(gram)):
        assert math.isfinite(found.value) and math.isnan(found.low) and math.isnan(found.high)
    assert math.isnan(over_replicates(np.arange(4.0)).low)


def test_variances_and_mse_have_no_negative_ends():
    for seed in range(20):
        gram = noisy(np.random.default_rng(seed), 5, 1, 0.0)
        assert 0 < variance_with_interval(gram).low < variance_with_interval(gram).high
        assert 0 < mse_with_interval(gram).low < mse_with_interval(gram).high


def test_an_estimate_below_zero_is_the_lower_end_of_its_interval():
    found = next(
        found
        for seed in range(50)
        if (found := with_interval(noisy(np.random.default_rng(seed), 8, 5, 0.0))).value < 0
    )
    assert found.low == found.value < 0 <= found.high


def test_the_interval_of_a_mean_is_students():
    values = np.array([0.1, 0.4, 0.2, 0.9, 0.3])
    half = student.ppf(0.95, 4) * values.std(ddof=1) / math.sqrt(5)
    found = over_replicates(values, level=0.9)
    assert (found.value, found.low, found.high) == pytest.approx((0.38, 0.38 - half, 0.38 + half))
