"""Pairs of responses whose order holds for every propensity that is admitted."""

import numpy as np
import pandas as pd


def decided_share(low: np.ndarray, high: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Share of the pairs of responses of which one is better whatever the reward is within its bounds.

    Parameters
    ----------
    low, high : ndarray, shape (n,)
        Bounds of each response's reward.
    groups : ndarray, shape (n,), optional
        Prompts: then only pairs of one prompt count.

    Returns
    -------
    float in [0, 1]
        NaN if there is no pair.
    """
    parts = [np.arange(len(low))] if groups is None else _parts(groups)
    decided = sum(int(np.searchsorted(np.sort(high[rows]), low[rows], side="left").sum()) for rows in parts)
    pairs = sum(len(rows) * (len(rows) - 1) // 2 for rows in parts)
    return decided / pairs if pairs else float("nan")


def decided_pairs(low: np.ndarray, high: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """List the pairs of one prompt whose order the bounds decide.

    Parameters
    ----------
    low, high : ndarray, shape (n,)
        Bounds of each response's reward; limits, to count sampling error too.
    groups : ndarray, shape (n,)
        Prompts.

    Returns
    -------
    DataFrame
        Columns ``better`` and ``worse``, row numbers of the log from 0, and ``margin``, by how much the
        better one's least reward exceeds the other's largest; the widest margin first.
    """
    better, worse = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for rows in _parts(groups):
        first, second = np.nonzero(low[rows][:, None] > high[rows][None])
        better.append(rows[first])
        worse.append(rows[second])
    first, second = np.concatenate(better), np.concatenate(worse)
    found = pd.DataFrame({"better": first, "worse": second, "margin": low[first] - high[second]})
    return found.sort_values("margin", ascending=False, kind="stable", ignore_index=True)


def pairs_within(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the two members of every pair of one prompt, shape (pairs,) each, int64."""
    first, second = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for rows in _parts(groups):
        one, other = np.triu_indices(len(rows), 1)
        first.append(rows[one])
        second.append(rows[other])
    return np.concatenate(first), np.concatenate(second)


def _parts(groups: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each prompt."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
