"""Metrics of the published evaluation against labels ``r*``, as expectations given the reward.

A study knows ``γ``, so no labels need to be drawn: ``E (r* - p)² = (γ - p)² + γ(1 - γ)``. R², MAE and RMSE
measure calibration more than ranking: a constant factor on all predictions changes them, but not AUROC.
"""

import numpy as np


def expected_brier(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Expected Brier score, ``E mean (r* - p)²``, in squared probability.

    Parameters
    ----------
    predictions : ndarray, shape (R, m), in [0, 1]
    reward : ndarray, shape (m,), in [0, 1]

    Returns
    -------
    ndarray, shape (R,)
    """
    return ((predictions - reward) ** 2).mean(1) + float((reward * (1 - reward)).mean())


def expected_r2(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """R² as a ratio of expectations, ``1 - E Σ(r* - p)² / E Σ(r* - r̄*)²``.

    ``E mean (r* - r̄*)² = γ̄(1 - γ̄) - Σ γ(1 - γ)/m²``, because the mean of the m labels is itself random.
    Arguments as for :func:`expected_brier`.

    Returns
    -------
    ndarray, shape (R,), at most 1
        NaN if the labels cannot differ.
    """
    m, mean = len(reward), reward.mean()
    spread = mean * (1 - mean) - (reward * (1 - reward)).sum() / m**2
    if spread <= 1e-12:
        return np.full(len(predictions), np.nan)
    return 1 - expected_brier(predictions, reward) / spread


def expected_mae(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Expected mean absolute error, ``E mean |r* - p| = mean γ(1 - p) + (1 - γ)p``, shape (R,).

    It is smallest at hard decisions, not at ``γ``. Arguments as for :func:`expected_brier`.
    """
    return (reward * (1 - predictions) + (1 - reward) * predictions).mean(1)
