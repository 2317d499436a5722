"""Verdicts: the rule, its words, its error rates, and the number of replicates that decides."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from simbench.score.across import indistinguishable, over_worlds
from simbench.score.estimate import Estimate
from simbench.score.squared_mean import Spread, spread, with_interval
from simbench.score.verdicts import replicates_needed, verdict

MARGIN = 0.0025
FARTHER, NEARER = Estimate(0.1, 0.05, 0.2), Estimate(-0.1, -0.2, -0.05)
NOISE = Spread(0.002, 0.003, 0.01, 0.2, 0.2)


def noisy(rng, count, bias, dimensions=5):
    rows = rng.standard_normal((count, dimensions)) * 0.1 / math.sqrt(dimensions)
    rows[:, 0] += bias
    return rows @ rows.T


@pytest.mark.parametrize(
    ("interval", "excess", "label"),
    [
        ((0.0, 0.0, 0.001), FARTHER, "unbiased"),
        ((0.1, 0.05, 0.2), FARTHER, "biased"),
        ((0.1, 0.05, 0.2), NEARER, "nearer than oracle"),
        ((0.1, 0.05, 0.2), Estimate(-0.1, -0.2, 0.0), "biased"),  # 0 is not below 0
        ((0.0, 0.0, 0.001), NEARER, "unbiased"),
        ((0.002, 0.0, 0.02), FARTHER, "undecided"),
        ((0.002, 0.0, 0.0025), FARTHER, "undecided"),  # the margin itself is not inside
        ((0.003, 0.0025, 0.02), FARTHER, "undecided"),  # nor outside
        ((-0.0001, -0.0001, 0.0024), FARTHER, "unbiased"),
    ],
)
def test_the_verdict_rule(interval, excess, label):
    found = verdict(Estimate(*interval), excess, margin=MARGIN, noise=NOISE)
    assert found.label == label
    assert (label == "undecided") == (found.replicates_needed is not None)
    assert f"margin {MARGIN:.4f}" in found.reason


def test_without_an_interval_it_needs_replicates_or_worlds():
    none = Estimate(0.1, math.nan, math.nan)
    found = verdict(none, none, margin=MARGIN, noise=NOISE)
    assert (found.label, found.replicates_needed) == ("undecided", None)
    assert found.reason == "needs replicates: fewer than 5 replicates give no interval"
    assert "more worlds" in verdict(Estimate(0.002, 0, 0.1), FARTHER, margin=MARGIN).reason


def test_at_the_margin_firm_verdicts_are_rare():
    """Truth at the margin: either firm verdict is wrong, in at most .04 of 250 draws (error 1e-3)."""
    rng, firm = np.random.default_rng(0), {"unbiased": 0, "biased": 0, "undecided": 0}
    for _ in range(250):
        gram = noisy(rng, 8, math.sqrt(MARGIN))
        firm[verdict(with_interval(gram), FARTHER, margin=MARGIN, noise=spread(gram)).label] += 1
    assert max(firm["unbiased"], firm["biased"]) <= binom.isf(1e-3, 250, 0.04)
    assert firm["undecided"] > 200


@pytest.mark.parametrize(("factor", "label"), [(0.5, "unbiased"), (2, "biased")])
def test_the_number_that_would_decide_does(factor, label):
    """In four fifths of 80 studies that were undecided at first; a binomial bound of error 1e-3."""
    rng, undecided, decided = np.random.default_rng(1), 0, 0
    while undecided < 80:
        gram = noisy(rng, 8, math.sqrt(factor * MARGIN))
        first = verdict(with_interval(gram), FARTHER, margin=MARGIN, noise=spread(gram))
        if first.replicates_needed is None:
            continue
        undecided += 1
        gram = noisy(rng, first.replicates_needed, math.sqrt(factor * MARGIN))
        decided += verdict(with_interval(gram), FARTHER, margin=MARGIN, noise=spread(gram)).label == label
    assert decided >= binom.ppf(1e-3, 80, 0.8)


def test_noise_that_no_number_of_replicates_beats():
    assert replicates_needed(Spread(0.002, 0.003, 1000.0, 1.0, 1.0), MARGIN) is None
    assert replicates_needed(NOISE, 1.0) == 5


def test_the_mean_over_worlds_is_students():
    values = np.array([0.1595, 0.1984, 0.1849])  # of one kind of world at three seeds
    found = over_worlds(values)
    half = 4.302652729749464 * values.std(ddof=1) / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert math.isnan(over_worlds(values[:1]).low)


def test_the_best_is_among_the_indistinguishable():
    """At level .95, over 400 sets of six estimators of which three are equally best; error 1e-3."""
    rng, kept = np.random.default_rng(2), 0
    mean = np.array([0.1, 0.1, 0.1, 0.12, 0.15, 0.3])
    for _ in range(400):
        shared = rng.normal(0, 0.05, 5)
        kept += indistinguishable(mean[:, None] + shared + rng.normal(0, 0.01, (6, 5)))[0]
    assert kept >= binom.ppf(1e-3, 400, 0.95)


def test_what_is_clearly_worse_is_left_out_and_few_units_tell_nothing():
    errors = np.array(
        [[0.1, 0.11, 0.12, 0.13, 0.14], [0.1, 0.112, 0.118, 0.131, 0.14], [0.5, 0.6, 0.5, 0.6, 0.5]]
    )
    assert indistinguishable(errors).tolist() == [True, True, False]
    assert indistinguishable(errors[:, :2]).all()
