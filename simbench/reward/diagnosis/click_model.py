"""Tests whether the fitted click probability ``γ̂α̂`` is calibrated on held-out feedback."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """The reliability of predicted click probabilities.

    Parameters
    ----------
    predicted, observed, low, high : ndarray, shape (b,), in [0, 1]
        Means over bins of equal size, the lowest predictions first, and 95 % intervals of ``observed``.
    statistic, p_value : float
        Hosmer and Lemeshow's test. Under a perfect model the statistic is χ² with b degrees of freedom, as
        the responses were held out. The model's estimation error counts against it: in large logs even useful
        models fail.
    """

    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    statistic: float
    p_value: float

    @property
    def largest_gap(self) -> float:
        """Largest difference of predicted and observed share in a bin, in probability."""
        return float(np.abs(self.predicted - self.observed).max())


def click_calibration(probability: np.ndarray, feedback: np.ndarray, bins: int = BINS) -> Calibration:
    """Compare predicted click probabilities with held-out feedback.

    Parameters
    ----------
    probability : ndarray, shape (n,), in (0, 1)
    feedback : ndarray, shape (n,), in {0, 1}
    bins : int
        Number of bins, at most.

    Returns
    -------
    Calibration
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    counts = np.array([len(part) for part in parts])
    predicted = np.array([probability[part].mean() for part in parts])
    observed = np.array([feedback[part].mean() for part in parts])
    spread = np.array([(probability[part] * (1 - probability[part])).sum() for part in parts])
    statistic = float(((counts * (observed - predicted)) ** 2 / spread.clip(1e-12)).sum())
    low, high = wilson(observed, counts)
    return Calibration(predicted, observed, low, high, statistic, float(chi2.sf(statistic, len(parts))))


def wilson(share: np.ndarray, count: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a binomial share (Journal of the American Statistical Association, 1927).

    Parameters
    ----------
    share : ndarray, in [0, 1]
        Observed shares.
    count : ndarray of int
        Number of trials of each.
    level : float in (0, 1)

    Returns
    -------
    low, high : ndarray, in [0, 1]
    """
    z = float(norm.ppf(0.5 + level / 2))
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    # at shares of 0 and 1 rounding must not put the share outside
    return np.minimum(centre - half, share), np.maximum(centre + half, share)
