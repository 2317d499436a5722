"""Tables on stdout, for people or for programs."""

import pandas as pd
from rich.console import Console
from rich.table import Table

from simbench.study.table import to_json

MINIMUM_WIDTH = 132  # of the printed tables in a pipe


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


def duration(seconds: float) -> str:
    """In the unit that a reader would use."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
