"""Verdicts on the bias of an estimator: unbiased, biased, nearer than the oracle, or undecided."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from simbench.score.estimate import FEWEST, Estimate
from simbench.score.squared_mean import Spread

NEARER = "nearer than oracle"
POWER = 0.95  # planned, of the four fifths that are promised: the noise itself is estimated from few
MOST = 10_000


@dataclass(frozen=True)
class Verdict:
    """A verdict on the bias, the reason for it, and how many replicates would decide if it is open.

    Parameters
    ----------
    label : {"unbiased", "biased", "nearer than oracle", "undecided"}
    reason : str
    replicates_needed : int, optional
        Number of replicates that would decide; None if it is decided, or no number would.
    """

    label: str
    reason: str
    replicates_needed: int | None = None


def verdict(
    distance2: Estimate, excess_bias2: Estimate, *, margin: float, noise: Spread | None = None
) -> Verdict:
    """Decide whether an estimator has the oracle's mean, up to a margin (theory, section 5).

    ``unbiased`` needs the whole interval of the distance below the margin, ``biased`` the whole interval
    above it. An estimator that is farther from the oracle than the margin because it is nearer to the truth
    (its whole excess bias² is negative) is ``nearer than oracle``.

    Parameters
    ----------
    distance2, excess_bias2 : Estimate
        From :func:`simbench.score.moments.against_oracle`, or their means over worlds.
    margin : float
        Largest squared distance that counts as none, in squared probability.
    noise : Spread, optional
        Of the differences from the oracle; says how many replicates would decide. None for a mean over
        worlds, where more worlds would.
    """
    low, high, value = distance2.low, distance2.high, distance2.value
    if math.isnan(low):
        what = f"fewer than {FEWEST} replicates" if noise is not None else "a single world, or no estimate,"
        return Verdict("undecided", f"needs replicates: {what} give no interval")
    where = f"squared distance to the oracle {value:.4f} [{low:.4f}, {high:.4f}], margin {margin:.4f}"
    if high < margin:
        return Verdict("unbiased", where)
    if low > margin:
        return Verdict(NEARER if excess_bias2.high < 0 else "biased", where)
    if noise is None:
        return Verdict("undecided", f"{where}: more worlds would decide")
    needed = replicates_needed(noise, margin)
    side = "half" if value < margin else "twice"
    if needed is None:
        return Verdict("undecided", f"{where}: no number of replicates up to {MOST} decides at {side} of it")
    return Verdict("undecided", f"{where}: {needed} replicates decide if it is {side} of that", needed)


def replicates_needed(noise: Spread, margin: float) -> int | None:
    """How many replicates decide with a probability of four fifths, if the truth is half or twice the margin.

    Half if the estimate lies below the margin, else twice: the estimate itself may lie at the margin by
    chance. None if more than :data:`MOST` are needed.
    """
    truth = margin / 2 if noise.squared_mean < margin else 2 * margin
    for count in np.unique(np.geomspace(FEWEST, MOST, 400).astype(int)):
        reach = float(student.ppf(0.975, count - 1)) * _error(noise, margin, count)
        if reach + float(norm.ppf(POWER)) * _error(noise, truth, count) <= abs(truth - margin):
            return int(count)
    return None


def _error(noise: Spread, truth: float, count: int) -> float:
    """Standard error of the U-statistic of ``count`` replicates, both terms of its decomposition."""
    linear = 4 * noise.along * noise.variance * truth / count
    degenerate = 2 * noise.concentration * noise.variance**2 / (count * (count - 1))
    return math.sqrt(linear + degenerate)
