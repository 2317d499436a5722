"""Runs cells in processes of this machine."""

import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import cast

import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from simbench.errors import BadInput
from simbench.study.cell import Cell, Outcome
from simbench.study.executors.executor import RETRIES
from simbench.study.executors.worker import died, run_alone
from simbench.study.orphan import end_with
from simbench.study.shards import Shards
from simbench.training.threads import THREADS


class Local:
    """Executor on this machine: processes by joblib, or this very process for one job.

    Parameters
    ----------
    jobs : int
        Number of cells that run at a time, each on one thread.
    """

    def __init__(self, jobs: int = 1):
        self.jobs = jobs
        self.running: Generator[Outcome, None, None] | None = None

    def __enter__(self) -> "Local":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running is not None:
            self.running.close()  # ends the workers, if cells are left

    def check(self, device: str, shards: Shards) -> None:
        """Check that PyTorch can use the device, and that all processes can reach the shards."""
        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"the device {device!r} cannot be used: {reason}.") from error
        if self.jobs > 1 and shards.folder.is_private:
            raise BadInput(f"{shards.folder} is this process's own: use --jobs 1, or another --out.")

    def run(self, cells: Sequence[Cell], shards: Shards) -> Iterator[Outcome]:
        """Run all cells, and yield the outcome of each as it ends."""
        self.running = self._run(cells, shards)
        return self.running

    def _run(self, cells: Sequence[Cell], shards: Shards) -> Generator[Outcome, None, None]:
        if self.jobs == 1:
            yield from (run_alone(cell, shards) for cell in cells)
            return
        left = {cell.key: cell for cell in cells}
        for _ in range(RETRIES):
            if not (yield from self._together(left, shards)):
                return
        # Which of them kills its worker does not show while they share a pool.
        for cell in list(left.values()):
            if (yield from self._together({cell.key: cell}, shards)):
                yield died(cell)

    def _together(self, left: dict[str, Cell], shards: Shards) -> Generator[Outcome, None, dict[str, Cell]]:
        """Run the cells and remove from ``left`` those that end; returns what is left when a worker dies."""
        own = {"initializer": _begin, "initargs": (os.getpid(), os.environ.get("PYTHONPATH"), *sys.path)}
        with parallel_config("loky", inner_max_num_threads=THREADS, **own):
            pool = Parallel(n_jobs=self.jobs, return_as="generator_unordered")
        results = pool(delayed(run_alone)(cell, shards) for cell in list(left.values()))
        try:
            with closing(cast(Generator[Outcome, None, None], results)) as ended:
                for outcome in ended:
                    del left[outcome.cell.key]
                    yield outcome
        except TerminatedWorkerError:
            pass  # the pool is gone, and with it what ran beside the cell
        return left


def _begin(parent: int, *_: str | None) -> None:
    """Begin a worker; a pool is used again only while modules are found where they were found before."""
    end_with(parent)
