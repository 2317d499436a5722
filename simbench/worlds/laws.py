"""The laws by which users act; each keeps the mean action rate at its target at every bias level."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from simbench.errors import BadInput

ROUNDING = 1e-12  # relative to the largest value: what varies by less is a constant
LEFT = 1e-9  # in standard deviations: a remainder of a salience below this is rounding noise


def standardise(values: np.ndarray) -> np.ndarray:
    """Scale values to mean 0 and variance 1, shape (n,), float64; a constant becomes 0."""
    # the computed variance of a constant need not be 0
    if np.ptp(values) <= ROUNDING * np.abs(values).max():
        return np.zeros_like(values, dtype=float)
    return (values - values.mean()) / values.std()


def confounded_salience(base: np.ndarray, reward_logit: np.ndarray, rho: float) -> np.ndarray:
    """Return a salience whose population correlation with the reward's logit is exactly ``rho``.

    Parameters
    ----------
    base : ndarray, shape (n,)
        What the salience reads besides the reward.
    reward_logit : ndarray, shape (n,)
        Logit of ``γ(x)``.
    rho : float in [-1, 1]
        Confounding; 0 returns the standardised base untouched.

    Returns
    -------
    ndarray, shape (n,), mean 0, variance 1.

    Raises
    ------
    BadInput
        If the base is a function of the reward's logit alone, and ``rho`` is not -1, 0 or 1.
    """
    base = standardise(base)
    if rho == 0:
        return base
    reward = standardise(reward_logit)
    rest = base - (base @ reward) / len(base) * reward
    if abs(rho) < 1 and np.abs(rest).max() < LEFT:
        raise BadInput(
            f"confounding {rho:g} is not possible where the propensity reads nothing but the reward itself: "
            "choose -1, 0 or 1."
        )
    rest = standardise(rest)
    return rho * reward + np.sqrt(1 - rho**2) * rest


def logit_law(salience: np.ndarray, bias_level: float, action_rate: float) -> np.ndarray:
    """Return propensities ``logit α = c + λ s``, with ``c`` solved so that ``mean α = action_rate``.

    Parameters
    ----------
    salience : ndarray, shape (n,), mean 0, variance 1
    bias_level : float
        ``λ``; 0 is SCAR.
    action_rate : float in (0, 1)
        Mean propensity.

    Returns
    -------
    ndarray, shape (n,), float64 in (0, 1).
    """
    _check_rate(action_rate)
    shift = bias_level * salience
    bound = 40 + np.abs(shift).max()
    c = brentq(lambda c: expit(c + shift).mean() - action_rate, -bound, bound, xtol=1e-13)
    return expit(c + shift)


def rating_law(
    rating: np.ndarray,
    bias_level: float,
    action_rate: float,
    shares: np.ndarray | None = None,
    capped: bool = True,
) -> np.ndarray:
    """Return propensities ``α = min(1, k κ^(5-t))``, ``κ = 1 - bias_level``; ``k`` is solved *with* the cap.

    The published code takes ``k = ρ / mean κ^(5-t)`` as if there were no cap, so that the realised rate falls
    below the target ``ρ`` wherever ``k > 1``.

    Parameters
    ----------
    rating : ndarray, shape (n,)
        Rescaled here to ``t`` in [1, 5].
    bias_level : float in [0, 1)
        ``1 - κ``; 0 is SCAR.
    action_rate : float in (0, 1)
        ``ρ``.
    shares : ndarray, shape (n,), optional
        Share of each rating, summing to 1; by default all are equal.
    capped : bool
        False for the published scale, which ignores the cap.

    Returns
    -------
    ndarray, shape (n,), float64 in (0, 1].
    """
    _check_rate(action_rate)
    if not 0 <= bias_level < 1:
        raise BadInput(
            f"bias level {bias_level:g} is not possible with the rating law, where it is 1 - κ: "
            "choose one in [0, 1)."
        )
    spread = rating.max() - rating.min()
    t = 1 + 4 * (rating - rating.min()) / (spread if spread > 0 else 1)
    weight = (1 - bias_level) ** (5 - t)
    if not capped:
        return np.minimum(1, action_rate / np.average(weight, weights=shares) * weight)
    return capped_scale(weight, action_rate, shares)


def rank_law(rank: np.ndarray, bias_level: float, action_rate: float) -> np.ndarray:
    """Return propensities ``α = min(1, k (1 + rank)^-η)``; ``k`` is solved with the cap.

    The position-based model of examination (Craswell, Zoeter, Taylor, Ramsey, WSDM 2008; the power of the
    rank: Joachims, Swaminathan, Schnabel, WSDM 2017).

    Parameters
    ----------
    rank : ndarray, shape (n,)
        Place on the page, from 0.
    bias_level : float
        ``η``, at least 0; 0 is SCAR.
    action_rate : float in (0, 1)
        Mean propensity.

    Returns
    -------
    ndarray, shape (n,), float64 in (0, 1].
    """
    _check_rate(action_rate)
    return capped_scale((1.0 + rank) ** -bias_level, action_rate)


def capped_scale(weight: np.ndarray, action_rate: float, shares: np.ndarray | None = None) -> np.ndarray:
    """Return ``min(1, k w)`` with ``k`` such that its mean is ``action_rate``.

    Parameters
    ----------
    weight : ndarray, shape (n,), positive
    action_rate : float in (0, 1)
    shares : ndarray, shape (n,), optional
        Weights of the mean, summing to 1; by default all are equal.
    """
    largest = np.log(1 / weight.min())  # there every response is capped at 1

    def excess(log_k: float) -> float:
        return np.average(np.minimum(1, np.exp(log_k) * weight), weights=shares) - action_rate

    return np.minimum(1, np.exp(brentq(excess, -50, largest + 1, xtol=1e-13)) * weight)


def _check_rate(action_rate: float) -> None:
    if not 0 < action_rate < 1:
        raise BadInput(f"the action rate must lie strictly between 0 and 1, got {action_rate}.")
