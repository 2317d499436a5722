"""Values, their intervals, and how they print."""

import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import brentq
from scipy.stats import sem, t, ttest_1samp

from simbench.repro.findings import Finding, Table
from simbench.repro.quantities import Quantity, exact, mean_of, ratio_of
from simbench.repro.verdicts import ClaimVerdict


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(1, 2, 15)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean_of(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_simultaneous_intervals_are_wider():
    values = np.random.default_rng(0).normal(1, 2, 15)
    expected = ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 10)
    assert mean_of(values, comparisons=10).high == pytest.approx(expected.high)


def test_a_mean_has_its_standard_error_count_and_digits():
    values = np.random.default_rng(0).normal(1, 2, 15)
    found = mean_of(values, digits=5)
    assert (found.value, found.error) == pytest.approx((values.mean(), sem(values)))
    assert (found.n, found.digits, found.kind) == (15, 5, "statistical")
    assert mean_of(values).digits == 3
    expected = ttest_1samp(values, 0).confidence_interval(0.8)
    found = mean_of(values, 0.8)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    both = mean_of(values, 0.9, comparisons=4)
    expected = ttest_1samp(values, 0).confidence_interval(1 - 0.1 / 4)
    assert (both.low, both.high) == pytest.approx((expected.low, expected.high))


def test_one_value_is_a_mean_without_an_interval():
    found = mean_of(np.array([0.25]), digits=2)
    assert (found.value, found.low, found.high, found.error, found.n) == (0.25, None, None, None, 1)
    assert str(found) == "0.25"
    assert mean_of(np.array([0.25, 0.75])).low is not None


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_fiellers_bounds_are_the_ratios_at_which_a_t_test_turns(level):
    """``ρ`` with ``|mean(a - ρ b)|`` equal to t standard errors of ``a - ρ b``, found by bisection."""
    rng = np.random.default_rng(2)
    b = rng.normal(2, 1, 12)
    a = 0.7 * b + rng.normal(0, 1, 12)
    found = ratio_of(a, b, level)

    def beyond(ratio):
        return abs((a - ratio * b).mean()) / sem(a - ratio * b) - t.ppf((1 + level) / 2, 11)

    ratio = a.mean() / b.mean()
    assert found.value == pytest.approx(ratio)
    assert found.low == pytest.approx(brentq(beyond, ratio - 3, ratio))
    assert found.high == pytest.approx(brentq(beyond, ratio, ratio + 3))
    # by the delta method, the error of a ratio is that of the mean of (a - ratio b) over the denominator
    assert found.error == pytest.approx(sem(a - ratio * b) / b.mean())
    assert (found.n, found.digits, found.kind) == (12, 2, "statistical")
    assert ratio_of(a, b, digits=4).digits == 4
    assert ratio_of(a, b).high == pytest.approx(ratio_of(a, b, 0.95).high)


def test_a_ratio_of_negative_means_has_a_positive_error_and_ordered_bounds():
    rng = np.random.default_rng(2)
    b = rng.normal(-2, 0.3, 12)
    found = ratio_of(rng.normal(1, 0.3, 12), b)
    assert found.low < found.value < found.high < 0 < found.error


def test_a_ratio_of_proportional_values_is_sure():
    b = np.array([1.0, 2.0, 4.0])
    found = ratio_of(3 * b, b + 0 * b, 0.5)
    assert (found.value, found.low, found.high) == pytest.approx((3, 3, 3))
    assert found.error == pytest.approx(0, abs=1e-6)


def test_a_denominator_is_told_from_none_just_where_its_own_interval_leaves_0():
    """Three values of mean 1 and deviation s: t s/√3 = 1 at s = .4025."""
    turn = math.sqrt(3) / t.ppf(0.975, 2)
    for s, exists in ((turn * 0.999, True), (turn * 1.001, False)):
        found = ratio_of(np.array([1.0, 1.1, 0.9]), 1 + s * np.array([1.0, 0.0, -1.0]))
        assert (found.value is not None) == exists
        assert (found.low is None) == (found.high is None) == (found.error is None) == (not exists)
        assert found.n == 3


@pytest.mark.parametrize(
    ("numerator", "denominator"), [([1.0], [2.0]), ([1.0, 2.0], [1.0, -1.0]), ([1.0, 2.0], [0.0, 0.0])]
)
def test_a_ratio_of_one_pair_or_over_0_is_no_number(numerator, denominator):
    found = ratio_of(np.array(numerator), np.array(denominator), digits=1)
    assert (found.value, found.low, found.high, found.error) == (None, None, None, None)
    assert (found.n, found.digits) == (len(numerator), 1)


def test_a_gain_of_nothing_is_a_share_of_0():
    found = ratio_of(np.array([1.0, -1.0, 0.0]), np.array([9.0, 10.0, 11.0]))
    assert found.value == 0 and found.low < 0 < found.high


def test_two_pairs_have_a_ratio():
    found = ratio_of(np.array([1.0, 1.1]), np.array([2.0, 2.01]))
    assert found.value == pytest.approx(1.05 / 2.005) and found.low < found.value < found.high


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
        (Quantity(value=2.0, low=None, high=3.0, digits=0), "2 [-∞, 3]"),
        (Quantity(value=2.0, low=-math.inf, high=3.0, digits=0), "2 [-∞, 3]"),
        (Quantity(value=2.0, digits=2), "2.00"),
        (Quantity(value=25.0, digits=0), "25"),
        (Quantity(value=-0.006, low=-0.0004, high=0.5, digits=2), "-0.01 [0.00, 0.50]"),
        (Quantity(value=-0.1, digits=1), "-0.1"),
        (Quantity(value=0.5, low=0.1, high=0.9, kind="derived"), "0.500"),
        (Quantity(value=0.5, low=0.1, high=0.9, kind="speed", digits=1), "0.5"),
        (exact(123456.0), "1.2e+05"),
        (exact(-0.0, 2), "0.00"),
        (exact(0.12345, 4), "0.1235"),
        (exact(1.23456, -4), "1.235"),
    ],
)
def test_how_a_value_prints(quantity, text):
    assert str(quantity) == text


def test_verdicts_are_told_by_these_words():
    expected = ["holds", "holds under a condition", "does not hold", "could not be tested here"]
    assert [ClaimVerdict.holds, ClaimVerdict.condition, ClaimVerdict.fails, ClaimVerdict.untested] == expected


@pytest.mark.parametrize("kind", [Quantity, Table, Finding])
def test_what_a_claim_rests_on_can_be_neither_extended_nor_changed(kind):
    known = {
        Quantity: {"value": 0.5},
        Table: {"title": "t", "columns": (), "rows": ()},
        Finding: {"key": "x", "claim": "", "command": "", "verdict": "holds", "because": ""},
    }[kind]
    made = kind(**known)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, next(iter(known)), next(iter(known.values())))
    with pytest.raises(ValidationError, match="more"):
        kind(**known, more=1)


def test_what_is_not_finite_is_kept_as_none():
    found = Quantity(value=math.inf, low=math.nan, high=-math.inf, error=math.nan)
    assert (found.value, found.low, found.high, found.error) == (None, None, None, None)
    found = Quantity(value=np.float32(0.5), low=0, high=1, error=np.float64(0.25))
    assert (found.value, found.low, found.high, found.error) == (0.5, 0.0, 1.0, 0.25)
    assert type(found.value) is float and type(found.high) is float
    assert (found.n, found.kind, found.digits) == (0, "statistical", 3)


def test_an_exact_value_says_so():
    found = exact(0.25)
    assert (found.value, found.kind, found.digits, found.n) == (0.25, "exact", -2, 0)
    assert (found.low, found.high, found.error) == (None, None, None)


def test_slots_are_filled_with_the_quantities_they_name():
    quantities = {"r2 naive": Quantity(value=0.25, low=0.2, high=0.3, digits=2), "n": exact(4.0)}
    finding = Finding(
        key="x", claim="", command="", verdict=ClaimVerdict.holds, because="", quantities=quantities
    )
    assert (finding.rule, finding.is_exact, finding.tables) == ("", False, ())
    assert finding.fill("R² {r2 naive} at {n}; {n}") == "R² 0.25 [0.20, 0.30] at 4; 4"
    assert finding.fill("no slot, {} or braces {") == "no slot, {} or braces {"


def test_a_slot_without_a_quantity_is_an_error():
    finding = Finding(key="x", claim="", command="", verdict=ClaimVerdict.holds, because="{gone}")
    with pytest.raises(KeyError):
        finding.fill(finding.because)


def test_a_row_must_fit_its_columns():
    with pytest.raises(ValueError, match="does not fit"):
        Table(title="t", columns=("a", "b"), rows=(("1", "2"), ("1",)))
    assert Table(title="t", columns=("a", "b"), rows=(("1", "2"),)).note == ""
