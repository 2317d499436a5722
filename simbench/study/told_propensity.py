"""Propensities that are told but not true: estimated by an experiment or from the log, or distorted."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog, Truth
from simbench.streams import stream

SMALLEST = 1e-6  # a told propensity is a probability that can be divided by


def exposure_experiment(log: FeedbackLog, truth: Truth, exposed: int, *axes: str | int) -> np.ndarray:
    """Propensity estimated by showing users responses that are known to be good.

    There a missing click can only be passivity, so that acting is seen: situations of the log are drawn
    with replacement among the good responses, ``P(row) ∝ γ``, users act by ``a ~ Bernoulli(α)``, and a
    logistic regression of ``a`` on the context (on the features where none is logged) gives ``α``. Every
    replicate has an experiment of its own, so that its noise is variance and not bias.

    Parameters
    ----------
    log : FeedbackLog
        Of R replicates; its feedback is not read.
    truth : Truth
        Users of the experiment are drawn from it.
    exposed : int
        Responses shown.
    axes : str or int
        Of the random stream; the replicate is one more.

    Returns
    -------
    ndarray, shape (R, n), in (0, 1)
    """
    inputs = log.features if log.context is None else log.context
    share = truth.reward / truth.reward.sum()
    # the responses shown are good: where users act on a drawn rating, on a good one
    acts = truth.propensity if truth.propensity_of_good is None else truth.propensity_of_good
    estimates = np.empty(log.feedback.shape)
    for replicate in range(log.n_replicates):
        rng = stream(*axes, replicate)
        rows = rng.choice(log.n_rows, exposed, p=share)
        acted = rng.random(exposed) < acts[rows]
        if acted.all() or not acted.any():
            raise BadInput(f"the exposure experiment with {exposed} responses saw one kind of user only.")
        model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs[rows], acted)
        estimates[replicate] = model.predict_proba(inputs)[:, 1]
    return estimates.clip(SMALLEST, 1 - SMALLEST)


def context_ratio(log: FeedbackLog) -> np.ndarray:
    """Propensity from clicks by context alone: ``α(z) = P(r=1 | z) / max_z P(r=1 | z)``.

    Right where the mean reward is the same in every context (exclusion), so that ``P(r=1 | z) = π α(z)``;
    no one misclicks; and in the best context a satisfied user always acts, ``max α = 1``. Where that
    ceiling is lower all of it is too large by one factor, and IPS rewards too small by that factor.
    ``P(r=1 | z)`` is a logistic regression on the context, its squares and its products; the maximum
    is the 99.9 % quantile. The propensity relative to the best position of click models (Joachims,
    Swaminathan, Schnabel, WSDM 2017), with context in place of position.

    Returns
    -------
    ndarray, shape (R, n), in (0, 1]
    """
    assert log.context is not None
    z = np.asarray(log.context, dtype=float)
    left, right = np.triu_indices(z.shape[1])
    inputs = np.concatenate([z, z[:, left] * z[:, right]], axis=1)
    estimates = np.empty(log.feedback.shape)
    for replicate, feedback in enumerate(log.feedback):
        model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs, feedback)
        rate = model.predict_proba(inputs)[:, 1]
        estimates[replicate] = rate / np.quantile(rate, 0.999)
    return estimates.clip(SMALLEST, 1)


def label_derived(feedback: np.ndarray, kappa: float, action_rate: float) -> np.ndarray:
    """The published code's propensity: its rating law applied to the click as if that were the rating.

    ``k = ρ / (r̄ + (1 - r̄) κ⁴)``, ``π = k`` where there is a click and ``k κ⁴`` where there is none, at most
    1. Two numbers a log: divided by it, a loss is a weighting of the two classes that makes little of clicks.

    Parameters
    ----------
    feedback : ndarray, shape (R, n), in {0, 1}
    kappa : float in (0, 1]
        Of the simulator, which no log shows.
    action_rate : float
        ``ρ``; hard-wired to .2 in the published code, whatever the simulator's is.

    Returns
    -------
    ndarray, shape (R, n), in (0, 1]
    """
    rate = feedback.mean(axis=1, keepdims=True, dtype=float)
    k = action_rate / (rate + (1 - rate) * kappa**4)
    return np.minimum(1, np.where(feedback == 1, k, k * kappa**4))


def dispersed(propensity: np.ndarray, factor: float) -> np.ndarray:
    """``logit α* = factor · logit α + b``, with ``b`` such that the mean stays: who acts is wrong.

    Below 1 it understates how unequally users act, above 1 it overstates it.
    """
    scaled, target = factor * _logit(propensity), propensity.mean()
    bound = 40 + np.abs(scaled).max()
    shift = brentq(lambda b: expit(scaled + b).mean() - target, -bound, bound, xtol=1e-12)
    return _probability(scaled + shift)


def shifted(propensity: np.ndarray, shift: float) -> np.ndarray:
    """``logit α* = logit α + shift``: how many act is wrong."""
    return _probability(_logit(propensity) + shift)


def _logit(propensity: np.ndarray) -> np.ndarray:
    return logit(propensity.clip(1e-12, 1 - 1e-12))


def _probability(logits: np.ndarray) -> np.ndarray:
    return expit(logits).clip(SMALLEST, 1)
