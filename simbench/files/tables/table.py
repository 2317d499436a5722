"""A table as it was read: its columns for computing, and the original for writing it back unchanged."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import pandas as pd

from simbench.errors import BadInput, did_you_mean
from simbench.files.tables.columnar import UNNAMED_INDEX, Columnar
from simbench.files.tables.delimited import Delimited
from simbench.files.tables.json_lines import JsonLines

MOST_NAMES, LONGEST_NAME = 30, 40  # in a message

Original = Delimited | JsonLines | Columnar


@dataclass(frozen=True)
class Table:
    """A table, and where it comes from.

    Parameters
    ----------
    frame : DataFrame, n rows
        Its columns, by names that are texts, with rows numbered from 0. A table of separated text holds
        texts alone, and NaN for an empty cell; the others hold values of the types of their files.
    name : str
        File, URL or data set, for messages.
    is_typed : bool
        Whether the file tells numbers from texts; separated text does not.
    original : Delimited, JsonLines or Columnar, optional
        What the file held, to write it back with one more column.
    hashed : callable
        Computes the SHA-256 of the content.
    """

    frame: pd.DataFrame
    name: str
    is_typed: bool
    original: Original | None
    hashed: Callable[[], str]

    def __post_init__(self) -> None:
        if not len(self.frame.columns) or self.frame.empty:
            raise BadInput(f"{self.name} holds no responses.")
        names = self.frame.columns
        if names.has_duplicates:
            twice = names[names.duplicated()][0]
            raise BadInput(f"{self.name} has two columns of the name {twice!r}: rename one.")

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, name: object) -> bool:
        return name in self.frame.columns

    @property
    def short_name(self) -> str:
        """The name without the folders before it."""
        return PurePath(self.name).name or self.name

    @property
    def columns(self) -> list[str]:
        """Names of the columns, without those of an index that has no name."""
        return [name for name in self.frame.columns if not name.startswith(UNNAMED_INDEX)]

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the content, in hexadecimal digits."""
        return self.hashed()

    def column(self, name: str) -> pd.Series:
        """Return a column by its name.

        Raises
        ------
        BadInput
            If there is none; the message suggests the nearest name, or lists those there are.
        """
        if name in self:
            return self.frame[name]
        hint = did_you_mean(name, self.columns) or f" It has: {self.listed}."
        raise BadInput(f"{self.name} has no column {name!r}.{hint}")

    @property
    def listed(self) -> str:
        """The names of the columns as a message lists them: the first ones, and long ones cut."""
        names = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in self.columns]
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        return f"{', '.join(names[:MOST_NAMES])}{more}"

    def place(self, row: int, column: str | None = None) -> str:
        """Name a place in the words of a message: ``log.csv, row 3 (line 4), column 'x'``.

        Parameters
        ----------
        row : int
            The row, from 0; people count from 1.
        column : str, optional
        """
        line = None if self.original is None else self.original.line_of(row)
        said = f"{self.name}, row {row + 1:,}"
        if line is not None and line != row + 1:
            said += f" (line {line:,})"
        return said if column is None else f"{said}, column {column!r}"
