"""Runs a cell on a fixed number of threads, whatever the executor."""

from simbench.study.cell import Cell, Outcome, run_cell
from simbench.study.executors.executor import RETRIES
from simbench.study.shards import Shards
from simbench.training.threads import fixed_threads


def run_alone(cell: Cell, shards: Shards) -> Outcome:
    """Run a cell by :func:`simbench.study.cell.run_cell`, with the same result wherever it runs."""
    with fixed_threads():
        return run_cell(cell, shards)


def died(cell: Cell, why: str = "out of memory, or killed") -> Outcome:
    """The outcome of a cell whose worker died every time."""
    reason = f"its worker died {RETRIES + 1} times ({why})"
    return Outcome(cell, "failed", reason, float("nan"))
