"""What every executor does with a cell: run it on a fixed number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from simbench.study.cell import Cell, Outcome, run_cell
from simbench.study.executors.executor import RETRIES
from simbench.study.shards import Shards

THREADS = 1  # of a cell. Matrix products add up in another order on another number of threads


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Arithmetic (OpenMP, BLAS, PyTorch) on :data:`THREADS` threads, so that results do not depend on the
    machine's number of cores, nor on how many cells run beside one another."""
    before = torch.get_num_threads()
    with threadpool_limits(THREADS):
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def run_alone(cell: Cell, shards: Shards) -> Outcome:
    """:func:`simbench.study.cell.run_cell`, with the same result wherever it runs."""
    with fixed_threads():
        return run_cell(cell, shards)


def died(cell: Cell, why: str = "out of memory, or killed") -> Outcome:
    """The outcome of a cell that lost its worker every time."""
    reason = f"its worker died {RETRIES + 1} times ({why})"
    return Outcome(cell, "failed", reason, float("nan"))
