"""Bounds of the reward from clicks and a least propensity (Manski, American Economic Review 80, 1990)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.reward.bounds.busiest import Busiest, busiest
from simbench.reward.bounds.click_fits import FOLDS, ClickFits, click_estimator, click_fits
from simbench.reward.clustered import MeanSet, clustered_mean, clusters_of

LEVEL = 0.95


@dataclass(frozen=True)
class Bounds:
    """What every propensity of at least some value leaves of the reward.

    Parameters
    ----------
    least_propensity : float in (0, 1]
    level : float in (0, 1)
        Of the limits and intervals.
    low, high : ndarray, shape (n,), in [0, 1]
        Estimated least and largest reward of each response; the least is cut at the largest, where noise or
        a wrong premise puts it above.
    low_limit, high_limit : ndarray, shape (n,), in [0, 1]
        The same with sampling error: limits of level ``level`` for each end.
    mean : MeanSet
        Of the responses' mean reward, whatever the context does. It needs no click model that is right: the
        folds decide which of two valid bounds each response takes.
    mean_by_context : MeanSet or None
        The same if the context moves only the propensity; None without context.
    groups : ndarray, shape (n,), int64
        Prompt of each response.
    """

    least_propensity: float
    level: float
    low: np.ndarray
    high: np.ndarray
    low_limit: np.ndarray
    high_limit: np.ndarray
    mean: MeanSet
    mean_by_context: MeanSet | None
    groups: np.ndarray

    @property
    def sharpest(self) -> MeanSet:
        """The mean's set by all that was told."""
        return self.mean if self.mean_by_context is None else self.mean_by_context

    @property
    def refuted(self) -> bool:
        """Whether the log contradicts the premises: clicks in the busiest contexts exceed the upper bound."""
        low, high = self.sharpest.interval(self.level)
        return low > high

    def table(self) -> pd.DataFrame:
        """Return a row for each response: ``row`` from 0, ``prompt`` (a number), and the four bounds."""
        columns = {name: getattr(self, name) for name in ("low", "high", "low_limit", "high_limit")}
        return pd.DataFrame({"row": np.arange(len(self.low)), "prompt": self.groups, **columns})


def bounds(
    log: FeedbackLog,
    least_propensity: float,
    *,
    level: float = LEVEL,
    folds: int = FOLDS,
    **parameters: Any,
) -> Bounds:
    """Bound every response's reward, and their mean, without deciding what the propensity is.

    ``γ(x) = p(x) / α(x)`` with ``p(x) = P(r = 1 | x)`` and ``α(x)`` the propensity of the response averaged
    over the contexts in which it is shown; with ``a ≤ α ≤ 1`` it lies in ``[p, min(1, p/a)]``. If the log has
    a context, which then must move only the propensity, ``p`` in the contexts in which users act most bounds
    it more sharply from below (:func:`simbench.reward.bounds.busiest.busiest`). If the log tells the rate of
    misclicks ``ε``, ``p/α = γ + (1 - γ) ε`` is bounded instead, and solved for ``γ``. Whatever else it tells
    could only narrow the bounds, and is not used.

    Parameters
    ----------
    log : FeedbackLog
        A log of one replicate.
    least_propensity : float in (0, 1]
        ``a``: no response's propensity, averaged over contexts, is less. A premise: the log cannot show it.
    level : float in (0, 1)
    folds : int, at least 2
        Parts of the log, each left out of one fit of the click model.
    **parameters
        Hyper-parameters of the click model (``hidden``, ``lr``, ``epochs``, ``seed`` ...).

    Raises
    ------
    BadInput
        If a parameter is out of its range, the log has several replicates, tells the propensity, has fewer
        than 30 prompts (or users), or the click model does not train.
    """
    require_least_propensity(least_propensity)
    if not 0 < level < 1 or folds < 2:
        raise BadInput(f"level must lie in (0, 1) and folds be at least 2, got {level:g} and {folds}.")
    if log.n_replicates != 1:
        raise BadInput(f"bounds take a log of one replicate, got {log.n_replicates}.")
    if log.propensity is not None:
        raise BadInput("the propensity is told, so that the reward is identified: no bounds are needed.")
    estimator, log = click_estimator(parameters), log.only_shown()
    (clicks,) = click_fits(estimator, log, folds)
    there = None if log.context is None else busiest(estimator, log, folds)
    return bounds_of(log, least_propensity, clicks, there, level)


def require_least_propensity(value: float) -> None:
    """Raise unless a least propensity lies in (0, 1].

    Raises
    ------
    BadInput
        If it does not.
    """
    if not 0 < value <= 1:
        raise BadInput(f"the least propensity must lie in (0, 1], got {value:g}.")


def bounds_of(
    log: FeedbackLog, least_propensity: float, clicks: ClickFits, there: Busiest | None, level: float
) -> Bounds:
    """The bounds by click probabilities that were fitted already.

    Parameters
    ----------
    log : FeedbackLog
        Of one replicate.
    least_propensity : float in (0, 1]
    clicks : ClickFits
        ``P(r = 1 | x)``.
    there : Busiest or None
        ``P(r = 1 | x, z)`` in the busiest contexts.
    level : float in (0, 1)
    """
    slip, clusters, feedback = log.misclick or 0.0, clusters_of(log), log.feedback[0].astype(float)
    p, p_high = clicks.unseen, clicks.limits(level)[1]
    low_of = clicks if there is None else there.fits
    upper = _at_most(feedback / least_propensity, slip, p / least_propensity)
    mean = MeanSet(clustered_mean(_at_least(feedback, slip, p), clusters), clustered_mean(upper, clusters))
    by_context = None
    if there is not None:
        low = _at_least(there.scores, slip, there.fits.unseen)
        by_context = MeanSet(clustered_mean(low, clusters), mean.high)
    high = _reward(p / least_propensity, slip)
    high_limit = _reward(p_high / least_propensity, slip)
    return Bounds(
        least_propensity,
        level,
        low=np.minimum(_reward(low_of.unseen, slip), high),
        high=high,
        low_limit=np.minimum(_reward(low_of.limits(level)[0], slip), high_limit),
        high_limit=high_limit,
        mean=mean,
        mean_by_context=by_context,
        groups=log.groups,
    )


def _reward(seen: np.ndarray, slip: float) -> np.ndarray:
    """The reward that explains ``p/α``, within [0, 1]."""
    return ((seen - slip) / (1 - slip)).clip(0, 1)


def _at_least(value: np.ndarray, slip: float, fitted: np.ndarray) -> np.ndarray:
    """Scores whose mean bounds the mean reward from below.

    ``γ ≥ 0`` and ``γ ≥ (value - ε) / (1 - ε)`` are both valid; the fit, which has not seen the feedback, says
    which is sharper, and being wrong costs sharpness only.
    """
    return np.where(fitted <= slip, 0.0, (value - slip) / (1 - slip))


def _at_most(value: np.ndarray, slip: float, fitted: np.ndarray) -> np.ndarray:
    """Scores whose mean bounds the mean reward from above: as :func:`_at_least`, with ``γ ≤ 1``."""
    return np.where(fitted >= 1, 1.0, (value - slip) / (1 - slip))
