"""Means of dependent scores, and intervals of a mean of which only a set is known."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.reward.clusters import FEWEST


def clusters_of(log: FeedbackLog) -> np.ndarray:
    """The units that are independent of each other: users where the log knows them, else prompts.

    Returns
    -------
    ndarray, shape (n,), int64
        Numbers from 0.

    Raises
    ------
    BadInput
        If there are fewer than 30.
    """
    known = log.groups if log.user is None else log.user
    _, code = np.unique(known, return_inverse=True)
    if (count := int(code.max()) + 1) < FEWEST:
        what = "prompts" if log.user is None else "users"
        raise BadInput(
            f"the log has {count} {what}: intervals of a mean need at least {FEWEST} that are independent."
        )
    return code


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error.

    Parameters
    ----------
    value, error : float
    freedom : int
        Degrees of freedom of Student's t.
    """

    value: float
    error: float
    freedom: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval, by Student's t."""
        half = float(student.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.value - half, self.value + half

    def at_least(self, level: float = 0.95) -> float:
        """Return the one-sided lower limit, by Student's t."""
        return self.value - float(student.ppf(level, self.freedom)) * self.error


def clustered_mean(scores: np.ndarray, clusters: np.ndarray, weight: np.ndarray | None = None) -> Mean:
    """The mean of scores that depend on each other within clusters.

    A weighted mean is a ratio of sums, whose error is linearised.

    Parameters
    ----------
    scores : ndarray, shape (n,), float64
    clusters : ndarray, shape (n,), int64
        Numbers from 0.
    weight : ndarray, shape (n,), at least 0, optional
        How much each counts: 1 for the members of a group, 0 for others.
    """
    weight = np.ones(len(scores)) if weight is None else weight.astype(float)
    mean = float(weight @ scores / weight.sum())
    influence = weight * (scores - mean) / weight.sum()
    counted = np.bincount(clusters, weight) > 0
    total = np.bincount(clusters, influence)[counted]
    count = len(total)
    error = float(np.sqrt((total**2).sum() * count / max(count - 1, 1)))
    return Mean(mean, error, max(count - 1, 1))


def clustered_difference(
    first: np.ndarray, second: np.ndarray, is_first: np.ndarray, clusters: np.ndarray
) -> Mean:
    """The mean of scores in one group less the mean of other scores in the rest.

    Both groups may share clusters, such as prompts that both were given.

    Parameters
    ----------
    first, second : ndarray, shape (n,), float64
        Scores of the responses as members of the first group, and of the second.
    is_first : ndarray, shape (n,), bool
    clusters : ndarray, shape (n,), int64
        Numbers from 0.
    """
    mean_first, mean_second = first[is_first].mean(), second[~is_first].mean()
    of_first = (first - mean_first) / is_first.sum()
    of_second = (second - mean_second) / (~is_first).sum()
    total = np.bincount(clusters, np.where(is_first, of_first, -of_second))
    count = len(total)
    error = float(np.sqrt((total**2).sum() * count / (count - 1)))
    return Mean(float(mean_first - mean_second), error, count - 1)


@dataclass(frozen=True)
class MeanSet:
    """A mean of which the data fix two ends only.

    Parameters
    ----------
    low, high : Mean
        Estimates of the ends.
    """

    low: Mean
    high: Mean

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return an interval that holds the mean, wherever it lies between the ends, at this level.

        One end at a time can be missed if the set is wide, so that one-sided quantiles do; they grow to
        two-sided ones as it shrinks to a point (Imbens, Manski, Econometrica 72, 2004). Where the ends are
        estimated in the wrong order, two-sided ones are used (Stoye, Econometrica 77, 2009).

        Parameters
        ----------
        level : float in (0, 1)
        """
        larger = max(self.low.error, self.high.error)
        if larger == 0:
            return self.low.value, self.high.value
        freedom = min(self.low.freedom, self.high.freedom)
        width = max(0.0, self.high.value - self.low.value) / larger
        by_normal = float(
            brentq(
                lambda c: norm.cdf(c + width) - norm.cdf(-c) - level,
                float(norm.ppf(level)) - 1e-9,
                float(norm.ppf(0.5 + level / 2)) + 1e-9,
            )
        )
        critical = float(student.ppf(norm.cdf(by_normal), freedom))  # the same tail, of Student's t
        return self.low.value - critical * self.low.error, self.high.value + critical * self.high.error
