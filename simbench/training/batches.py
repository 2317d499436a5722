"""The order of training: which rows are held out, and in which order the others are read.

The order depends only on sizes, never on where the features are stored: a log in memory and the same log on
disk are trained in the same batches.
"""

from dataclasses import dataclass

import numpy as np

from simbench.errors import BadInput
from simbench.files.matrix import IN_MEMORY
from simbench.training.pairs import draw_pairs

RUN = 1024  # consecutive rows that are read together if a log is larger than one pool


@dataclass(frozen=True)
class Pool:
    """Successive batches whose rows are in memory at the same time.

    Parameters
    ----------
    rows : ndarray of int64
        Row numbers of all batches, one batch after another; a batch of pairs lists the first members and
        then their partners.
    sizes : list of int
        Number of rows in each batch.
    """

    rows: np.ndarray
    sizes: list[int]


def pool_rows(width: int, batch_size: int, memory: int = IN_MEMORY) -> int:
    """Number of rows of ``width`` float32 values that fit in a pool: whole batches, and at least one."""
    return max(batch_size, memory // (4 * width) // batch_size * batch_size)


def shuffled(n: int, pool: int, order: np.random.Generator) -> list[np.ndarray]:
    """The numbers 0 to n - 1 in random order, split into pools of ``pool`` numbers.

    If everything fits in one pool, the order is a full permutation. Otherwise runs of consecutive numbers are
    shuffled, so that a file is read in long runs, and then the numbers within each pool.
    """
    if n <= pool:
        return [order.permutation(n)]
    runs = order.permutation(-(-n // RUN))
    numbers = (runs[:, None] * RUN + np.arange(RUN)).ravel()
    numbers = numbers[numbers < n]
    return [order.permutation(part) for part in np.split(numbers, range(pool, n, pool))]


def batches_of_rows(rows: np.ndarray, size: int, pool: int, order: np.random.Generator) -> list[Pool]:
    """The pools of one epoch: all ``rows`` in random order, in batches of ``size`` rows."""
    return [Pool(rows[part], _split(len(part), size)) for part in shuffled(len(rows), pool, order)]


def batches_of_pairs(
    rows: np.ndarray, groups: np.ndarray, size: int, pool: int, order: np.random.Generator
) -> list[Pool]:
    """The pools of one epoch in batches of ``size // 2`` pairs: each row with a random partner of its prompt.

    Raises
    ------
    BadInput
        If no prompt has two responses.
    """
    pairs, size = draw_pairs(rows, groups, order), max(1, size // 2)
    pools = []
    for part in shuffled(pairs.shape[1], max(size, pool // 2 // size * size), order):
        cuts = range(size, len(part), size)
        batches = [batch.ravel() for batch in np.split(pairs[:, part], cuts, axis=1)]
        pools.append(Pool(np.concatenate(batches), [len(batch) for batch in batches]))
    return pools


def batches_of_pages(pages: np.ndarray, size: int, pool: int, order: np.random.Generator) -> list[Pool]:
    """The pools of one epoch in batches of whole pages, (P, k) row numbers, of about ``size`` rows: at least
    one page."""
    places = pages.shape[1]
    size = max(1, size // places)
    pools = []
    for part in shuffled(len(pages), max(size, pool // places // size * size), order):
        sizes = [places * count for count in _split(len(part), size)]
        pools.append(Pool(pages[part].ravel(), sizes))
    return pools


def in_order(rows: np.ndarray, size: int, pool: int) -> list[Pool]:
    """The pools of one pass over ``rows`` in the given order, in batches of ``size``: for evaluation."""
    pool = max(size, pool // size * size)
    parts = np.split(rows, range(pool, len(rows), pool))
    return [Pool(part, _split(len(part), size)) for part in parts]


def _split(n: int, size: int) -> list[int]:
    return [min(size, n - start) for start in range(0, n, size)]


def split_by_prompt(groups: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows into training and held-out rows, by whole prompts (theory, section 5).

    Parameters
    ----------
    groups : ndarray, shape (n,)
        Prompt of every row. If all rows share one prompt, single rows are held out.
    share : float in [0, 1)
        Share of the prompts that is held out.
    seed : int

    Returns
    -------
    train, held_out : ndarray of int64
        Row numbers; never empty. With a share of 0, both are all rows.

    Raises
    ------
    BadInput
        If the log has fewer than two rows.
    """
    if share == 0:
        return np.arange(len(groups)), np.arange(len(groups))
    names, code = np.unique(groups, return_inverse=True)
    if len(names) < 2:  # a single prompt: nothing to keep whole
        code, names = np.arange(len(groups)), groups
    if len(code) < 2:
        raise BadInput(
            "a log of one row cannot be split into training and held-out rows: at least 2 sample(s) are "
            "needed."
        )
    rank = np.random.default_rng(seed).permutation(len(names))
    n_held = min(len(names) - 1, max(1, round(share * len(names))))
    held = rank[code] < n_held
    return np.flatnonzero(~held), np.flatnonzero(held)
