"""Metrics against brute force, unbiasedness of bias², and coverage of its interval."""

import numpy as np
import pytest
from scipy.stats import binom

from simbench.score.moments import Estimate, excess, score, verdict
from simbench.score.ranking import expected_auroc, pairwise_accuracy, regret

RNG = np.random.default_rng(0)
GAMMA = RNG.uniform(size=40)
GROUPS = np.repeat(np.arange(10), 4)
SCORES = np.round(RNG.uniform(size=(3, 40)), 1)  # with ties


def test_auroc_is_the_sum_over_pairs():
    for row, value in zip(SCORES, expected_auroc(SCORES, GAMMA), strict=True):
        wins = (row[:, None] > row) + 0.5 * (row[:, None] == row)
        weight = GAMMA[:, None] * (1 - GAMMA)
        np.fill_diagonal(weight, 0)
        assert value == pytest.approx((wins * weight).sum() / weight.sum(), abs=1e-12)


def test_pairs_and_regret_are_loops_over_prompts():
    for row, pairs, lost in zip(
        SCORES, pairwise_accuracy(SCORES, GAMMA, GROUPS), regret(SCORES, GAMMA, GROUPS), strict=True
    ):
        right, total, losses = 0.0, 0, []
        for prompt in range(10):
            members = np.flatnonzero(prompt == GROUPS)
            for i in members:
                for j in members[members > i]:
                    right += (1 + np.sign(row[i] - row[j]) * np.sign(GAMMA[i] - GAMMA[j])) / 2
                    total += 1
            top = members[row[members] == row[members].max()]
            losses.append(GAMMA[members].max() - GAMMA[top].mean())
        assert pairs == pytest.approx(right / total)
        assert lost == pytest.approx(np.mean(losses))


def test_bias2_is_the_corrected_square():
    found = score(SCORES, GAMMA, GROUPS)
    variance = SCORES.var(axis=0, ddof=1).mean()
    bias2 = ((SCORES.mean(0) - GAMMA) ** 2).mean() - variance / 3
    assert found["bias2"].value == pytest.approx(bias2, abs=1e-12)
    assert found["variance"].value == pytest.approx(variance, abs=1e-12)
    assert found["mse"].value == pytest.approx(bias2 + variance, abs=1e-12)


@pytest.mark.parametrize("bias", [0.0, 0.02, 0.1])
def test_the_interval_of_bias2_covers(bias):
    """400 studies of 20 replicates; at true coverage .93 the bound fails with probability 1e-6."""
    rng = np.random.default_rng(3)
    covered, error = 0, 0.0
    zero, groups = np.zeros(60), np.arange(60)
    for _ in range(400):
        found = score(bias + 0.05 * rng.standard_normal((20, 60)), zero, groups, n_bootstrap=300)["bias2"]
        covered += found.low <= bias**2 <= found.high
        error += (found.value - bias**2) / 400
    assert covered >= binom.ppf(1e-6, 400, 0.93)
    assert abs(error) < 5 * (2 * bias * 0.05 / np.sqrt(60 * 20) + 0.05**2 / 60) / 20  # 5 standard errors


def test_excess_over_itself_is_zero():
    scores = np.tile(SCORES, (4, 1)) + np.linspace(0, 0.01, 12)[:, None]
    found = excess(scores, scores, GAMMA)
    assert found["excess_bias2"] == Estimate(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("interval", "label"),
    [((0.0, -0.1, 0.001), "unbiased"), ((0.1, 0.05, 0.2), "biased"), ((0.002, 0.0, 0.02), "undecided")],
)
def test_the_verdict_rule(interval, label):
    found = verdict(Estimate(*interval), margin=0.0025, n_replicates=20)
    assert found.label == label
    assert (label == "undecided") == ("replicates" in found.reason)
