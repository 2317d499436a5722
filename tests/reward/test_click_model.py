"""Calibration of the click model: bins, test and intervals against loops and SciPy."""

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from simbench.reward.diagnosis.click_model import Calibration, click_calibration, wilson


def test_a_calibrated_model_passes_at_the_stated_rate_and_a_wrong_one_fails():
    """Level .05 over 400 draws: 9 to 33 rejections but for 1 in 1,000."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.6, 1000)
    values = [click_calibration(p, (rng.random(1000) < p).astype(float)).p_value for _ in range(400)]
    assert 9 <= np.sum(np.array(values) < 0.05) <= 33
    assert click_calibration(p, (rng.random(1000) < p**1.6).astype(float)).p_value < 1e-3


@pytest.mark.parametrize(("rows", "bins"), [(23, 10), (24, 4), (3, 10)])
def test_bins_and_statistic_are_those_of_a_loop(rows, bins):
    """Bins of equal size by rank, the earlier ones larger by one where the rows do not divide."""
    rng = np.random.default_rng(rows)
    p = rng.uniform(0.05, 0.95, rows)
    clicked = (rng.random(rows) < p).astype(float)
    ranked = sorted(zip(p, clicked, strict=True))
    sizes = [rows // bins + (number < rows % bins) for number in range(bins)]
    statistic, start, means, shares = 0.0, 0, [], []
    for size in filter(None, sizes):
        part = ranked[start : start + size]
        start += size
        expected, seen = sum(q for q, _ in part), sum(c for _, c in part)
        statistic += (seen - expected) ** 2 / sum(q * (1 - q) for q, _ in part)
        means.append(expected / size)
        shares.append(seen / size)
    found = click_calibration(p, clicked, bins)
    assert found.predicted == pytest.approx(means) and found.observed == pytest.approx(shares)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(1 - chi2.cdf(statistic, df=len(means)), abs=1e-9)
    ends = [binomtest(round(share * n), n).proportion_ci(method="wilson") for share, n in zip(shares, sizes)]  # noqa: B905
    assert found.low == pytest.approx([end.low for end in ends], abs=1e-9)
    assert found.high == pytest.approx([end.high for end in ends], abs=1e-9)


def test_there_are_ten_bins_unless_told_otherwise():
    p = np.linspace(0.1, 0.9, 100)
    assert len(click_calibration(p, (p > 0.5).astype(float)).predicted) == 10


@pytest.mark.parametrize("observed", [[0.1, 0.9, 0.5], [0.1, 0.2, 0.5]])
def test_the_largest_gap_is_that_of_one_bin_in_either_direction(observed):
    rest = np.zeros(3)
    found = Calibration(np.array([0.15, 0.55, 0.5]), np.array(observed), rest, rest, 0.0, 1.0)
    assert found.largest_gap == pytest.approx(0.35)


def test_wilson_is_statsmodels_value_of_the_textbook():
    """Newcombe 1998, table I: 81 of 263 gives [.2553, .3662]."""
    low, high = wilson(np.array([81 / 263]), np.array([263]))
    assert low[0] == pytest.approx(0.2553, abs=5e-5) and high[0] == pytest.approx(0.3662, abs=5e-5)
    at_zero = wilson(np.array([0.0]), np.array([10]))
    assert at_zero[0][0] <= 0 < at_zero[1][0]
    at_one = wilson(np.array([1.0]), np.array([10]))
    assert at_one[0][0] < 1 <= at_one[1][0]


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_wilson_is_scipys_at_every_level(level):
    for clicked, rows in ((0, 7), (3, 7), (50, 60), (5, 5)):
        low, high = wilson(np.array([clicked / rows]), np.array([rows]), level)
        ends = binomtest(clicked, rows).proportion_ci(level, method="wilson")
        assert (low[0], high[0]) == pytest.approx((ends.low, ends.high), abs=1e-9)
