"""Bounds of logistic models in closed form, written in NumPy: at points, of means, and over sizes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import expit

from simbench.errors import BadInput
from simbench.score.bound import (
    ParametricModel,
    logistic,
    logistic_model,
    logit_coefficients,
    mean_bound,
    mean_reward_bound,
    parameter_covariance,
    required_size,
    reward_bound,
)

RNG = np.random.default_rng(0)
X, Z, ELSEWHERE = RNG.normal(size=(60, 2)), RNG.normal(size=(60, 1)), 1 + RNG.normal(size=(7, 2))
THETA, ETA = np.array([0.7, -0.4, 0.2]), np.array([0.9, -0.5])


def with_one(x):
    return np.column_stack([x, np.ones(len(x))])


def model_of(x=X, z=Z, theta=THETA, eta=ETA):
    return ParametricModel(logistic, logistic, *(torch.as_tensor(v) for v in (theta, eta, x, z)))


def covariance(knows):
    """``(Σ ∇p∇pᵀ / p(1-p))⁻¹``, the block of θ, with ``∇_θ p = αγ(1-γ)(x, 1)``, ``∇_η p = γα(1-α)(z, 1)``."""
    gamma, alpha = expit(with_one(X) @ THETA), expit(with_one(Z) @ ETA)
    gradient = with_one(X) * (alpha * gamma * (1 - gamma))[:, None]
    if not knows:
        other = with_one(Z) * (gamma * alpha * (1 - alpha))[:, None]
        gradient = np.concatenate([gradient, other], axis=1)
    p = gamma * alpha
    return np.linalg.inv(gradient.T @ (gradient / (p * (1 - p))[:, None]))[:3, :3]


def gradient_at(inputs):
    gamma = expit(with_one(inputs) @ THETA)
    return with_one(inputs) * (gamma * (1 - gamma))[:, None]


@pytest.mark.parametrize("knows", [True, False])
def test_the_covariance_is_the_rewards_block_of_the_inverse_information(knows):
    found = parameter_covariance(model_of(), knows)
    assert found is not None
    assert found.numpy() == pytest.approx(covariance(knows), rel=1e-8)


@pytest.mark.parametrize("knows", [True, False])
def test_the_bound_at_a_point_is_the_delta_method(knows):
    gradient = gradient_at(ELSEWHERE)
    expected = [g @ covariance(knows) @ g for g in gradient]
    assert reward_bound(model_of(), ELSEWHERE, knows) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("knows", [True, False])
def test_the_bound_of_a_mean_is_that_of_its_mean_gradient(knows):
    """Smaller than the mean of the bounds: errors at different points partly cancel."""
    gradient = gradient_at(ELSEWHERE).mean(0)
    found = mean_reward_bound(model_of(), ELSEWHERE, knows)
    assert found == pytest.approx(gradient @ covariance(knows) @ gradient, rel=1e-8)
    assert found < reward_bound(model_of(), ELSEWHERE, knows).mean()


def test_units_of_the_inputs_change_no_bound():
    expected = reward_bound(model_of(), ELSEWHERE, False)
    large = model_of(x=1e7 * X, theta=THETA / [1e7, 1e7, 1])
    assert reward_bound(large, 1e7 * ELSEWHERE, False) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("apart", "identified"), [(1e-3, True), (1e-4, True), (1e-7, False), (0.0, False)])
def test_two_columns_are_told_apart_or_are_one(apart, identified):
    """Their smallest eigenvalue is about ``apart²``, the largest about 2; the limit is 1e-10."""
    x = np.column_stack([X[:, 0], X[:, 0] + apart * X[:, 1]])
    model = model_of(x=x)
    assert (parameter_covariance(model, True) is not None) == identified
    mean = mean_reward_bound(model, x, True)
    assert mean > 0 and np.isfinite(mean) == identified
    bounds = reward_bound(model, x, True)
    assert bounds.shape == (60,) and (np.isfinite(bounds) == identified).all() and (bounds > 0).all()


def test_a_click_that_is_all_but_certain_makes_no_bound_a_nan():
    model = model_of(theta=np.array([400.0, -400.0, 0.2]), eta=np.array([0.0, 60.0]))
    assert not np.isnan(mean_reward_bound(model, ELSEWHERE, True))


def test_coefficients_of_a_logistic_function_are_found():
    found = logit_coefficients(X, expit(with_one(X) @ THETA), "reward")
    assert found.dtype == torch.float64 and found.numpy() == pytest.approx(THETA)


@pytest.mark.parametrize(("off", "refused"), [(4e-3, True), (-4e-3, True), (2e-4, False)])
def test_what_is_no_logistic_function_is_refused_by_its_largest_error(off, refused):
    """The logit of one of 60 is moved, which the fit follows but little."""
    target = with_one(X) @ THETA
    target[5] += off
    if not refused:
        assert logit_coefficients(X, expit(target), "reward").numpy() == pytest.approx(THETA, abs=1e-4)
        return
    with pytest.raises(BadInput, match="the reward of this world is no logistic function"):
        logit_coefficients(X, expit(target), "reward")


def test_probabilities_of_0_and_1_have_no_infinite_logit():
    with pytest.raises(BadInput, match="off by"):
        logit_coefficients(X, (X[:, 0] > 0).astype(float), "propensity")


def world(context=Z):
    alpha = expit(with_one(X if context is None else context) @ (THETA[::-1] if context is None else ETA))
    reward = expit(with_one(X) @ THETA)
    train = SimpleNamespace(features=X, context=context, reward=reward, propensity=alpha)
    return SimpleNamespace(train=train, test=SimpleNamespace(features=ELSEWHERE))


def test_the_model_of_a_world_reads_the_context_for_the_propensity():
    found = logistic_model(world())
    assert found.theta.numpy() == pytest.approx(THETA) and found.eta.numpy() == pytest.approx(ETA)
    assert np.array_equal(found.reward_inputs, X) and np.array_equal(found.propensity_inputs, Z)
    at = torch.as_tensor(THETA), torch.as_tensor(ELSEWHERE[0])
    assert float(found.reward(*at)) == pytest.approx(expit(with_one(ELSEWHERE)[0] @ THETA))


def test_without_a_context_the_propensity_reads_the_features():
    found = logistic_model(world(context=None))
    assert found.eta.numpy() == pytest.approx(THETA[::-1])
    assert np.array_equal(found.propensity_inputs, X)


@pytest.mark.parametrize("knows", [True, False])
def test_the_mean_bound_is_that_of_the_test_responses(knows):
    expected = np.mean([g @ covariance(knows) @ g for g in gradient_at(ELSEWHERE)])
    assert mean_bound(world(), knows) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("knows", [True, False])
def test_the_required_size_is_where_the_bound_falls_to_the_target(knows):
    """``n bound / rmse²``, rounded up: 60 responses give the bound, which falls as 1/n."""
    needed = 60 * mean_bound(world(), knows) / 0.03**2
    found = required_size(world(), knows, 0.03)
    assert needed <= found < needed + 1
    assert required_size(world(), knows, 0.06) == pytest.approx(found / 4, abs=1)


def test_where_nothing_is_identified_no_size_suffices():
    twin = world(context=None)
    twin.train.propensity = twin.train.reward
    with pytest.raises(BadInput, match="no number of responses suffices"):
        required_size(twin, False, 0.05)
