"""Metrics of the published evaluation, against labels ``r*``, in expectation over them given the reward.

A study knows ``γ``, so that no labels need be drawn: ``E (r* - p)² = (γ - p)² + γ(1 - γ)``. R², MAE and RMSE
measure calibration before ranking: a constant factor on all predictions moves them and leaves AUROC alone.
"""

import numpy as np


def expected_brier(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """``E mean (r* - p)²``; (R, m) predictions and (m,) rewards give shape (R,), in squared probability."""
    return ((predictions - reward) ** 2).mean(1) + float((reward * (1 - reward)).mean())


def expected_r2(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """``1 - E Σ(r* - p)² / E Σ(r* - r̄*)²``, a ratio of expectations; shape (R,), at most 1; NaN where
    labels cannot differ.

    ``E mean (r* - r̄*)² = γ̄(1 - γ̄) - Σ γ(1 - γ)/m²``, with the mean of the m labels itself random.
    """
    m, mean = len(reward), reward.mean()
    spread = mean * (1 - mean) - (reward * (1 - reward)).sum() / m**2
    if spread <= 1e-12:
        return np.full(len(predictions), np.nan)
    return 1 - expected_brier(predictions, reward) / spread


def expected_mae(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """``E mean |r* - p| = mean γ(1 - p) + (1 - γ)p``, shape (R,). Least at hard decisions, not at ``γ``."""
    return (reward * (1 - predictions) + (1 - reward) * predictions).mean(1)
