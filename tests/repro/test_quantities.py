"""Values, their intervals, and how they print."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from simbench.repro.quantities import Finding, Quantity, Table, Verdict, by_share, exact, mean_of, ratio_of


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(1, 2, 15)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean_of(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_simultaneous_intervals_are_wider():
    values = np.random.default_rng(0).normal(1, 2, 15)
    expected = ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 10)
    assert mean_of(values, comparisons=10).high == pytest.approx(expected.high)


def test_fiellers_interval_covers_at_its_level():
    """2,000 ratios of means of 10: coverage within the binomial bound at an error rate of 1e-6."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        b = rng.normal(2, 1, 10)
        a = 0.5 * b + rng.normal(0, 0.5, 10)  # the means' ratio is exactly 1/2
        found = ratio_of(a, b)
        hits += found.value is None or (found.low or -9) <= 0.5 <= (found.high or 9)
    assert 1852 <= hits <= 1942  # .95 of 2,000, plus and minus 4.9 standard deviations


def test_a_share_of_no_gain_is_no_number():
    rng = np.random.default_rng(0)
    found = ratio_of(rng.normal(1, 1, 10), rng.normal(0, 1, 10))
    assert found.value is None and str(found) == "–"


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Quantity(value=0.12345, low=0.1, high=0.2), "0.123 [0.100, 0.200]"),
        (Quantity(value=-0.0001, digits=3), "0.000"),
        (exact(1.234e-15), "1.2e-15"),
        (Quantity(value=float("nan")), "–"),
        (Quantity(value=2.0, low=1.0, high=None, digits=1), "2.0 [1.0, ∞]"),
    ],
)
def test_how_a_value_prints(quantity, text):
    assert str(quantity) == text


def test_a_slot_without_a_quantity_is_an_error():
    finding = Finding(key="x", claim="", command="", verdict=Verdict.holds, because="{gone}")
    with pytest.raises(KeyError):
        finding.fill(finding.because)


def test_a_row_must_fit_its_columns():
    with pytest.raises(ValueError, match="does not fit"):
        Table(title="t", columns=("a", "b"), rows=(("1",),))


@pytest.mark.parametrize(
    ("holding", "verdict"),
    [
        ([], Verdict.untested),
        ([True, True], Verdict.holds),
        ([True, False], Verdict.condition),
        ([False, False], Verdict.fails),
    ],
)
def test_the_verdict_of_many(holding, verdict):
    assert by_share(holding) is verdict
