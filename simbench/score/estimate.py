"""A number with its interval, and the intervals of means over replicates."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

FEWEST = 5  # replicates that an interval over replicates needs


@dataclass(frozen=True)
class Estimate:
    """A number and its interval from ``low`` to ``high``; both are NaN where no interval can be had."""

    value: float
    low: float
    high: float


def without_interval(value: float) -> Estimate:
    """A number of which no interval can be had."""
    return Estimate(value, math.nan, math.nan)


def over_replicates(values: np.ndarray, *, level: float = 0.95) -> Estimate:
    """Mean of a metric over replicates, with Student's t interval.

    Parameters
    ----------
    values : ndarray, shape (R,)
        One value per replicate.
    level : float in (0, 1)
        Nominal coverage.

    Returns
    -------
    Estimate
        Without an interval below :data:`FEWEST` replicates.
    """
    return mean_of(values, level, FEWEST)


def mean_of(values: np.ndarray, level: float, fewest: int) -> Estimate:
    """Mean with Student's t interval; without one if there are fewer than ``fewest`` values."""
    count, mean = len(values), float(np.mean(values))
    if count < fewest or not np.isfinite(values).all():
        return without_interval(mean)
    half = float(student.ppf((1 + level) / 2, count - 1)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half)


def on_log_scale(value: float, relative_error: float, count: int, level: float) -> Estimate:
    """A positive number with the interval that its relative standard error gives on the logarithm's scale."""
    if count < FEWEST:
        return without_interval(value)
    factor = math.exp(float(student.ppf((1 + level) / 2, count - 1)) * relative_error)
    return Estimate(value, value / factor, value * factor)
