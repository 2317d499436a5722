"""Means over independent draws of a world, and which estimators cannot be told from the best."""

import numpy as np
from scipy.stats import t as student

from simbench.score.estimate import Estimate, mean_of


def over_worlds(values: np.ndarray, *, level: float = 0.95) -> Estimate:
    """Mean over independent draws of a world, with Student's t interval of the values of the draws.

    What replicates add to the spread of the values is in it already. ``benchmarks/intervals.md`` shows the
    coverage for skewed laws of the values.

    Parameters
    ----------
    values : ndarray, shape (W,)
        An unbiased estimate for each draw.
    level : float in (0, 1)
        Nominal coverage.

    Returns
    -------
    Estimate
        Without an interval for a single draw.
    """
    return mean_of(values, level, 2)


def indistinguishable(errors: np.ndarray, *, level: float = 0.95) -> np.ndarray:
    """Which estimators cannot be told from the best one.

    An estimator is left out if some other has a smaller mean error in a paired, one-sided t test at level
    ``(1 - level)/(E - 1)`` (Bonferroni), so that with probability ``level`` at least the best one of all E
    is among those that stay: a statement on all of them at once (subset selection, Gupta 1965).

    Parameters
    ----------
    errors : ndarray, shape (E, N)
        Error of every estimator in every unit: draws of a world, or replicates within one; paired.
    level : float in (0, 1)

    Returns
    -------
    ndarray of bool, shape (E,)
        True for all if there are fewer than three units: nothing can be told then.
    """
    many, units = errors.shape
    if units < 3 or many < 2:
        return np.ones(many, dtype=bool)
    limit = float(student.ppf(1 - (1 - level) / (many - 1), units - 1))
    worse = errors[:, None, :] - errors[None, :, :]
    mean, error = worse.mean(-1), worse.std(-1, ddof=1) / np.sqrt(units)
    return ~((mean > 0) & (mean > limit * error)).any(1)
