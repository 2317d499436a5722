"""Ranking, calibration and decision metrics, as expectations over the latent preferences."""

import numpy as np

PAIRS_A_GROUP = 20_000
BINS = 15


def expected_auroc(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Expected AUROC, ``P(s_i > s_j | r*_i = 1, r*_j = 0)`` over pairs of different responses.

    Ties count one half.

    Parameters
    ----------
    predictions : ndarray, shape (R, m)
    reward : ndarray, shape (m,), in [0, 1]

    Returns
    -------
    ndarray, shape (R,), in [0, 1]
        NaN if all rewards are 0 or all are 1.
    """
    negative = 1 - reward
    total = reward.sum() * negative.sum() - (reward * negative).sum()
    if total <= 0:
        return np.full(len(predictions), np.nan)
    values = np.empty(len(predictions))
    for row, scores in enumerate(predictions):
        order = np.argsort(scores, kind="stable")
        _, starts, counts = np.unique(scores[order], return_index=True, return_counts=True)
        below = np.concatenate([[0.0], np.cumsum(negative[order])])
        # for each score: negative mass strictly below it, plus half of the mass tied with it
        lower, upper = below[starts], below[starts + counts]
        tied = np.repeat((lower + upper) / 2, counts)
        wins = (reward[order] * tied).sum() - (reward * negative).sum() / 2  # less i = j
        values[row] = wins / total
    return values


def pairwise_accuracy(predictions: np.ndarray, reward: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Share of pairs of responses to one prompt, with different rewards, that are ordered correctly.

    Ties in the score count one half. Each prompt with more than 200 responses contributes a fixed sample of
    20,000 pairs.

    Parameters
    ----------
    predictions : ndarray, shape (R, m)
    reward : ndarray, shape (m,), in [0, 1]
    groups : ndarray, shape (m,)
        Prompt of every response.

    Returns
    -------
    ndarray, shape (R,), in [0, 1]
        NaN if there is no such pair.
    """
    first, second = _pairs(groups)
    differs = reward[first] != reward[second]
    first, second = first[differs], second[differs]
    if len(first) == 0:
        return np.full(len(predictions), np.nan)
    truth = np.sign(reward[first] - reward[second])
    return np.array([(1 + truth * np.sign(s[first] - s[second])).mean() / 2 for s in predictions])


def _pairs(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of rows that share a group, or a fixed sample of the pairs of a large group."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    firsts, seconds = [np.empty(0, int)], [np.empty(0, int)]
    for n in np.unique(sizes[sizes <= 200]):  # groups of one size at a time: there may be many
        members = order[starts[sizes == n][:, None] + np.arange(n)]
        i, j = np.triu_indices(n, 1)
        firsts.append(members[:, i].ravel())
        seconds.append(members[:, j].ravel())
    rng = np.random.default_rng(0)
    for start, n in zip(starts[sizes > 200], sizes[sizes > 200], strict=True):
        i, shift = rng.integers(0, n, PAIRS_A_GROUP), rng.integers(1, n, PAIRS_A_GROUP)
        firsts.append(order[start + i])
        seconds.append(order[start + (i + shift) % n])
    return np.concatenate(firsts), np.concatenate(seconds)


def expected_calibration_error(predictions: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Calibration error: the mean of ``|mean γ̂ - mean γ|`` over 15 bins of equal mass, shape (R,)."""
    order = np.argsort(predictions, axis=1, kind="stable")
    gap = np.take_along_axis(predictions - reward, order, axis=1)
    edges = np.linspace(0, gap.shape[1], BINS + 1).astype(int)[:-1]
    return np.abs(np.add.reduceat(gap, np.unique(edges), axis=1)).sum(1) / gap.shape[1]


def regret(predictions: np.ndarray, reward: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Regret of best-of-n: a prompt's best reward minus that of its top-scored response, mean over prompts.

    Tied top scores count with their mean reward. Arguments as for :func:`pairwise_accuracy`; returns shape
    (R,), in [0, 1].
    """
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    gamma = reward[order]
    best = np.maximum.reduceat(gamma, starts)
    values = np.empty(len(predictions))
    for row, scores in enumerate(predictions[:, order]):
        top = scores == np.repeat(np.maximum.reduceat(scores, starts), counts)
        chosen = np.add.reduceat(gamma * top, starts) / np.add.reduceat(top.astype(float), starts)
        values[row] = (best - chosen).mean()
    return values
