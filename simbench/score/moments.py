"""Bias, variance, ranking, calibration and decision metrics against the truth, each with an interval."""

import numpy as np

from simbench.score.estimate import FEWEST, Estimate, over_replicates, without_interval
from simbench.score.labels import expected_brier, expected_mae, expected_r2
from simbench.score.ranking import (
    expected_auroc,
    expected_calibration_error,
    pairwise_accuracy,
    regret,
)
from simbench.score.squared_mean import (
    gram_matrix,
    mse_with_interval,
    pseudo_values,
    squared_mean,
    variance_with_interval,
    with_interval,
)


def score(
    predictions: np.ndarray, reward: np.ndarray, groups: np.ndarray, *, level: float = 0.95
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
        Nominal coverage of the intervals. They are conditional on this reward and these test responses:
        replicates of one world say nothing of another.

    Returns
    -------
    dict of Estimate
        ``bias2``, ``variance``, ``mse`` (squared probability), ``auroc``, ``pairwise_accuracy``,
        ``brier``, ``nll``, ``calibration_shift``, ``ece``, ``regret``; and those of the published evaluation,
        ``r2``, ``mae``, ``rmse`` (see :mod:`simbench.score.labels`). Without intervals below
        :data:`simbench.score.estimate.FEWEST` replicates.
    """
    gram = gram_matrix(predictions, reward)
    estimates = {
        "bias2": with_interval(gram, level=level),
        "variance": variance_with_interval(gram, level=level),
        "mse": mse_with_interval(gram, level=level),
    }
    for name, values in per_replicate(predictions, reward, groups).items():
        estimates[name] = over_replicates(values, level=level)
    return estimates


def against_oracle(
    predictions: np.ndarray, oracle: np.ndarray, reward: np.ndarray, *, level: float = 0.95
) -> dict[str, Estimate]:
    """How far an estimator is from the oracle on the same logs, with the same heads on both sides.

    Parameters
    ----------
    predictions, oracle : ndarray, shape (R, m), in [0, 1]
        Predicted rewards of the estimator and of the oracle; row r of both is of the same log.
    reward : ndarray, shape (m,), in [0, 1]
        True reward ``γ``.
    level : float in (0, 1)
        Nominal coverage of the intervals.

    Returns
    -------
    dict of Estimate
        ``distance2``: ``mean_x (E γ̂ - E γ̂_oracle)²``, which no cancelling of biases makes small;
        ``excess_bias2`` and ``excess_mse``: differences of bias² and MSE, negative for an estimator that is
        nearer to the truth than the oracle. All in squared probability.
    """
    mine, theirs = gram_matrix(predictions, reward), gram_matrix(oracle, reward)
    return {
        "distance2": with_interval(gram_matrix(predictions, oracle), level=level),
        "excess_bias2": _excess_bias2(mine, theirs, level),
        "excess_mse": over_replicates(np.diag(mine) - np.diag(theirs), level=level),
    }


def _excess_bias2(mine: np.ndarray, theirs: np.ndarray, level: float) -> Estimate:
    """Difference of two bias², with the jackknife's interval."""
    value = squared_mean(mine) - squared_mean(theirs)
    if len(mine) < FEWEST:
        return without_interval(value)
    return over_replicates(pseudo_values(mine) - pseudo_values(theirs), level=level)


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
