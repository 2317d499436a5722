"""Intervals for a reward fitted on a log: from the information for logistic heads, else by the bootstrap.

An interval covers sampling error alone. If the log does not identify the reward, an interval would be false
precision, and is refused.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import likelihood
from simbench.log.feedback import FeedbackLog
from simbench.reward.clusters import clustered_covariance
from simbench.score.bound import (
    ParametricModel,
    logistic,
    logit_coefficients,
    mean_reward_variance,
    parameter_covariance,
    reward_variance,
)
from simbench.streams import stream
from simbench.training.contract import FittedReplicates
from simbench.training.restarts import train_restarts

if TYPE_CHECKING:
    from torch import Tensor

# maximum likelihood: logistic heads, all rows in one batch, nothing held out, no penalty, until the
# likelihood itself has not risen for 60 epochs; SciPy's maximum to 1e-7 nats a response
MAXIMUM_LIKELIHOOD: dict[str, Any] = {
    "hidden": (),
    "lr": 0.1,
    "epochs": 800,
    "patience": 60,
    "weight_decay": 0.0,
    "validation_share": 0.0,
}
RESTARTS = 5
EDGE = 1e-6  # rewards are kept so far from 0 and 1


@dataclass(frozen=True)
class Intervals:
    """Rewards with intervals of sampling error.

    Parameters
    ----------
    reward, low, high : ndarray, shape (m,), in [0, 1]
        ``γ̂`` of each response and its interval.
    mean, mean_low, mean_high : float
        Mean of ``γ̂`` over the log's responses and its interval.
    """

    reward: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: float
    mean_low: float
    mean_high: float


def information_intervals(log: FeedbackLog, inputs: np.ndarray, level: float = 0.9) -> Intervals:
    """Fit logistic heads by maximum likelihood, with intervals from the information at the estimate.

    Parameters
    ----------
    log : FeedbackLog
        A log of one replicate; with the propensity, or with context that moves it.
    inputs : ndarray, shape (m, d)
        Features at which rewards are wanted.
    level : float in (0, 1)

    Raises
    ------
    BadInput
        If the log does not identify the reward: if restarts disagree, or the information is singular.
    """
    log = log.only_shown()
    require_identified(log, {**MAXIMUM_LIKELIHOOD, "batch_size": log.n_rows})
    fitted = maximum_likelihood(log)
    model = model_at(log, fitted.predict(log.features)[0], _propensity(fitted, log)[0])
    return at_estimate(model, log, inputs, level)


def maximum_likelihood(log: FeedbackLog) -> FittedReplicates:
    """Fit logistic heads by maximum likelihood on all rows, one fit for each replicate of the log."""
    kind = likelihood(propensity_is_told=log.propensity is not None)
    return kind(**MAXIMUM_LIKELIHOOD, batch_size=log.n_rows).fit_replicates(log)


def model_at(log: FeedbackLog, reward: np.ndarray, propensity: np.ndarray) -> ParametricModel:
    """The logistic model whose parameters reproduce the fitted probabilities.

    Parameters
    ----------
    log : FeedbackLog
    reward, propensity : ndarray, shape (n,), in [0, 1]
        Fitted probabilities of the log's responses; the propensity that is told, if it is.
    """
    import torch

    features = np.asarray(log.features)
    context = features if log.context is None else np.asarray(log.context)
    theta = logit_coefficients(features, reward.clip(EDGE, 1 - EDGE), "reward")
    x, z = (torch.as_tensor(values.astype(float)) for values in (features, context))
    if log.propensity is None:
        eta = logit_coefficients(context, propensity.clip(EDGE, 1 - EDGE), "propensity")
        return ParametricModel(logistic, logistic, theta, eta, x, z)
    told = torch.as_tensor(np.array(propensity, dtype=float))[:, None]  # a copy: told ones may be read-only
    return ParametricModel(logistic, lambda eta, alpha: alpha[0], theta, theta[:0], x, told)


def at_estimate(model: ParametricModel, log: FeedbackLog, inputs: np.ndarray, level: float) -> Intervals:
    """Intervals from the information of a model at its parameters.

    Where the log names users, responses of one user count as one observation
    (:func:`simbench.reward.clusters.clustered_covariance`): then the intervals hold for users like these, and
    else for these very users. They are symmetric on the scale of the logit, so that they stay in [0, 1].

    Parameters
    ----------
    model : ParametricModel
    log : FeedbackLog
    inputs : ndarray, shape (m, d)
        Features at which rewards are wanted.
    level : float in (0, 1)

    Raises
    ------
    BadInput
        If the information is singular.
    """
    reward = model.reward(model.theta, _double(inputs)).numpy().clip(EDGE, 1 - EDGE)
    features = np.asarray(log.features)
    mean = float(model.reward(model.theta, _double(features)).mean())
    covariance = _covariance(model, log)
    variance = reward_variance(model, inputs, covariance)
    if not np.isfinite(variance).all():
        raise BadInput(
            "the information is singular: the log does not identify the reward, so no interval is valid."
        )
    low, high = _on_logit(reward, np.sqrt(variance), level)
    error = np.sqrt([mean_reward_variance(model, features, covariance)])
    mean_low, mean_high = _on_logit(np.array([mean]), error, level)
    return Intervals(reward, low, high, mean, float(mean_low[0]), float(mean_high[0]))


def _covariance(model: ParametricModel, log: FeedbackLog) -> "Tensor | None":
    """Covariance of the reward parameters: from the information, or by user where the log names users."""
    knows = log.propensity is not None
    if log.user is None:
        return parameter_covariance(model, knows)
    return clustered_covariance(model, log.feedback[0], log.user, knows)


def bootstrap_intervals(
    estimator: Estimator, log: FeedbackLog, inputs: np.ndarray, level: float = 0.9, resamples: int = 200
) -> Intervals:
    """Intervals by the parametric bootstrap: clicks are redrawn from the fit, and fitted again in one stack.

    They show sampling error. The estimator's own bias (early stopping, a network that is too small) shows
    only as far as the refits repeat it.

    Parameters
    ----------
    estimator : Estimator
        One of the ImplicitRM family.
    log : FeedbackLog
        A log of one replicate.
    inputs : ndarray, shape (m, d)
        Features at which rewards are wanted.
    level : float in (0, 1)
    resamples : int

    Raises
    ------
    BadInput
        If the log does not identify the reward, or names users: the bootstrap redraws every click by itself.
    """
    if log.user is not None:
        raise BadInput(
            "the parametric bootstrap redraws every click by itself, and the clicks of one user are not "
            "independent: use logistic heads (information_intervals), whose intervals are clustered by user."
        )
    log = log.only_shown()
    require_identified(
        log, {name: value for name, value in estimator.get_params().items() if name == "hidden"}
    )
    fitted = estimator.fit_replicates(log)
    seen, wanted = fitted.predict(log.features)[0], fitted.predict(inputs)[0].clip(EDGE, 1 - EDGE)
    click = seen * _propensity(fitted, log)[0]
    rng = stream(estimator.get_params()["seed"], "bootstrap")
    feedback = (rng.random((resamples, log.n_rows)) < click).astype(np.float32)
    repeated = log.replicates(np.zeros(resamples, dtype=np.int64))
    again = estimator.fit_replicates(replace(repeated, feedback=feedback))
    low, high = _basic(wanted, again.predict(inputs).clip(EDGE, 1 - EDGE), level)
    means = again.predict(log.features).mean(1)[:, None]
    mean_low, mean_high = _basic(np.array([seen.mean()]), means, level)
    return Intervals(wanted, low, high, float(seen.mean()), float(mean_low[0]), float(mean_high[0]))


def require_identified(log: FeedbackLog, parameters: dict[str, Any]) -> None:
    """Check that restarts agree, unless the propensity is told, which identifies the reward.

    Parameters
    ----------
    log : FeedbackLog
    parameters : dict
        Hyper-parameters of the restarts.

    Raises
    ------
    BadInput
        If restarts of equal likelihood disagree.
    """
    if log.propensity is not None:
        return
    found = train_restarts(likelihood(propensity_is_told=False)(**parameters), log, [0], RESTARTS)
    if found.warning is not None:
        raise BadInput(f"no interval is valid here: {found.warning}")


def _propensity(fitted: Any, log: FeedbackLog) -> np.ndarray:
    if log.propensity is not None:
        return np.broadcast_to(log.propensity, log.feedback.shape)
    return fitted.predict_propensity(log.features if log.context is None else log.context)


def _on_logit(reward: np.ndarray, error: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    half = float(norm.ppf(0.5 + level / 2)) * error / (reward * (1 - reward))
    return expit(logit(reward) - half), expit(logit(reward) + half)


def _basic(estimate: np.ndarray, draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The basic bootstrap on the scale of the logit: the errors of the refits, reflected at the estimate."""
    error = logit(draws) - logit(estimate)
    low, high = np.quantile(error, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return expit(logit(estimate) - high), expit(logit(estimate) - low)


def _double(values: np.ndarray) -> "Tensor":
    import torch

    return torch.as_tensor(values.astype(float))  # a copy: arrays of a log are read-only
