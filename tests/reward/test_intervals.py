"""Intervals cover at their level where the reward is identified, and are refused where it is not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, norm
from simbench_estimators.implicitrm import ImplicitRMKnown

from simbench.errors import BadInput
from simbench.reward.intervals import (
    MAXIMUM_LIKELIHOOD,
    at_estimate,
    bootstrap_intervals,
    information_intervals,
    maximum_likelihood,
    model_at,
)
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

SMALL = WorldConfig(n_features=4, test_size=200)


def told(replicates: int, size: int = 2000, bias_level: float = 1.0):
    world = build(SMALL, bias_level, size, 0)
    log, truth = world.draw(range(replicates))
    return world, replace(log, propensity=truth.propensity), truth


def test_where_everyone_acts_they_are_those_of_logistic_regression():
    """Witness: scikit-learn's fit, and (XᵀWX)⁻¹ in NumPy."""
    from sklearn.linear_model import LogisticRegression

    world, log, truth = told(1)
    log = replace(log, feedback=truth.preference.astype(np.float32), propensity=np.full(log.n_rows, 1 - 1e-9))
    found = information_intervals(log, world.test.features, 0.9)
    fit = LogisticRegression(C=1e8, max_iter=1000).fit(log.features, log.feedback[0])
    design = np.column_stack([log.features, np.ones(log.n_rows)]).astype(float)
    p = fit.predict_proba(log.features)[:, 1]
    covariance = np.linalg.inv(design.T @ ((p * (1 - p))[:, None] * design))
    wanted = np.column_stack([world.test.features, np.ones(len(world.test.features))]).astype(float)
    half = norm.ppf(0.95) * np.sqrt(np.einsum("ij,jk,ik->i", wanted, covariance, wanted))
    expected = 1 / (1 + np.exp(-(fit.decision_function(world.test.features) + half)))
    assert np.allclose(found.high, expected, atol=2e-3)


def test_they_cover_at_their_level():
    """120 logs at level .9: coverage of the mean within binomial bounds of error rate 1e-4."""
    world, log, truth = told(120)
    rewards = maximum_likelihood(log).predict(log.features)
    mean_covered, covered = 0, []
    for number, reward in enumerate(rewards):
        one = log.replicates(slice(number, number + 1))
        found = at_estimate(model_at(one, reward, truth.propensity), one, world.test.features, 0.9)
        mean_covered += found.mean_low <= truth.reward.mean() <= found.mean_high
        covered.append(((found.low <= world.test.reward) & (world.test.reward <= found.high)).mean())
    low, high = binom.interval(1 - 1e-4, 120, 0.9)
    assert low <= mean_covered <= high
    assert np.mean(covered) == pytest.approx(0.9, abs=5 * np.std(covered) / np.sqrt(120))


def test_the_bootstrap_agrees_with_the_information():
    world, log, _ = told(1)
    estimator = ImplicitRMKnown(**MAXIMUM_LIKELIHOOD, batch_size=log.n_rows)
    inputs = world.test.features
    by_information = information_intervals(log, inputs, 0.9)
    by_bootstrap = bootstrap_intervals(estimator, log, inputs, 0.9, resamples=100)
    widths = [(found.high - found.low).mean() for found in (by_information, by_bootstrap)]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)
    assert by_bootstrap.reward == pytest.approx(by_information.reward, abs=1e-3)


def test_where_the_log_does_not_decide_they_are_refused():
    world = build(PRESETS["shared"], 2.0, 3000, 0)
    log, _ = world.draw(range(1))
    with pytest.raises(BadInput, match="no interval is valid"):
        information_intervals(log, world.test.features)
