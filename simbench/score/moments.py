"""Bias, variance, ranking, calibration and decision metrics against the truth, each with an interval."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import t as student

from simbench.score.labels import expected_brier, expected_mae, expected_r2
from simbench.score.ranking import (
    expected_auroc,
    expected_calibration_error,
    pairwise_accuracy,
    regret,
)


@dataclass(frozen=True)
class Estimate:
    """A number and its interval from ``low`` to ``high``; both are NaN if there is only one replicate."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """A verdict on the bias, the reason for it, and how many replicates would decide if it is open.

    Parameters
    ----------
    label : {"unbiased", "biased", "undecided"}
    reason : str
    replicates_needed : int, optional
        Number of replicates that would decide; None if it is decided, or no number would.
    """

    label: str
    reason: str
    replicates_needed: int | None = None


def score(
    predictions: np.ndarray,
    reward: np.ndarray,
    groups: np.ndarray,
    *,
    level: float = 0.95,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All metrics of R fitted rewards on one test set.

    Parameters
    ----------
    predictions : ndarray, shape (R, m), in [0, 1]
        Predicted reward ``γ̂`` of every replicate.
    reward : ndarray, shape (m,), in [0, 1]
        True reward ``γ``.
    groups : ndarray, shape (m,)
        Prompt of every response.
    level : float in (0, 1)
        Nominal coverage of the intervals.
    n_bootstrap : int
        Number of bootstrap resamples of the replicates.
    seed : int
        Seed of the resamples.

    Returns
    -------
    dict of Estimate
        ``bias2``, ``variance``, ``mse`` (squared probability), ``auroc``, ``pairwise_accuracy``,
        ``brier``, ``nll``, ``calibration_shift``, ``ece``, ``regret``; and those of the published evaluation,
        ``r2``, ``mae``, ``rmse`` (see :mod:`simbench.score.labels`).
    """
    gram = gram_matrix(predictions, reward)
    weights = _resamples(len(gram), n_bootstrap, seed)
    estimates = {
        name: _interval(value, draws, level, len(gram))
        for (name, value), draws in zip(
            _moments(gram).items(), _bootstrap_moments(gram, weights), strict=True
        )
    }
    for name, values in per_replicate(predictions, reward, groups).items():
        estimates[name] = over_replicates(values, level=level, n_bootstrap=n_bootstrap, seed=seed)
    return estimates


def over_replicates(
    values: np.ndarray, *, level: float = 0.95, n_bootstrap: int = 1000, seed: int = 0
) -> Estimate:
    """Mean over replicates of a metric, given as one value per replicate, (R,), with its interval."""
    draws = _resamples(len(values), n_bootstrap, seed) @ values / len(values)
    return _interval(float(values.mean()), draws, level, len(values))


def gram_matrix(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Gram matrix ``G = E Eᵀ / m`` of the errors ``E = γ̂ - γ``, shape (R, R).

    Bias², variance and MSE are all computed from it.
    """
    error = np.asarray(predictions, dtype=float) - reward
    return error @ error.T / error.shape[1]


def _moments(gram: np.ndarray) -> dict[str, float]:
    """Unbiased bias², variance and MSE (theory, section 5).

    ``mean_x (mean_R e)² - variance/R`` is the mean of the off-diagonal entries of G: products of the
    errors of two *different* replicates, whose expectation is bias² alone.
    """
    n, diagonal = len(gram), float(np.trace(gram)) / len(gram)
    if n == 1:
        return {"bias2": math.nan, "variance": math.nan, "mse": diagonal}
    bias2 = (float(gram.sum()) / n - diagonal) / (n - 1)
    return {"bias2": bias2, "variance": diagonal - bias2, "mse": diagonal}


def _bootstrap_moments(gram: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same moments for resampled replicates, from counts ``weights`` of shape (B, R).

    A pair of copies of one replicate is not a pair of different replicates: it is left out, because the
    diagonal would otherwise count as bias.
    """
    n, diagonal = len(gram), np.diag(gram)
    mse = weights @ diagonal / n
    crossed = np.einsum("br,rs,bs->b", weights, gram, weights, optimize=True) - weights**2 @ diagonal
    # with few replicates a resample may be one replicate over and over: no pair, whatever rounding leaves
    pairs = n**2 - (weights**2).sum(1)
    bias2 = np.divide(crossed, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return bias2, mse - bias2, mse


def excess(
    predictions: np.ndarray,
    oracle: np.ndarray,
    reward: np.ndarray,
    *,
    level: float = 0.95,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Bias² and MSE in excess of the oracle's on the same responses.

    Replicates of both are resampled together.

    Parameters
    ----------
    predictions, oracle : ndarray, shape (R, m), in [0, 1]
        Predicted rewards of the estimator and of the oracle.
    reward : ndarray, shape (m,), in [0, 1]
        True reward ``γ``.
    level, n_bootstrap, seed
        See :func:`score`.

    Returns
    -------
    dict of Estimate
        ``excess_bias2`` and ``excess_mse``, in squared probability.
    """
    mine, theirs = gram_matrix(predictions, reward), gram_matrix(oracle, reward)
    weights = _resamples(len(mine), n_bootstrap, seed)
    value, reference = _moments(mine), _moments(theirs)
    draws, reference_draws = _bootstrap_moments(mine, weights), _bootstrap_moments(theirs, weights)
    return {
        f"excess_{name}": _interval(
            value[name] - reference[name], draws[i] - reference_draws[i], level, len(mine)
        )
        for i, name in ((0, "bias2"), (2, "mse"))
    }


def verdict(excess_bias2: Estimate, *, margin: float, n_replicates: int) -> Verdict:
    """Decide whether an estimator is unbiased up to a margin (theory, section 5).

    ``unbiased`` needs the whole interval below the margin, ``biased`` the whole interval above it.

    Parameters
    ----------
    excess_bias2 : Estimate
        Excess bias² with its interval, from :func:`excess`.
    margin : float
        Largest bias² that counts as none, in squared probability.
    n_replicates : int
        Number of replicates from which the interval was computed.
    """
    low, high, value = excess_bias2.low, excess_bias2.high, excess_bias2.value
    where = f"excess bias² {value:.4f} [{low:.4f}, {high:.4f}] against a margin of {margin:.4f}"
    if math.isnan(low):
        return Verdict("undecided", f"{where}: one replicate shows no variance")
    if high < margin:
        return Verdict("unbiased", where)
    if low > margin:
        return Verdict("biased", where)
    # Intervals shrink like 1/√R.
    distance = max(abs(value - margin), 1e-12)
    needed = math.ceil(n_replicates * max(1.0, ((high - low) / 2 / distance) ** 2)) + 1
    if needed > 10_000:
        return Verdict("undecided", f"{where}: too near the margin for any number of replicates")
    return Verdict("undecided", f"{where}: about {needed} replicates would decide", needed)


def per_replicate(predictions: np.ndarray, reward: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics that are defined for a single replicate, by name, each of shape (R,); see :func:`score`."""
    p = np.asarray(predictions, dtype=float)
    brier = expected_brier(p, reward)
    safe = p.clip(1e-12, 1 - 1e-12)
    return {
        "auroc": expected_auroc(p, reward),
        "pairwise_accuracy": pairwise_accuracy(p, reward, groups),
        "brier": brier,
        "nll": -(np.log(safe) @ reward + np.log1p(-safe) @ (1 - reward)) / len(reward),
        "calibration_shift": p.mean(1) - reward.mean(),
        "ece": expected_calibration_error(p, reward),
        "regret": regret(p, reward, groups),
        "r2": expected_r2(p, reward),
        "mae": expected_mae(p, reward),
        "rmse": np.sqrt(brier),
    }


@lru_cache(maxsize=4)  # every metric of every cell asks for the same
def _resamples(n: int, n_bootstrap: int, seed: int) -> np.ndarray:
    """How often each replicate is drawn, shape (B, n)."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_bootstrap).astype(float)
    drawn.setflags(write=False)
    return drawn


def _interval(value: float, draws: np.ndarray, level: float, n: int) -> Estimate:
    """Interval from bootstrap percentiles, centred on the estimate and widened for few replicates.

    The percentile bootstrap of n values is too narrow by ``√((n-1)/n)`` and by the normal-to-t ratio; both
    are corrected. Percentiles are not reflected, so skewness stays on its side.
    """
    draws = draws[np.isfinite(draws)]
    if n < 2 or len(draws) == 0 or not np.isfinite(value):
        return Estimate(value, math.nan, math.nan)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail]) - draws.mean()
    widen = _widening(tail, n)
    return Estimate(value, value + widen * float(low), value + widen * float(high))


@lru_cache(maxsize=64)
def _widening(tail: float, n: int) -> float:
    """By how much the percentile bootstrap of n values is too narrow."""
    normal = float(student.ppf(1 - tail, 1e9))
    return math.sqrt(n / (n - 1)) * float(student.ppf(1 - tail, n - 1)) / normal
