"""Intervals: their formulae by hand, their coverage at level, and their refusal where nothing identifies."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom, norm
from simbench_estimators.implicitrm import ImplicitRMKnown
from stand_ins import Fit, StandIn

from simbench.errors import BadInput
from simbench.estimator import registry
from simbench.log.feedback import FeedbackLog
from simbench.reward import intervals as module
from simbench.reward.intervals import (
    MAXIMUM_LIKELIHOOD,
    _basic,
    _on_logit,
    at_estimate,
    bootstrap_intervals,
    information_intervals,
    maximum_likelihood,
    model_at,
    require_identified,
)
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

SMALL = WorldConfig().changed(n_features=4, test_size=200)


def told(replicates: int, size: int = 2000, bias_level: float = 1.0):
    world = build(SMALL, bias_level, size, 0)
    log, truth = world.draw(range(replicates))
    return world, replace(log, propensity=truth.propensity), truth


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def with_one(matrix):
    return np.column_stack([matrix, np.ones(len(matrix))]).astype(float)


@pytest.fixture(params=[True, False], ids=["propensity known", "propensity unknown"])
def by_hand(request):
    """A logistic log of 60 responses, and the information of its clicks written out row by row."""
    rng = np.random.default_rng(8)
    x, z = rng.standard_normal((2, 60, 2)).astype(np.float32)
    theta, eta = np.array([0.8, -0.5, 0.3]), np.array([1.2, 0.4, -0.2])
    gamma, alpha = sigmoid(with_one(x) @ theta), sigmoid(with_one(z) @ eta)
    knows = request.param
    information = np.zeros((3, 3) if knows else (6, 6))
    for row in range(60):
        of_reward = alpha[row] * gamma[row] * (1 - gamma[row]) * with_one(x)[row]
        of_propensity = gamma[row] * alpha[row] * (1 - alpha[row]) * with_one(z)[row]
        gradient = of_reward if knows else np.r_[of_reward, of_propensity]
        p = gamma[row] * alpha[row]
        information += np.outer(gradient, gradient) / (p * (1 - p))
    feedback = (np.arange(60) % 2).astype(np.float32)[None]
    log = FeedbackLog(x, feedback, np.arange(60), context=z, propensity=alpha if knows else None)
    model = model_at(log, gamma, alpha)
    return SimpleNamespace(
        log=log, gamma=gamma, theta=theta, model=model, covariance=np.linalg.inv(information)[:3, :3]
    )


@pytest.mark.parametrize("level", [0.9, 0.5])
def test_they_are_the_delta_methods_on_the_logits_scale(by_hand, level):
    """The mean's are of the log's responses, wherever rewards are wanted."""
    inputs = np.random.default_rng(9).standard_normal((7, 2)).astype(np.float32)
    found = at_estimate(by_hand.model, by_hand.log, inputs, level)
    z = {0.9: 1.6448536, 0.5: 0.6744898}[level]
    score = with_one(inputs) @ by_hand.theta
    error = np.sqrt([row @ by_hand.covariance @ row for row in with_one(inputs)])  # of the logit itself
    assert found.reward == pytest.approx(sigmoid(score), rel=1e-4)
    assert found.low == pytest.approx(sigmoid(score - z * error), rel=1e-3)
    assert found.high == pytest.approx(sigmoid(score + z * error), rel=1e-3)
    gamma, mean = by_hand.gamma, by_hand.gamma.mean()
    slope = ((gamma * (1 - gamma))[:, None] * with_one(by_hand.log.features)).mean(0)
    half = z * np.sqrt(slope @ by_hand.covariance @ slope) / (mean * (1 - mean))
    score = np.log(mean / (1 - mean))
    assert found.mean == pytest.approx(mean, rel=1e-4)
    ends = (found.mean_low, found.mean_high)
    assert ends == pytest.approx((sigmoid(score - half), sigmoid(score + half)), rel=1e-3)


def test_a_singular_information_is_refused(by_hand):
    """Twice the same column, of which no combination is decided."""
    log = by_hand.log
    twice = replace(log, features=np.asarray(log.features)[:, [0, 0]])
    gamma = sigmoid(np.asarray(log.features)[:, 0].astype(float))
    with pytest.raises(BadInput, match="information is singular"):
        at_estimate(model_at(twice, gamma, np.full(60, 0.5)), twice, twice.features, 0.9)


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_an_interval_on_the_logit_by_hand(level):
    low, high = _on_logit(np.array([0.5, 0.2]), np.array([0.1, 0.04]), level)
    half = norm.ppf(1 - (1 - level) / 2) * np.array([0.1 / 0.25, 0.04 / 0.16])
    score = np.array([0, np.log(0.25)])
    assert low == pytest.approx(sigmoid(score - half)) and high == pytest.approx(sigmoid(score + half))


@pytest.mark.parametrize("level", [0.8, 0.5])
def test_the_basic_bootstrap_turns_the_quantiles_round_the_estimate(level):
    """Eleven skewed draws: at level .8 the quantiles are the second and the tenth of them in order."""
    scores = np.array([0.5, 2, -0.2, 4, 0.1, 1, 0, 0.3, 8, 0.2, 3])
    draws = sigmoid(np.stack([scores, -2 * scores], 1))
    estimate = sigmoid(np.array([0.4, 0.1]))
    low, high = _basic(estimate, draws, level)
    for column, (own, each) in enumerate(((0.4, sorted(scores)), (0.1, sorted(-2 * scores)))):
        tail = (1 - level) / 2 * 10
        least, most = (np.interp(place, range(11), each) for place in (tail, 10 - tail))
        assert low[column] == pytest.approx(sigmoid(2 * own - most))
        assert high[column] == pytest.approx(sigmoid(2 * own - least))


def test_the_model_is_read_off_probabilities_that_are_kept_from_0_and_1():
    """The propensity's own coefficients where it is unknown; a told one is held as it is."""
    rng = np.random.default_rng(1)
    x, z = rng.standard_normal((2, 30, 2)).astype(np.float32)
    feedback = (np.arange(30) % 2).astype(np.float32)[None]
    log = FeedbackLog(x, feedback, np.arange(30), context=z)
    gamma, alpha = sigmoid(with_one(x) @ [1, 2, 3]), sigmoid(with_one(z) @ [3, 2, 1])
    model = model_at(log, gamma, alpha)
    assert model.theta.numpy() == pytest.approx([1, 2, 3], abs=1e-3)
    assert model.eta.numpy() == pytest.approx([3, 2, 1], abs=1e-3)
    assert model.propensity(model.eta, model.propensity_inputs[4]).item() == pytest.approx(alpha[4], abs=1e-4)
    same = model_at(replace(log, context=None), gamma, sigmoid(with_one(x) @ [3, 2, 1]))
    assert same.eta.numpy() == pytest.approx([3, 2, 1], abs=1e-3)
    known = model_at(replace(log, propensity=alpha), gamma, alpha)
    assert len(known.eta) == 0
    assert known.propensity(known.eta, known.propensity_inputs[4]).item() == pytest.approx(alpha[4])
    sure = model_at(log, np.ones(30), np.zeros(30))
    assert sigmoid(sure.theta[-1].item()) == pytest.approx(1 - 1e-6, abs=1e-8)
    assert sigmoid(sure.eta[-1].item()) == pytest.approx(1e-6, rel=1e-3)


def refits(reward, propensity, scores=()):
    """Fitted once it answers these; on many logs, rewards whose logit is the log's score plus half of x."""

    def fit(log, parameters):
        if log.n_replicates == 1:
            return Fit(lambda x: reward(x)[None], lambda x: propensity(x)[None])
        return Fit(lambda x: sigmoid(np.add.outer(scores, x[:, 0] / 2)))

    return StandIn(fit)


@pytest.mark.parametrize("knows", [True, False])
def test_bootstrap_clicks_are_redrawn_from_reward_and_propensity(knows, monkeypatch):
    """400 resamples of 60 responses: each share within five standard errors (error rate 4e-5 in all)."""
    asked = []
    found = SimpleNamespace(warning=None)
    monkeypatch.setattr(module, "train_restarts", lambda *given: asked.append(given) or found)
    x = np.linspace(-1, 1, 60, dtype=np.float32)[:, None]
    feedback = (np.arange(60) % 2).astype(np.float32)[None]
    alpha = np.linspace(0.9, 0.3, 60)
    log = FeedbackLog(x, feedback, np.arange(60), context=2 * x, propensity=alpha if knows else None)
    scores = np.random.default_rng(3).exponential(size=400)
    estimator = refits(
        lambda x: 0.5 + x[:, 0] / 4, lambda z: 0.5 + z[:, 0] / 8 if not knows else 1 / 0, scores
    )
    inputs = np.array([[0.4], [0.8]])
    result = bootstrap_intervals(estimator, log, inputs, 0.8, resamples=400)
    drawn = estimator.logs[1]
    click = (0.5 + x[:, 0] / 4) * (alpha if knows else 0.5 + x[:, 0] / 4)
    assert drawn.feedback.shape == (400, 60) and drawn.feedback.dtype == np.float32
    assert np.abs(drawn.feedback.mean(0) - click).max() < 5 * np.sqrt(0.25 / 400)
    assert result.reward == pytest.approx([0.6, 0.7]) and result.mean == pytest.approx(0.5)
    means = np.array([sigmoid(score + x[:, 0] / 2).mean() for score in scores])
    for own, draws, ends in (
        (0.6, scores + 0.2, (result.low[0], result.high[0])),
        (0.7, scores + 0.4, (result.low[1], result.high[1])),
        (0.5, np.log(means / (1 - means)), (result.mean_low, result.mean_high)),
    ):
        low, high = np.quantile(draws, [0.1, 0.9])
        score = np.log(own / (1 - own))
        assert ends == pytest.approx((sigmoid(2 * score - high), sigmoid(2 * score - low)), rel=1e-6)
    assert len(asked) == (0 if knows else 1)


def test_what_identifies_is_asked_of_five_restarts_with_the_same_heads(monkeypatch):
    asked, found = [], SimpleNamespace(warning=None)
    monkeypatch.setattr(module, "train_restarts", lambda *given: asked.append(given) or found)
    _, log, _ = told(1, 50)
    require_identified(log, {"hidden": (3,)})
    assert not asked  # a told propensity identifies
    bare = replace(log, propensity=None)
    require_identified(bare, {"hidden": (3,)})
    estimator, given, replicates, restarts = asked[0]
    assert (estimator.name, estimator.hidden, restarts) == ("implicitrm", (3,), 5)
    assert given is bare and list(replicates) == [0]
    found.warning = "they disagree."
    with pytest.raises(BadInput, match="no interval is valid here: they disagree"):
        bootstrap_intervals(StandIn(hidden=(3,)), bare, np.zeros((1, 4)))
    assert asked[-1][0].hidden == (3,)


def test_maximum_likelihood_knows_what_is_told(monkeypatch):
    made = []

    def noted(propensity_is_told):
        name = registry.likelihood(propensity_is_told).name
        return lambda **own: made.append((name, own)) or StandIn(lambda *given: None)

    monkeypatch.setattr(module, "likelihood", noted)
    _, log, _ = told(1, 50)
    maximum_likelihood(log)
    maximum_likelihood(replace(log, propensity=None))
    assert [name for name, _ in made] == ["implicitrm-known", "implicitrm"]
    assert made[0][1] == {**MAXIMUM_LIKELIHOOD, "batch_size": 50}


def test_where_everyone_acts_they_are_those_of_logistic_regression():
    """Witness: scikit-learn's fit, and (XᵀWX)⁻¹ in NumPy."""
    from sklearn.linear_model import LogisticRegression

    world, log, truth = told(1)
    log = replace(log, feedback=truth.preference.astype(np.float32), propensity=np.full(log.n_rows, 1 - 1e-9))
    found = information_intervals(log, world.test.features, 0.9)
    fit = LogisticRegression(C=1e8, max_iter=1000).fit(log.features, log.feedback[0])
    design = with_one(log.features)
    p = fit.predict_proba(log.features)[:, 1]
    covariance = np.linalg.inv(design.T @ ((p * (1 - p))[:, None] * design))
    wanted = with_one(world.test.features)
    half = norm.ppf(0.95) * np.sqrt(np.einsum("ij,jk,ik->i", wanted, covariance, wanted))
    expected = sigmoid(fit.decision_function(world.test.features) + half)
    assert np.allclose(found.high, expected, atol=2e-3)
    assert np.allclose(found.low, sigmoid(fit.decision_function(world.test.features) - half), atol=2e-3)


@pytest.mark.parametrize("size", [600, pytest.param(2000, marks=pytest.mark.slow)])
def test_they_cover_at_their_level(size):
    """120 logs at level .9: coverage of the mean within binomial bounds of error rate 1e-4."""
    world, log, truth = told(120, size)
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


@pytest.mark.parametrize("size", [600, pytest.param(2000, marks=pytest.mark.slow)])
def test_the_bootstrap_agrees_with_the_information(size):
    world, log, _ = told(1, size)
    estimator = ImplicitRMKnown(**MAXIMUM_LIKELIHOOD, batch_size=log.n_rows)
    inputs = world.test.features
    by_information = information_intervals(log, inputs, 0.9)
    by_bootstrap = bootstrap_intervals(estimator, log, inputs, 0.9, resamples=100)
    widths = [(found.high - found.low).mean() for found in (by_information, by_bootstrap)]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)
    assert by_bootstrap.reward == pytest.approx(by_information.reward, abs=1e-3)


@pytest.mark.parametrize(("size", "features"), [(1000, 4), pytest.param(3000, 32, marks=pytest.mark.slow)])
def test_where_the_log_does_not_decide_they_are_refused(size, features):
    config = PRESETS["shared"].changed(n_features=features, test_size=100)
    world = build(config, 2.0, size, 0)
    log, _ = world.draw(range(1))
    with pytest.raises(BadInput, match="no interval is valid"):
        information_intervals(log, world.test.features)
