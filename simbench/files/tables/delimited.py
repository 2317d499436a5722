"""Tables of text with separators, such as CSV. Every cell is text; an empty one is missing."""

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from simbench.errors import BadInput
from simbench.files.tables.text import Text

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
HEADER = 1 << 20  # bytes in which the first line must end
BLOCK = 1 << 30  # bytes that are parsed at once; no record may be longer


@dataclass(frozen=True)
class Delimited:
    """A table of text with separators, as it stands in its file.

    Parameters
    ----------
    text : Text
    separator : str
    rows : int
        Number of rows, without the header.
    """

    text: Text
    separator: str
    rows: int

    @cached_property
    def _records(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Where each record begins and ends, the header first; None if quotation marks hide it."""
        content = np.frombuffer(self.text.utf8, np.uint8)
        is_quoted = np.logical_xor.accumulate(content == ord('"'))
        breaks = (content == ord("\n")) | (content == ord("\r"))
        ends = np.append(np.flatnonzero(breaks & ~is_quoted), len(content))
        starts = np.append(0, ends[:-1] + 1)
        is_filled = ends > starts  # not an empty line, or the second sign of a line end
        starts, ends = starts[is_filled], ends[is_filled]
        return (starts, ends) if len(ends) == self.rows + 1 else None

    def line_of(self, row: int) -> int | None:
        """Return the line, from 1, on which a row of the table (from 0) begins; None if it is not known."""
        if self._records is None:
            return None
        before = self.text.utf8[: int(self._records[0][row + 1])]
        return before.count(b"\n") + before.replace(b"\r\n", b"").count(b"\r") + 1

    def with_column(self, name: str, cells: list[str]) -> bytes:
        """Return the content of the file with one more column at the end of every record.

        Whatever else the file holds stays as it is: quotation marks, line breaks, encoding.
        """
        if self._records is None:
            return self._rewritten(name, cells)
        content, ends = self.text.utf8, self._records[1]
        pieces, start = [], 0
        for end, cell in zip(ends.tolist(), [_quoted(name, self.separator), *cells], strict=True):
            pieces += [content[start:end], f"{self.separator}{cell}".encode()]
            start = end
        return self.text.encoded(b"".join([*pieces, content[start:]]))

    def _rewritten(self, name: str, cells: list[str]) -> bytes:
        """The same with every cell written anew: quotation marks in cells hide where records end."""
        rows = list(csv.reader(io.StringIO(self.text.utf8.decode(), newline=""), delimiter=self.separator))
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.separator, lineterminator="\n")
        full = [row for row in rows if row]
        writer.writerows([*row, cell] for row, cell in zip(full, [name, *cells], strict=True))
        return self.text.encoded(out.getvalue().encode())


def read_delimited(text: Text, name: str, separator: str | None) -> tuple[pa.Table, Delimited]:
    """Read a table of text with separators; its first line names the columns.

    Parameters
    ----------
    text : Text
    name : str
        Name of the file, for messages.
    separator : str, optional
        By default the one of comma, semicolon, tab and bar that the first line holds most often.

    Raises
    ------
    BadInput
        If the separator cannot be told, or a row has more or fewer cells than the first.
    """
    header = _header(text, name)
    separator = _separator(header, name) if separator is None else _given(separator)
    try:
        columns = next(csv.reader(io.StringIO(header, newline=""), delimiter=separator))
    except (csv.Error, StopIteration) as error:
        raise BadInput(f"{name}: the first line, with the names of the columns, cannot be read.") from error
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text.utf8),
            pyarrow.csv.ReadOptions(use_threads=False, block_size=min(len(text.utf8) + 1024, BLOCK)),
            pyarrow.csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=refuse
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        raise BadInput(_why(name, separator, wrong, error)) from error
    original = Delimited(text, separator, table.num_rows)
    if text.utf8.count(b'"') % 2 and original._records is not None:  # the last cell swallowed the rest
        raise BadInput(
            f"{name}, row {table.num_rows - 1} (line {original.line_of(table.num_rows - 1)}): a quotation "
            "mark is opened and never closed."
        )
    return table, original


def _header(text: Text, name: str) -> str:
    """The first line that is not empty; it may hold line breaks within quotation marks."""
    beginning = text.utf8[:HEADER].decode(errors="ignore").lstrip("\r\n")
    if not beginning:
        raise BadInput(f"{name} is empty.")
    return beginning


def _separator(header: str, name: str) -> str:
    line = header.splitlines()[0]
    outside = "".join(line.split('"')[::2])  # every second piece stands within quotation marks
    counts = {separator: outside.count(separator) for separator in SEPARATORS}
    most = max(counts.values())
    best = [separator for separator, count in counts.items() if count == most]
    if most == 0:
        return ","
    if len(best) > 1:
        said = " and ".join(SEPARATORS[separator] for separator in best)
        raise BadInput(f"{name}: {said} stand equally often in the first line: name the --separator.")
    return best[0]


def _given(separator: str) -> str:
    names = {said: sign for sign, said in SEPARATORS.items()} | {"\\t": "\t"}
    sign = names.get(separator, separator)
    if len(sign) != 1 or sign in '"\r\n' or ord(sign) > 127 or sign == "\0":
        raise BadInput(f"the separator must be one sign, such as ';', or 'tab', got {separator!r}.")
    return sign


def _why(name: str, separator: str, wrong: list[Any], error: Exception) -> str:
    if wrong:
        row = wrong[0]
        number = "a row" if row.number is None else f"row {row.number - 2}"
        return (
            f"{name}, {number}: has {row.actual_columns} cells, the first line {row.expected_columns} "
            f"(the separator read is the {SEPARATORS.get(separator, separator)})."
        )
    return f"{name} cannot be read: {(str(error).splitlines() or [''])[0].rstrip('. ')}."


def _quoted(cell: str, separator: str) -> str:
    if any(sign in cell for sign in (separator, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell
