"""What an executor is: where cells run. Executors differ in nothing else."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol

from simbench.study.cell import Cell, Outcome
from simbench.study.shards import Shards

RETRIES = 3  # of a cell whose worker died, before that is its outcome


class Executor(Protocol):
    """Runs cells; entered before, and left after, whatever happens in between."""

    def __enter__(self) -> "Executor": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def check(self, device: str, shards: Shards) -> None:
        """Raise :class:`BadInput` if it cannot run cells on this device and keep these shards; called
        before anything is written."""
        ...

    def run(self, cells: Sequence[Cell], shards: Shards) -> Iterator[Outcome]:
        """Outcomes of all cells, each as it ends, in any order. A cell whose worker dies is run again."""
        ...
