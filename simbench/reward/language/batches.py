"""Batches of texts of equal width, so that the numbers of a text do not depend on its neighbours.

Attention kernels sum in blocks that depend on the width of the batch, so a text beside a longer one is
rounded differently (in bf16 by up to 3e-2 on an entry of 5). At equal width it gets the same bits at every
batch size.
"""

from collections.abc import Iterator

import numpy as np

NARROW = 32  # widths are multiples of it, up to 256; then four steps a doubling


def width_of(length: int, longest: int) -> int:
    """The smallest width of the grid that holds ``length`` tokens, at most ``longest``.

    >>> [width_of(n, 2000) for n in (5, 33, 257, 321, 700, 1999)]
    [32, 64, 320, 384, 768, 2000]
    """
    step = NARROW
    while length > 8 * step:
        step *= 2
    return min(-(-length // step) * step, longest)


def equal_width_batches(
    lengths: np.ndarray, batch_size: int, longest: int
) -> Iterator[tuple[np.ndarray, int]]:
    """The rows of every batch and their padded width, widest first.

    So a batch that does not fit in memory fails at once.

    Parameters
    ----------
    lengths : ndarray, shape (n,), int
        Number of tokens of every text.
    batch_size : int
        Largest number of texts in a batch.
    longest : int
        Largest number of tokens that the model takes.
    """
    widths = np.array([width_of(int(length), longest) for length in lengths])
    for width in np.unique(widths)[::-1]:
        rows = np.flatnonzero(widths == width)
        for first in range(0, len(rows), batch_size):
            yield rows[first : first + batch_size], int(width)
