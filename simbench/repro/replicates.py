"""Scores of every single replicate, so that estimators can be compared in pairs on the same logs."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.isotonic import isotonic_regression

from simbench.files.write import write_whole
from simbench.score.labels import expected_brier, expected_mae, expected_r2
from simbench.score.ranking import expected_auroc
from simbench.score.squared_mean import gram_matrix, pseudo_values
from simbench.study.cell import Cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.guests.kinds import find
from simbench.study.shards import Shards

COLUMNS = [*("world", "bias_level", "size", "protocol", "estimator", "knows"), "replicate", "metric", "value"]
FILE = "replicates.parquet"


def scores(predictions: np.ndarray, reward: np.ndarray, ranks_only: bool = False) -> dict[str, np.ndarray]:
    """Return the paper's metrics, each of shape (R,), in expectation over the latent preferences.

    Parameters
    ----------
    predictions : ndarray, shape (R, m), in [0, 1]
        ``γ̂`` of every replicate.
    reward : ndarray, shape (m,), in [0, 1]
        ``γ``.
    ranks_only : bool
        Leave out metrics that make no sense for a score that may be shifted.

    Returns
    -------
    dict of ndarray
        ``auroc``; ``r2``, ``mae``, ``rmse`` against the preference r* (:mod:`simbench.score.labels`);
        ``mse`` and ``bias2`` against γ (squared probability); ``shift`` (mean γ̂ less mean γ);
        ``r2_recalibrated``: R² after the best monotone map of γ̂, which only the truth can give; it shows
        what the ranking alone is worth. ``mae_of_truth`` is the MAE of γ itself, and ``mae_least`` the least
        that any prediction can have: hard decisions have it.
    """
    p = np.asarray(predictions, dtype=float)
    values = {"auroc": expected_auroc(p, reward)}
    if ranks_only:
        return values
    best = np.stack([_best_monotone(row, reward) for row in p])
    return values | {
        "mse": ((p - reward) ** 2).mean(1),
        "bias2": pseudo_values(gram_matrix(p, reward)),
        "r2": expected_r2(p, reward),
        "r2_recalibrated": expected_r2(best, reward),
        "rmse": np.sqrt(expected_brier(p, reward)),
        "mae": expected_mae(p, reward),
        "shift": p.mean(1) - reward.mean(),
        "mae_of_truth": np.full(len(p), expected_mae(reward[None], reward)[0]),
        "mae_least": np.full(len(p), np.minimum(reward, 1 - reward).mean()),
    }


def _best_monotone(prediction: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Isotonic regression of γ on γ̂, in the order of the rows; tied predictions share their mean."""
    _, code, counts = np.unique(prediction, return_inverse=True, return_counts=True)
    means = np.bincount(code, reward) / counts
    return isotonic_regression(means, sample_weight=counts.astype(float))[code]


def collect(config: StudyConfig, folder: Path) -> pd.DataFrame:
    """Return the long table of a finished study, a row per cell, replicate and metric.

    Returns
    -------
    DataFrame
        Columns ``world, bias_level, size, protocol, estimator, knows, replicate, metric, value``. Cells that
        were skipped or failed have no rows.
    """
    shards, frames = Shards(folder / "shards"), []
    for cell in cells_of(config):
        if not shards.has(cell.key, cell.replicates):
            continue
        predictions, facts = shards.read(cell.key, cell.replicates)
        found = scores(predictions, cell.built().test.reward, find(cell.estimator).ranks_only)
        frames.append(as_rows(cell, facts["knows"], found))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def as_rows(cell: Cell, knows: str, metrics: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the metrics of one cell, each of shape (R,), as rows of the long table."""
    frame = pd.DataFrame(metrics).rename_axis("replicate").reset_index()
    where = cell.columns | {"knows": knows}
    return frame.melt("replicate", var_name="metric").assign(**where)[COLUMNS]


def write(path: Path, table: pd.DataFrame) -> None:
    """Write the long table, completely or not at all."""
    write_whole(path, lambda to: table.to_parquet(to, index=False))
