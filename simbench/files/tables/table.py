"""A table as it was read: its columns for computing, and the original for writing it back unchanged."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import pandas as pd

from simbench.errors import BadInput, did_you_mean
from simbench.files.tables.columnar import UNNAMED_INDEX, Columnar, series_of_arrow
from simbench.files.tables.delimited import Delimited
from simbench.files.tables.json_lines import JsonLines

MOST_NAMES, LONGEST_NAME = 30, 40  # in a message

Original = Delimited | JsonLines | Columnar


@dataclass(frozen=True)
class Table:
    """A table, and where it comes from.

    Parameters
    ----------
    data : DataFrame or pyarrow.Table, n rows
        Its columns, by names that are texts, with rows numbered from 0.
    name : str
        File, URL or data set, for messages.
    is_typed : bool
        Whether the file tells numbers from texts; separated text does not: it holds texts alone, and an empty
        cell is missing.
    original : Delimited, JsonLines or Columnar, optional
        What the file held, to write it back with one more column.
    hashed : callable
        Computes the SHA-256 of the content.

    Raises
    ------
    BadInput
        If it has no rows or no columns, or two columns of one name.
    """

    data: Any
    name: str
    is_typed: bool
    original: Original | None
    hashed: Callable[[], str]

    def __post_init__(self) -> None:
        names = self._names
        if not names or not len(self.data):
            raise BadInput(f"{self.name} holds no responses.")
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise BadInput(f"{self.name} has two columns of the name {twice!r}: rename one.")

    @cached_property
    def _names(self) -> list[str]:
        return list(self.data) if isinstance(self.data, pd.DataFrame) else list(self.data.schema.names)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All columns as a frame, in which every value stays what it is."""
        if isinstance(self.data, pd.DataFrame):
            return self.data
        return pd.DataFrame({name: self.column(name) for name in self._names}, copy=False)

    @property
    def short_name(self) -> str:
        """The name without the folders before it."""
        return PurePath(self.name).name or self.name

    @property
    def columns(self) -> list[str]:
        """Names of the columns, without those of an index that has no name."""
        return [name for name in self._names if not name.startswith(UNNAMED_INDEX)]

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the content, in hexadecimal digits."""
        return self.hashed()

    def column(self, name: str) -> pd.Series:
        """Return a column by its name; one of Arrow is made anew each time, since it may be large.

        Raises
        ------
        BadInput
            If there is none; the message suggests the nearest name, or lists those there are.
        """
        if name in self:
            if isinstance(self.data, pd.DataFrame):
                return self.data[name]
            return series_of_arrow(self.data.column(name), name, self.name)
        hint = did_you_mean(name, self.columns) or f" It has: {self.listed}."
        raise BadInput(f"{self.name} has no column {name!r}.{hint}")

    @property
    def listed(self) -> str:
        """The names of the columns as a message lists them: the first ones, and long ones cut."""
        names = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in self.columns]
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        return f"{', '.join(names[:MOST_NAMES])}{more}"

    def place(self, row: int, column: str | None = None) -> str:
        """Name a place in the words of a message: ``log.csv, row 2 (line 4), column 'x'``.

        Parameters
        ----------
        row : int
            The row, from 0 as data frames count; of a text file the line is named too.
        column : str, optional
        """
        line = None if self.original is None else self.original.line_of(row)
        said = f"{self.name}, row {row}" + ("" if line is None else f" (line {line})")
        return said if column is None else f"{said}, column {column!r}"
