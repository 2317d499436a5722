"""What a claim rests on: measured values with their intervals."""

import math
import re
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, model_validator
from scipy.stats import t as student


class Quantity(BaseModel, frozen=True, extra="forbid"):
    """A measured value, as ``paper_repro.json`` stores it.

    Parameters
    ----------
    value : float or None
        The value; None if it does not exist (a share of no gain).
    low, high : float or None
        Bounds of its interval; None if it has none, or if that side is unbounded.
    error : float or None
        Standard error of the value.
    n : int
        Number of independent replicates behind it; 0 for exact values and counts.
    kind : {"exact", "statistical", "derived", "speed"}
        How a rerun must agree: to the printed digits, within the error, or not at all, because the value
        follows from others, or depends on the machine.
    digits : int
        Number of decimals printed; negative for significant digits in scientific notation.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    n: int = 0
    kind: Literal["exact", "statistical", "derived", "speed"] = "statistical"
    digits: int = 3

    @model_validator(mode="before")
    @classmethod
    def _none_for_what_is_not_finite(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Replace NaN and infinities by None, since JSON knows neither."""
        names = ("value", "low", "high", "error")
        finite = {
            name: None if values.get(name) is None or not math.isfinite(values[name]) else float(values[name])
            for name in names
        }
        return {**values, **finite}

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        text = self._number(self.value)
        if self.kind != "statistical" or (self.low is None and self.high is None):
            return text
        low = "-∞" if self.low is None else self._number(self.low)
        high = "∞" if self.high is None else self._number(self.high)
        return f"{text} [{low}, {high}]"

    def _number(self, value: float) -> str:
        text = f"{value:.{-self.digits}g}" if self.digits < 0 else f"{value:.{self.digits}f}"
        return text[1:] if text.startswith("-") and not re.search(r"[1-9]", text) else text


def mean_of(values: np.ndarray, level: float = 0.95, comparisons: int = 1, digits: int = 3) -> Quantity:
    """Return the mean over replicates with Student's interval (Bonferroni over ``comparisons``).

    Parameters
    ----------
    values : ndarray, shape (R,)
        One value per replicate; with R = 1 there is no interval.
    level : float in (0, 1)
        Coverage of the interval.
    comparisons : int
        Number of intervals that hold simultaneously.
    digits : int
        As in :class:`Quantity`.
    """
    values = np.asarray(values, dtype=float)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Quantity(value=mean, n=n, digits=digits)
    error = float(values.std(ddof=1)) / math.sqrt(n)
    reach = error * float(student.ppf(1 - (1 - level) / 2 / comparisons, n - 1))
    return Quantity(value=mean, low=mean - reach, high=mean + reach, error=error, n=n, digits=digits)


def ratio_of(
    numerator: np.ndarray, denominator: np.ndarray, level: float = 0.95, digits: int = 2
) -> Quantity:
    """Return the ratio of two means over the same replicates with Fieller's interval (Fieller, 1954).

    If the denominator's own interval holds 0, the ratio can be anything: value and bounds are None.

    Parameters
    ----------
    numerator, denominator : ndarray, shape (R,)
        One value each per replicate.
    level : float in (0, 1)
        Coverage of the interval.
    digits : int
        As in :class:`Quantity`.
    """
    n = len(numerator)
    a, b = float(np.mean(numerator)), float(np.mean(denominator))
    if n < 2 or b == 0:
        return Quantity(value=None, n=n, digits=digits)
    (v_aa, v_ab), (_, v_bb) = np.cov(numerator, denominator) / n
    t2 = float(student.ppf((1 + level) / 2, n - 1)) ** 2
    curvature = b**2 - t2 * v_bb
    if curvature <= 0:
        return Quantity(value=None, n=n, digits=digits)
    middle = a * b - t2 * v_ab
    reach = math.sqrt(max(0.0, middle**2 - curvature * (a**2 - t2 * v_aa)))
    ratio = a / b
    error = math.sqrt(max(0.0, v_aa - 2 * ratio * v_ab + ratio**2 * v_bb)) / abs(b)
    bounds = (middle - reach) / curvature, (middle + reach) / curvature
    return Quantity(value=ratio, low=bounds[0], high=bounds[1], error=error, n=n, digits=digits)


def exact(value: float, digits: int = -2) -> Quantity:
    """Return a value without sampling error as a quantity."""
    return Quantity(value=value, kind="exact", digits=digits)
