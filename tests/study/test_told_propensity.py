"""Propensities that are told: each against the formula, or the regression, that its description states."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog, Truth
from simbench.streams import stream
from simbench.study.told_propensity import (
    context_ratio,
    dispersed,
    exposure_experiment,
    label_derived,
    shifted,
)
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

RNG = np.random.default_rng(0)
N = 300
FEATURES = RNG.standard_normal((N, 2)).astype(np.float32)
CONTEXT = RNG.standard_normal((N, 2)).astype(np.float32)
FEEDBACK = (RNG.random((2, N)) < expit(CONTEXT[:, 0] - 1)).astype(np.float32)
LOG = FeedbackLog(FEATURES, FEEDBACK, np.arange(N), CONTEXT)
TRUTH = Truth(
    reward=RNG.uniform(0.1, 0.9, N),
    propensity=expit(CONTEXT[:, 1].astype(float) - 0.5),
    preference=RNG.random((2, N)) < 0.5,
)


@pytest.mark.parametrize("log", [LOG, replace(LOG, context=None)], ids=["context", "features"])
@pytest.mark.parametrize("of_good", [False, True])
def test_the_exposure_experiment_is_a_regression_of_acts_on_what_is_logged(log, of_good):
    """60 shown: so few that the penalty of C = 10 shows, and an experiment of its own for each replicate."""
    acts = expit(FEATURES[:, 0].astype(float) + 0.5) if of_good else TRUTH.propensity
    truth = replace(TRUTH, propensity_of_good=acts) if of_good else TRUTH
    found = exposure_experiment(log, truth, 60, 7, "exposure", "name")
    inputs = FEATURES if log.context is None else CONTEXT
    for replicate in range(2):
        rng = stream(7, "exposure", "name", replicate)
        shown = rng.choice(N, 60, p=TRUTH.reward / TRUTH.reward.sum())
        acted = rng.random(60) < acts[shown]
        model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs[shown], acted)
        expected = expit(inputs @ model.coef_[0] + model.intercept_[0])
        assert found[replicate] == pytest.approx(expected, abs=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_the_experiment_shows_a_response_as_often_as_it_is_good():
    """Rewards .9 and .1, acts of .8 and .2: nine in ten of those shown are of the first kind, so that the
    regression on a constant feature is the rate of all, .74; 20,000 shown: its standard deviation is .003."""
    good = np.tile([0.9, 0.1], N // 2)
    log = replace(LOG, context=None, features=np.ones((N, 1), dtype=np.float32))
    truth = replace(TRUTH, reward=good, propensity=np.tile([0.8, 0.2], N // 2))
    found = exposure_experiment(log, truth, 20_000, 0)
    assert found == pytest.approx(np.full((2, N), 0.74), abs=0.016)  # 5 standard deviations


def test_clicks_by_context_are_a_regression_on_squares_and_products_over_a_high_quantile():
    found = context_ratio(LOG)
    inputs = PolynomialFeatures(2, include_bias=False).fit_transform(CONTEXT.astype(float))
    for replicate in range(2):
        model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs, FEEDBACK[replicate])
        rate = expit(inputs @ model.coef_[0] + model.intercept_[0])
        below, top = np.sort(rate)[-2:]  # the 99.9 % quantile of 300 lies .701 of the way between them
        ceiling = below + (0.999 * (N - 1) - (N - 2)) * (top - below)
        assert found[replicate] == pytest.approx(np.minimum(rate / ceiling, 1), rel=2e-3)
        assert found[replicate].max() == 1


def test_the_label_derived_propensity_is_the_rating_law_of_the_click():
    """By hand, at κ = .5: κ⁴ = 1/16; a click rate of 1/4 makes k = ρ / (1/4 + 3/64) = ρ · 64/19."""
    feedback = np.array([[1, 0, 0, 0], [1, 1, 1, 0]], dtype=np.float32)
    found = label_derived(feedback, 0.5, 0.19)
    assert found[0] == pytest.approx([0.64, 0.04, 0.04, 0.04])
    k = 0.19 / (3 / 4 + 1 / 64)
    assert found[1] == pytest.approx([k, k, k, k / 16])
    assert label_derived(feedback[:1], 0.5, 0.95)[0] == pytest.approx([1, 0.2, 0.2, 0.2])  # 3.2, capped
    assert label_derived(feedback, 1.0, 0.3) == pytest.approx(np.full((2, 4), 0.3))  # κ = 1: all alike


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_dispersion_scales_logits_and_keeps_the_mean(factor):
    alpha = TRUTH.propensity
    found = dispersed(alpha, factor)
    assert found.mean() == pytest.approx(alpha.mean(), abs=1e-9)
    assert np.diff(logit(found)) == pytest.approx(factor * np.diff(logit(alpha)), abs=1e-6)


def test_a_shift_is_added_to_logits_and_no_propensity_is_0():
    alpha = TRUTH.propensity
    assert logit(shifted(alpha, 1.25)) == pytest.approx(logit(alpha) + 1.25, abs=1e-9)
    assert shifted(alpha, -60.0) == pytest.approx(np.full(N, 1e-6))
    assert dispersed(np.array([1e-9, 0.5, 0.9]), 5.0).min() == pytest.approx(1e-6)
    sure = shifted(np.array([1.0]), -logit(1 - 1e-12) + 1)  # a certain act counts as one of odds 1e12
    assert logit(sure) == pytest.approx([1], abs=1e-3)


# -- what they recover ---------------------------------------------------------------------------


def test_the_exposure_experiment_recovers_a_logit_law():
    """2,000 shown: the standard error of a fitted logit is near .1."""
    log, truth = build(PRESETS["exclusive"], 1.0, 4000, 0).draw(range(2))
    found = exposure_experiment(log, truth, 2000, 0, "test")
    assert np.abs(logit(found) - logit(truth.propensity)).mean() < 0.2
    fewer = exposure_experiment(log, truth, 100, 0, "test")
    assert np.abs(logit(fewer) - logit(truth.propensity)).mean() > 0.2


def test_the_exposure_experiment_shows_good_responses_only():
    """Two kinds of response, one good and always acted on, one bad and never: all are seen to act."""
    features = np.repeat([[0.0], [1.0]], 500, axis=0).astype(np.float32)
    feedback = np.tile([0.0, 1.0], 500)[None].astype(np.float32)
    log = FeedbackLog(features, feedback, np.arange(1000))
    good = features[:, 0].astype(float)
    truth = Truth(good, np.where(good == 1, 1 - 1e-9, 1e-9), feedback > 0)
    with pytest.raises(BadInput, match="200 responses everyone acted: show more"):
        exposure_experiment(log, truth, 200, 0)


def context_log(ceiling, n=40_000):
    """Two contexts; users of the first act with probability ``ceiling``, of the second with half of it."""
    rng = np.random.default_rng(0)
    first = np.arange(n) % 2
    alpha = ceiling * np.where(first == 1, 1, 0.5)
    feedback = (rng.random((2, n)) < 0.6 * alpha).astype(np.float32)
    context = first[:, None].astype(np.float32)
    log = FeedbackLog(rng.standard_normal((n, 2)).astype(np.float32), feedback, np.arange(n), context)
    return log, alpha


@pytest.mark.parametrize("ceiling", [1.0, 0.5])
def test_context_gives_the_propensity_over_its_ceiling(ceiling):
    """Click rates of .6·ceiling and half of it, n = 20,000 each: a ratio known to 1.5 %."""
    log, alpha = context_log(ceiling)
    assert context_ratio(log) == pytest.approx(np.tile(alpha / ceiling, (2, 1)), rel=0.06)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_the_dispersion_is_what_it_states(factor):
    alpha = np.random.default_rng(0).uniform(0.01, 0.99, 500)
    found = dispersed(alpha, factor)
    assert found.mean() == pytest.approx(alpha.mean(), abs=1e-9)
    assert np.ptp(logit(found) - factor * logit(alpha)) < 1e-9


def test_the_shift_is_what_it_states_and_extremes_stay_probabilities():
    alpha = np.random.default_rng(0).uniform(0.01, 0.99, 500)
    assert logit(shifted(alpha, -1.5)) == pytest.approx(logit(alpha) - 1.5, abs=1e-9)
    edges = np.array([1e-12, 0.5, 1.0])
    for found in (dispersed(edges, 5.0), shifted(edges, 40.0), shifted(edges, -900.0)):
        assert ((found > 0) & (found <= 1)).all()
