"""How the commands speak: tables on stdout for people or programs, progress on stderr."""

import sys

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from simbench.cell import Outcome
from simbench.grants import in_words
from simbench.results import to_json

MINIMUM_WIDTH = 132  # of the printed tables in a pipe


class CellProgress:
    """A bar on a terminal, plain lines in a pipe; on stderr, so that stdout is the table alone.

    ``heading`` is said with the first cell that ends: bad input is one sentence, with nothing before it.
    """

    def __init__(self, heading: str = ""):
        self.heading = heading

    def __enter__(self) -> "CellProgress":
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        self.bar = None
        if sys.stderr.isatty():
            self.bar = Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task("starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, outcome: Outcome, done: int, total: int) -> None:
        if self.heading:
            print(self.heading, file=sys.stderr, flush=True)
            self.heading = ""
        cell = outcome.cell
        told = f" ({', '.join(in_words(name) for name in cell.grant)})" if cell.grant else ""
        text = f"{cell.world.name}, bias level {cell.bias_level:g}: {cell.estimator}{told}"
        if self.bar is not None:
            self.bar.update(self.task, description=text, completed=done, total=total)
            return
        detail = f"{outcome.seconds:.1f} s" if outcome.status == "ok" else outcome.reason
        print(f"[{done}/{total}] {text}: {outcome.status}, {detail}", file=sys.stderr, flush=True)


def console() -> Console:
    """The terminal, or a page wide enough for the tables."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=max(terminal.width, MINIMUM_WIDTH))


def emit(table: pd.DataFrame, format: str) -> None:
    """Print a table for programs: json or csv."""
    print(to_json(table) if format == "json" else table.to_csv(index=False), end="")
    if format == "json":
        print()


def print_table(table: pd.DataFrame, format: str, title: str) -> None:
    """Print a table for people, or for programs."""
    if format != "table":
        emit(table, format)
        return
    drawn = Table(title=title, box=None)
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.itertuples(index=False):
        drawn.add_row(*(str(value) for value in row))
    console().print(drawn)
