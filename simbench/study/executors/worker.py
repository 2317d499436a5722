"""Runs a cell on a fixed number of threads, whatever the executor."""

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
    """Limit arithmetic (OpenMP, BLAS, PyTorch) to :data:`THREADS` threads.

    So results depend neither on the machine's number of cores nor on how many cells run at a time.
    """
    before = torch.get_num_threads()
    with threadpool_limits(THREADS):
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def run_alone(cell: Cell, shards: Shards) -> Outcome:
    """Run a cell by :func:`simbench.study.cell.run_cell`, with the same result wherever it runs."""
    with fixed_threads():
        return run_cell(cell, shards)


def died(cell: Cell, why: str = "out of memory, or killed") -> Outcome:
    """The outcome of a cell whose worker died every time."""
    reason = f"its worker died {RETRIES + 1} times ({why})"
    return Outcome(cell, "failed", reason, float("nan"))
