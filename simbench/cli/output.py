"""Prints tables on stdout, for people or for programs; writes tables to files, whole or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from simbench.errors import BadInput
from simbench.files.write import write_whole
from simbench.study.table import to_json

MINIMUM_WIDTH = 132  # of the printed tables in a pipe
WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    ".parquet": lambda frame, to: frame.to_parquet(to, index=False),
    ".csv": lambda frame, to: frame.to_csv(to, index=False),
    ".jsonl": lambda frame, to: frame.to_json(to, orient="records", lines=True, double_precision=15),
}


def console() -> Console:
    """A console on the terminal; elsewhere, one that is wide enough for the tables."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=max(terminal.width, MINIMUM_WIDTH))


def emit(table: pd.DataFrame, format: str) -> None:
    """Print a table for programs, as ``json`` or ``csv``."""
    print(to_json(table) if format == "json" else table.to_csv(index=False), end="")
    if format == "json":
        print()


def print_table(table: pd.DataFrame, format: str, title: str) -> None:
    """Print a table for people (``table``, under its title) or for programs (``json`` or ``csv``)."""
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
    """A time in the unit that a reader would use: ``4.2 s``, ``3.5 min``, ``2.0 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def check_suffix(path: Path) -> None:
    """Raise :class:`BadInput` unless :func:`write_tables` can write a file of this name."""
    if path.suffix not in WRITERS:
        raise BadInput(f"{path} must end in {', '.join(WRITERS)}.")


def write_tables(tables: Mapping[Path, pd.DataFrame]) -> None:
    """Write tables in the formats that their suffixes name: each whole, and either all of them or none.

    Raises
    ------
    BadInput
        If a suffix is unknown, or a place cannot be written.
    """
    for path in tables:
        check_suffix(path)
    (path, table), *others = tables.items()

    def write(to: Path) -> None:
        WRITERS[path.suffix](table, to)
        if others:  # before this one gets its name
            write_tables(dict(others))

    write_whole(path, write)
