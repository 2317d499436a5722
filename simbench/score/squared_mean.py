"""Squared norm of a mean, estimated without bias from few replicates, with an interval that covers.

With ``D_r`` the rows of ``(R, m)`` differences (predicted less true reward, or less the oracle's), bias² is
``θ = |E D|²/m``. Its U-statistic is the mean of ``<D_r, D_s>/m`` over pairs of different replicates.
Hoeffding's decomposition of it has two terms: a linear one, ``2<D̄ - E D, E D>/m``, which vanishes at θ = 0,
and a degenerate one, a weighted sum of centred chi-squares. The interval keeps both: ``|D̄|²`` is split into
its part along the mean, normal, and the rest, a chi-square whose degrees of freedom match the second moment
of the noise (Satterthwaite 1946), and θ is solved for draw by draw. For isotropic normal noise of d
dimensions it inverts the noncentral F distribution; for d = 1 it is Student's interval of the mean, squared.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import norm

from simbench.score.estimate import FEWEST, Estimate, on_log_scale, without_interval

DRAWS = 4000  # from which the ends of an interval are read; fixed, so that it is a function of the data
SMALLEST = 1e-3  # 1/d of noise that is spread over very many dimensions


def pseudo_values(gram: np.ndarray) -> np.ndarray:
    """Jackknife pseudo-values of :func:`squared_mean`, shape (R,); their mean is the estimate.

    Leaving out replicate i leaves ``(R θ - 2 u_i)/(R - 2)``, where ``u_i`` is its mean product with the
    others. NaN for fewer than three replicates.
    """
    n = len(gram)
    if n < 3:
        return np.full(n, np.nan)
    with_others = (gram.sum(1) - np.diag(gram)) / (n - 1)
    theta = with_others.mean()
    return n * theta - (n - 1) * (n * theta - 2 * with_others) / (n - 2)


@dataclass(frozen=True)
class Spread:
    """What the Gram matrix of R replicates says of their mean and noise.

    Parameters
    ----------
    squared_mean : float
        Unbiased estimate of θ; may be negative.
    raw : float
        ``|D̄|²/m``, which the noise inflates.
    variance : float
        Unbiased estimate of the variance, ``tr Σ/m``.
    concentration : float in (0, 1]
        ``tr Σ²/(tr Σ)²``, one over the effective number of dimensions of the noise.
    along : float in [0, 1]
        Share of the variance that lies along the mean.
    """

    squared_mean: float
    raw: float
    variance: float
    concentration: float
    along: float


def gram_matrix(predictions: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Gram matrix ``D Dᵀ/m`` of the differences ``D``, (R, m), of predictions and reference, shape (R, R)."""
    difference = np.asarray(predictions, dtype=float) - reference
    return difference @ difference.T / difference.shape[1]


def squared_mean(gram: np.ndarray) -> float:
    """Unbiased estimate of θ: the mean of the off-diagonal entries of the Gram matrix; NaN for R = 1."""
    count = len(gram)
    return float((gram.sum() - np.trace(gram)) / (count * (count - 1))) if count > 1 else float("nan")


def spread(gram: np.ndarray) -> Spread:
    """Moments of R >= 3 replicates that an interval of θ needs, from their Gram matrix."""
    count, value, raw = len(gram), squared_mean(gram), float(gram.mean())
    rows = gram.mean(0)
    centred = gram - rows - rows[:, None] + raw
    variance = float(np.trace(centred)) / (count - 1)
    if variance <= 0:
        return Spread(value, raw, 0.0, 1.0, 0.0)
    concentration = _concentration(centred, variance)
    others = (count**2 * raw - 2 * count * rows + np.diag(gram)) / (count - 1) ** 2  # |mean of the others|²
    along = (count * rows - np.diag(gram)) / (count - 1) - others  # <D_r - D̄_(-r), D̄_(-r)>
    linear = float(np.var(along * (count - 1) / count, ddof=1)) - variance**2 * concentration / (count - 1)
    # near θ = 0 the direction of the mean is not known: there it has its share of isotropic noise
    noise, positive = variance / count, max(value, 0.0)
    blurred = noise**2 / (noise + positive)
    share = (max(linear, 0.0) + blurred * concentration * variance) / ((positive + blurred) * variance)
    return Spread(value, raw, variance, concentration, min(share, 1.0))


def _concentration(centred: np.ndarray, variance: float) -> float:
    """``tr Σ²/(tr Σ)²``, each estimated without bias for normal noise (Bai and Saranadasa 1996)."""
    n = len(centred) - 1
    squares = float((centred**2).sum()) / n**2
    both = (n + 2) * (n - 1)
    of_square = n**2 / both * (squares - variance**2 / n)
    square_of = n / both * ((n + 1) * variance**2 - 2 * squares)
    return float(np.clip(of_square / square_of, SMALLEST, 1.0)) if square_of > 0 else 1.0


def with_interval(gram: np.ndarray, *, level: float = 0.95) -> Estimate:
    """θ and its interval, from the Gram matrix of R replicates.

    Parameters
    ----------
    gram : ndarray, shape (R, R)
        From :func:`gram_matrix`.
    level : float in (0, 1)
        Nominal coverage; ``benchmarks/intervals.md`` shows what it is.

    Returns
    -------
    Estimate
        The value is unbiased, and so may be negative; the interval then begins at the value and not at 0.
        Without an interval below :data:`simbench.score.estimate.FEWEST` replicates.
    """
    value = squared_mean(gram)
    if len(gram) < FEWEST or not np.isfinite(value):
        return without_interval(value)
    found = spread(gram)
    if found.variance == 0:
        return Estimate(value, value, value)
    rest = 1 - found.along
    within = max(found.concentration - found.along**2, SMALLEST)
    of_rest = float(np.clip(rest**2 / within, 1, 1 / SMALLEST))
    fisher, student = _draws(of_rest, (len(gram) - 1) / found.concentration, len(gram) - 1)
    noise = found.variance / len(gram)
    left = found.raw / noise - rest * fisher
    root = np.where(left >= 0, np.sqrt(left.clip(0)) - np.sqrt(found.along) * student, -np.inf)
    tail = (1 - level) / 2
    low, high = noise * np.quantile(root, [tail, 1 - tail], method="inverted_cdf").clip(0) ** 2
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def _draws(between: float, within: float, degrees: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws of F(between, within) and of Student's t, always from the same numbers."""
    rng = np.random.default_rng(7)
    numerator = rng.standard_gamma(between / 2, DRAWS) / (between / 2)
    denominator = rng.standard_gamma(within / 2, DRAWS) / (within / 2)
    chi = rng.standard_gamma(degrees / 2, DRAWS) / (degrees / 2)
    return numerator / denominator, _normal() / np.sqrt(chi)


@lru_cache(maxsize=1)
def _normal() -> np.ndarray:
    order = np.random.default_rng(3).permutation(DRAWS)
    return norm.ppf((order + 0.5) / DRAWS)


def variance_with_interval(gram: np.ndarray, *, level: float = 0.95) -> Estimate:
    """Variance ``tr Σ/m`` and its interval, on the scale of the logarithm, from the Gram matrix.

    The relative error is the larger of what replicates show and of what normal noise of so many dimensions
    has: few replicates show too little.
    """
    count = len(gram)
    if count < 2:
        return without_interval(float("nan"))
    rows = gram.mean(0)
    own = (np.diag(gram) - 2 * rows + gram.mean()) * count / (count - 1)
    variance = float(own.mean())
    if count < FEWEST or variance <= 0:
        return without_interval(variance)
    shown = float(np.std(own, ddof=1)) / np.sqrt(count) / variance
    normal = np.sqrt(2 * spread(gram).concentration / (count - 1))
    return on_log_scale(variance, max(shown, float(normal)), count, level)


def mse_with_interval(gram: np.ndarray, *, level: float = 0.95) -> Estimate:
    """MSE, the mean of the diagonal of the Gram matrix, and its interval on the scale of the logarithm.

    The relative error is the larger one, as in :func:`variance_with_interval`.
    """
    own, count = np.diag(gram), len(gram)
    mse = float(own.mean())
    if count < FEWEST or mse <= 0:
        return without_interval(mse)
    found = spread(gram)
    shown = float(np.std(own, ddof=1)) / np.sqrt(count) / mse
    squares = 2 * found.concentration * found.variance**2
    crossed = 4 * found.along * max(found.squared_mean, 0.0) * found.variance
    return on_log_scale(mse, max(shown, float(np.sqrt((squares + crossed) / count)) / mse), count, level)
