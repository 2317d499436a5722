"""The protocol of executors. They differ only in where cells run, and change no number."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol

from simbench.study.cell import Cell, Outcome
from simbench.study.shards import Shards

RETRIES = 3  # of a cell whose worker died, before that is its outcome


class Executor(Protocol):
    """Runs cells; a context manager, which is left whatever happens within."""

    def __enter__(self) -> "Executor": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def check(self, device: str, shards: Shards) -> None:
        """Check that cells can run on this device and their shards be kept; called before any is written.

        Raises
        ------
        BadInput
            If they cannot.
        """
        ...

    def run(self, cells: Sequence[Cell], shards: Shards) -> Iterator[Outcome]:
        """Run all cells, and yield the outcome of each as it ends, in any order.

        A cell whose worker dies is run again, up to :data:`RETRIES` times.
        """
        ...
