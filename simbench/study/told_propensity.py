"""Propensities that are told but not true: estimated in an experiment or from the log, or distorted."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog, Truth
from simbench.streams import stream

SMALLEST = 1e-6  # a told propensity is a probability that can be divided by


def exposure_experiment(log: FeedbackLog, truth: Truth, exposed: int, *axes: str | int) -> np.ndarray:
    """Estimate the propensity in an experiment that shows users responses known to be good.

    There a missing click can only mean that the user did not act, so acting is observed. Rows of the log are
    drawn with replacement among the good responses, ``P(row) ∝ γ``; users act by ``a ~ Bernoulli(α)``; and a
    logistic regression of ``a`` on the context (on the features if no context is logged) gives ``α``. Every
    replicate has an experiment of its own, so that its noise is variance and not bias.

    Parameters
    ----------
    log : FeedbackLog
        A log of R replicates; its feedback is not read.
    truth : Truth
        The users of the experiment are drawn from it.
    exposed : int
        Number of responses shown.
    *axes : str or int
        What the random stream is derived from; the replicate is added.

    Returns
    -------
    ndarray, shape (R, n), in (0, 1)

    Raises
    ------
    BadInput
        If everyone acted in the experiment, or no one.
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
            who = "everyone" if acted.all() else "no one"
            raise BadInput(
                f"in the exposure experiment with {exposed} responses {who} acted: show more responses "
                "(propensity:estimated=N)."
            )
        model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs[rows], acted)
        estimates[replicate] = model.predict_proba(inputs)[:, 1]
    return estimates.clip(SMALLEST, 1 - SMALLEST)


def context_ratio(log: FeedbackLog) -> np.ndarray:
    """Estimate the propensity from clicks by context: ``α(z) = P(r=1 | z) / max_z P(r=1 | z)``.

    The estimate is right if the mean reward is the same in every context (exclusion), so that
    ``P(r=1 | z) = π α(z)``; if no one misclicks; and if in the best context a satisfied user always acts,
    ``max α = 1``. If that ceiling is lower, every estimate is too large by one factor, and IPS rewards are
    too small by it. ``P(r=1 | z)`` is a logistic regression on the context, its squares and its products; the
    maximum is the 99.9 % quantile. This is the propensity relative to the best position of click models
    (Joachims, Swaminathan, Schnabel, WSDM 2017), with context in place of position.

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
        shown = log.rows_shown(replicate)
        model = LogisticRegression(C=10.0, max_iter=1000).fit(inputs[shown], feedback[shown])
        rate = model.predict_proba(inputs)[:, 1]
        estimates[replicate] = rate / np.quantile(rate[shown], 0.999)
    return estimates.clip(SMALLEST, 1)


def label_derived(feedback: np.ndarray, kappa: float, action_rate: float) -> np.ndarray:
    """The propensity of the published code, which applies its rating law to the click as if to a rating.

    ``k = ρ / (r̄ + (1 - r̄) κ⁴)``, ``π = k`` where there is a click and ``k κ⁴`` where there is none, at most
    1. It takes two values in a log, so dividing a loss by it weights the two classes, clicks only lightly.

    Parameters
    ----------
    feedback : ndarray, shape (R, n), in {0, 1}
    kappa : float in (0, 1]
        The simulator's ``κ``, which no log shows.
    action_rate : float
        ``ρ``; the published code fixes it at .2, whatever the simulator's is.

    Returns
    -------
    ndarray, shape (R, n), in (0, 1]
    """
    rate = feedback.mean(axis=1, keepdims=True, dtype=float)
    k = action_rate / (rate + (1 - rate) * kappa**4)
    return np.minimum(1, np.where(feedback == 1, k, k * kappa**4))


def dispersed(propensity: np.ndarray, factor: float) -> np.ndarray:
    """Misstate who acts: ``logit α* = factor · logit α + b``, with ``b`` such that the mean stays the same.

    A factor below 1 understates how unequally users act, a factor above 1 overstates it.
    """
    scaled, target = factor * _logit(propensity), propensity.mean()
    bound = 40 + np.abs(scaled).max()
    shift = brentq(lambda b: expit(scaled + b).mean() - target, -bound, bound, xtol=1e-12)
    return _probability(scaled + shift)


def shifted(propensity: np.ndarray, shift: float) -> np.ndarray:
    """Misstate how many act: ``logit α* = logit α + shift``."""
    return _probability(_logit(propensity) + shift)


def _logit(propensity: np.ndarray) -> np.ndarray:
    return logit(propensity.clip(1e-12, 1 - 1e-12))


def _probability(logits: np.ndarray) -> np.ndarray:
    return expit(logits).clip(SMALLEST, 1)
