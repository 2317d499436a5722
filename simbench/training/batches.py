"""The order of training: which rows are held out, and in which order the others are read.

The order depends on sizes alone, never on where the features lie: a log in memory and the same log on disk
are trained in the same batches.
"""

from dataclasses import dataclass

import numpy as np

from simbench.errors import BadInput
from simbench.files.matrix import IN_MEMORY
from simbench.training.pairs import draw_pairs

RUN = 1024  # successive rows that are read together where a log is larger than one pool


@dataclass(frozen=True)
class Pool:
    """Batches that are drawn from rows which lie in memory together.

    Parameters
    ----------
    rows : ndarray of int64
        All rows of the batches, one batch behind another; of a batch of pairs, the first members and then
        their partners.
    sizes : list of int
        Rows of each batch.
    """

    rows: np.ndarray
    sizes: list[int]


def pool_rows(width: int, batch_size: int, memory: int = IN_MEMORY) -> int:
    """Rows of ``width`` float32 that a pool holds; whole batches, and at least one."""
    return max(batch_size, memory // (4 * width) // batch_size * batch_size)


def shuffled(n: int, pool: int, order: np.random.Generator) -> list[np.ndarray]:
    """The numbers 0 to n - 1 in random order, in pools of ``pool``.

    What fits in one pool is a full permutation. Beyond that, runs of successive numbers are shuffled, so
    that a file is read in long runs, and the numbers of every pool are shuffled among themselves.
    """
    if n <= pool:
        return [order.permutation(n)]
    runs = order.permutation(-(-n // RUN))
    numbers = (runs[:, None] * RUN + np.arange(RUN)).ravel()
    numbers = numbers[numbers < n]
    return [order.permutation(part) for part in np.split(numbers, range(pool, n, pool))]


def batches_of_rows(rows: np.ndarray, size: int, pool: int, order: np.random.Generator) -> list[Pool]:
    """An epoch of batches of ``size`` rows."""
    return [Pool(rows[part], _split(len(part), size)) for part in shuffled(len(rows), pool, order)]


def batches_of_pairs(
    rows: np.ndarray, groups: np.ndarray, size: int, pool: int, order: np.random.Generator
) -> list[Pool]:
    """An epoch of batches of ``size // 2`` pairs: every row with a random partner of its prompt."""
    pairs, size = draw_pairs(rows, groups, order), max(1, size // 2)
    pools = []
    for part in shuffled(pairs.shape[1], max(size, pool // 2 // size * size), order):
        cuts = range(size, len(part), size)
        batches = [batch.ravel() for batch in np.split(pairs[:, part], cuts, axis=1)]
        pools.append(Pool(np.concatenate(batches), [len(batch) for batch in batches]))
    return pools


def in_order(rows: np.ndarray, size: int, pool: int) -> list[Pool]:
    """One pass over these rows as they stand, in parts of ``size``: for evaluation."""
    pool = max(size, pool // size * size)
    parts = np.split(rows, range(pool, len(rows), pool))
    return [Pool(part, _split(len(part), size)) for part in parts]


def _split(n: int, size: int) -> list[int]:
    return [min(size, n - start) for start in range(0, n, size)]


def split_by_prompt(groups: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows held out, by whole prompts (theory, section 5).

    Returns
    -------
    train, held_out : ndarray of int64
        Never empty; both are all rows where the share is 0.
    """
    if share == 0:
        return np.arange(len(groups)), np.arange(len(groups))
    names, code = np.unique(groups, return_inverse=True)
    if len(names) < 2:  # a single prompt: nothing to keep whole
        code, names = np.arange(len(groups)), groups
    if len(code) < 2:
        raise BadInput("a log of one row cannot be split: at least 2 sample(s) are needed.")
    rank = np.random.default_rng(seed).permutation(len(names))
    n_held = min(len(names) - 1, max(1, round(share * len(names))))
    held = rank[code] < n_held
    return np.flatnonzero(~held), np.flatnonzero(held)
