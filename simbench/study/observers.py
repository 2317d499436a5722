"""Who is told how far a study is, to show progress."""

from collections.abc import Callable
from typing import Protocol

from simbench.study.cell import Outcome

PhaseObserver = Callable[
    [str, int, int], None
]  # what the study is at, how much of it is done, and of how much


class CellObserver(Protocol):
    """A callable that is told of every cell as it ends."""

    def __call__(self, outcome: Outcome, done: int, total: int) -> None:
        """Take the outcome of a cell, the number of cells that have ended, and that of all."""
        ...


def unseen(what: str, done: int, total: int) -> None:
    """A :data:`PhaseObserver` that shows nothing."""
