"""The Cramér-Rao bound of the reward: how good any unbiased estimator can be.

Feedback is Bernoulli with ``p = γ_θ(x) α_η(x, z)``, so the information of a sample about ``(θ, η)`` is
``∇p ∇pᵀ / (p(1-p))`` (theory, section 4), or that about θ alone if α is known. The delta method turns its
inverse into a bound on the variance of ``γ̂(x)`` at every x, valid for estimators that are unbiased in the
model.

The model is logistic, and that shape is itself knowledge: ``α σ(θx)`` has its ceiling at α, so that the level
of the reward is identified even under SCAR. For a network, which assumes no shape, it is not (theory,
section 3).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logit
from torch import Tensor

from simbench.errors import BadInput
from simbench.worlds.world import World

Probability = Callable[[Tensor, Tensor], Tensor]  # (parameters, inputs of one sample) -> probability
SINGULAR = 1e-10  # ratio of smallest to largest eigenvalue below which nothing is identified


@dataclass(frozen=True)
class ParametricModel:
    """A reward ``γ_θ`` and a propensity ``α_η`` at their true parameters.

    Parameters
    ----------
    reward, propensity : callable
        ``(parameters (k,), inputs (d,)) -> probability ()``, differentiable by torch.
    theta, eta : Tensor, float64
        True parameters of the reward and of the propensity.
    reward_inputs, propensity_inputs : Tensor, shape (n, .), float64
        Inputs of both functions for every logged response.
    """

    reward: Probability
    propensity: Probability
    theta: Tensor
    eta: Tensor
    reward_inputs: Tensor
    propensity_inputs: Tensor


def logistic(parameters: Tensor, inputs: Tensor) -> Tensor:
    """Logistic function ``σ(parameters · (inputs, 1))``, whose last parameter is the intercept."""
    return torch.sigmoid(inputs @ parameters[:-1] + parameters[-1])


def logistic_model(world: World) -> ParametricModel:
    """The world's reward and propensity as logistic functions of what is logged.

    Raises
    ------
    BadInput
        If the reward or the propensity is not a logistic function of features or context (an MLP reward, a
        rating law, confounding).
    """
    train = world.train
    features = np.asarray(train.features)
    separate = features if train.context is None else train.context
    theta = logit_coefficients(features, train.reward, "reward")
    eta = logit_coefficients(separate, train.propensity, "propensity")
    inputs = (torch.as_tensor(values.astype(float)) for values in (features, separate))
    return ParametricModel(logistic, logistic, theta, eta, *inputs)


def logit_coefficients(inputs: np.ndarray, probability: np.ndarray, what: str) -> Tensor:
    """Logistic coefficients that reproduce ``probability``.

    Parameters
    ----------
    inputs : ndarray, shape (n, d)
    probability : ndarray, shape (n,), in [0, 1]
    what : str
        Name of the probability, for the error message.

    Returns
    -------
    Tensor, shape (d + 1,), float64
        Coefficients of the inputs, and the intercept.

    Raises
    ------
    BadInput
        If no logistic function of the inputs reproduces it to 1e-3 in the logit.
    """
    design = np.column_stack([inputs, np.ones(len(inputs))]).astype(float)
    target = logit(probability.clip(1e-300, 1 - 1e-16))
    found, *_ = np.linalg.lstsq(design, target, rcond=None)
    off = float(np.abs(design @ found - target).max())
    if off > 1e-3:
        raise BadInput(
            f"the {what} of this world is no logistic function of what is logged (off by {off:.2g} in the "
            "logit), and the bound is known for logistic functions only."
        )
    return torch.as_tensor(found)


def fisher_information(model: ParametricModel, knows_propensity: bool) -> Tensor:
    """Fisher information of the whole log about ``θ``, or about ``(θ, η)`` if α is unknown.

    Returns
    -------
    Tensor, shape (k, k), float64
        ``Σ_i ∇p_i ∇p_iᵀ / (p_i (1 - p_i))``, with gradients by automatic differentiation.
    """
    gradient, p = click_gradients(model, knows_propensity)
    # a click that is all but impossible or certain tells as much as its gradient squared says: nothing
    weight = 1 / (p * (1 - p)).clamp_min(1e-300)
    return gradient.T @ (weight[:, None] * gradient)


def click_gradients(model: ParametricModel, knows_propensity: bool) -> tuple[Tensor, Tensor]:
    """Gradient of every click's probability ``p = γα``, (n, k), and ``p`` itself, (n,); both float64."""
    count = len(model.theta)

    def click(parameters: Tensor, x: Tensor, z: Tensor) -> Tensor:
        eta = model.eta if knows_propensity else parameters[count:]
        return model.reward(parameters[:count], x) * model.propensity(eta, z)

    at = model.theta if knows_propensity else torch.cat([model.theta, model.eta])
    both = torch.func.vmap(torch.func.grad_and_value(click), in_dims=(None, 0, 0))
    return both(at, model.reward_inputs, model.propensity_inputs)


def reward_bound(model: ParametricModel, inputs: np.ndarray, knows_propensity: bool) -> np.ndarray:
    """Smallest variance of an unbiased ``γ̂(x)`` at every row of ``inputs``.

    Parameters
    ----------
    model : ParametricModel
    inputs : ndarray, shape (m, d)
        Reward features.
    knows_propensity : bool
        Whether α is known, or estimated as well.

    Returns
    -------
    ndarray, shape (m,), squared probability
        All infinite if the information is singular, so that the parameters are not identified.
    """
    return reward_variance(model, inputs, parameter_covariance(model, knows_propensity))


def mean_reward_bound(model: ParametricModel, inputs: np.ndarray, knows_propensity: bool) -> float:
    """Smallest variance of an unbiased estimate of the mean of ``γ(x)`` over the inputs (m, d).

    It is in squared probability, and infinite if the parameters are not identified.
    """
    return mean_reward_variance(model, inputs, parameter_covariance(model, knows_propensity))


def reward_variance(model: ParametricModel, inputs: np.ndarray, covariance: Tensor | None) -> np.ndarray:
    """Variance of ``γ(x)`` at every row of ``inputs`` by the delta method; infinite without a covariance.

    Parameters
    ----------
    model : ParametricModel
    inputs : ndarray, shape (m, d)
    covariance : Tensor, shape (k, k), or None
        Of the reward parameters.

    Returns
    -------
    ndarray, shape (m,), squared probability
    """
    if covariance is None:
        return np.full(len(inputs), np.inf)
    gradient = _reward_gradient(model, inputs)
    return ((gradient @ covariance) * gradient).sum(1).numpy()


def mean_reward_variance(model: ParametricModel, inputs: np.ndarray, covariance: Tensor | None) -> float:
    """Variance of the mean of ``γ(x)`` over the inputs (m, d); infinite without a covariance."""
    if covariance is None:
        return np.inf
    gradient = _reward_gradient(model, inputs).mean(0)
    return float(gradient @ covariance @ gradient)


def parameter_covariance(model: ParametricModel, knows_propensity: bool) -> Tensor | None:
    """Block of the inverse information that belongs to the reward parameters, (k, k); None if singular."""
    inverse = inverse_information(model, knows_propensity)
    count = len(model.theta)
    return None if inverse is None else inverse[:count, :count]


def inverse_information(model: ParametricModel, knows_propensity: bool) -> Tensor | None:
    """Inverse of :func:`fisher_information`, of its shape; None if that is singular."""
    information = fisher_information(model, knows_propensity)
    # scaled to unit diagonal, so that units of the inputs do not pass for a lack of information
    scale = information.diagonal().clamp_min(1e-300).rsqrt()
    scaled = information * scale[:, None] * scale
    eigenvalues = torch.linalg.eigvalsh(scaled)
    if eigenvalues[0] < SINGULAR * eigenvalues[-1]:
        return None
    return torch.linalg.inv(scaled) * scale[:, None] * scale


def _reward_gradient(model: ParametricModel, inputs: np.ndarray) -> Tensor:
    """``∇_θ γ(x)``, shape (m, k)."""
    x = torch.as_tensor(inputs.astype(float))  # a copy: those of a log are read-only
    return torch.func.vmap(torch.func.grad(model.reward), in_dims=(None, 0))(model.theta, x)


def mean_bound(world: World, knows_propensity: bool) -> float:
    """Mean of :func:`reward_bound` over the world's test responses, in squared probability.

    Raises
    ------
    BadInput
        If the world is not logistic (see :func:`logistic_model`).
    """
    return float(
        reward_bound(logistic_model(world), np.asarray(world.test.features), knows_propensity).mean()
    )


def required_size(world: World, knows_propensity: bool, target_rmse: float) -> int:
    """Number of logged responses at which the bound reaches a root-mean-square error.

    The bound falls as ``1/n``, because information adds up over the log.

    Parameters
    ----------
    world : World
    knows_propensity : bool
    target_rmse : float
        Root-mean-square error of the reward, in probability.

    Raises
    ------
    BadInput
        If nothing identifies the reward, so that no number suffices, or the world is not logistic.
    """
    bound = mean_bound(world, knows_propensity)
    if not np.isfinite(bound):
        raise BadInput(
            "with this knowledge the reward is not identified: no number of responses suffices. What would "
            "help is to know the propensity, or context that moves only the propensity."
        )
    return int(np.ceil(len(world.train.reward) * bound / target_rmse**2))
