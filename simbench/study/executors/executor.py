"""Where cells run: in processes of this machine, or on a cluster. They differ in nothing else."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from simbench.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from simbench.study.cell import Cell, Outcome
    from simbench.study.shards import Shards

EXECUTORS = {"local": "simbench.study.executors.local:Local", "ray": "simbench.study.executors.ray:Ray"}
RETRIES = 3  # of a cell whose worker died, before that is its outcome


class Executor(Protocol):
    """Runs cells; entered before, and left after, whatever happens in between."""

    def __enter__(self) -> "Executor": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def check(self, device: str, shards: "Shards") -> None:
        """Raise :class:`BadInput` if it cannot run cells on this device and keep these shards; called
        before anything is written."""
        ...

    def run(self, cells: "Sequence[Cell]", shards: "Shards") -> "Iterator[Outcome]":
        """Outcomes of all cells, each as it ends, in any order. A cell whose worker dies is run again."""
        ...


def find_executor(name: str, **options) -> Executor:
    """The executor of this name, made with these options.

    Raises
    ------
    BadInput
        If there is none, or a package that it needs is not installed.
    """
    if name not in EXECUTORS:
        hint = did_you_mean(name, EXECUTORS)
        raise BadInput(f"there is no executor {name!r}.{hint} There are: {', '.join(EXECUTORS)}.")
    module, _, kind = EXECUTORS[name].partition(":")
    return getattr(import_module(module), kind)(**options)
