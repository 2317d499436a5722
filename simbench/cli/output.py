"""Prints tables on stdout, for people or for programs; writes tables to files, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from simbench.cli.layout import Column, drawn, width_of
from simbench.cli.printable import printable
from simbench.files.tables.kinds import kind_of
from simbench.files.tables.write import write_frame
from simbench.study.table import to_json

MINIMUM_WIDTH = 160  # of the printed tables in a pipe


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
    on = console()
    columns = [
        Column(str(name), tuple(map(str, table[name])), right=False, wraps=number > 0)
        for number, name in enumerate(table.columns)
    ]
    if len(columns) > 3 and on.width < width_of(columns):
        _print_records(table, title, on)
    else:
        on.print(drawn(columns, title))


def _print_records(table: pd.DataFrame, title: str, on: Console) -> None:
    """Print every row as a paragraph below its first cell, which stands alone on a line, to be copied."""
    on.print(plain(title, "table.title"))
    for name, *others in table.itertuples(index=False):
        on.print(plain(name, "bold"), soft_wrap=True)
        said = "; ".join(
            f"{column}: {value}" for column, value in zip(table.columns[1:], others, strict=True)
        )
        on.print(Padding(plain(said), (0, 0, 0, 2)))


def plain(value: object, style: str = "") -> Text:
    """A value as text that a console prints as it is: no markup, no control characters."""
    return Text(printable(str(value)), style)


def duration(seconds: float) -> str:
    """A time in the unit that a reader would use: ``4.2 s``, ``3.5 min``, ``2.0 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def write_tables(tables: Mapping[Path, pd.DataFrame]) -> None:
    """Write tables in the formats that their suffixes name: each whole, and either all of them or none.

    Raises
    ------
    BadInput
        If a suffix is unknown, or a place cannot be written.
    """
    for path in tables:
        kind_of(str(path))
    (path, table), *others = tables.items()
    write_frame(table, path, before=lambda: write_tables(dict(others)) if others else None)
