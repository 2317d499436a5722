"""Tables of JSON lines: an object a row. Whole numbers stay whole; the lines are kept as they stand."""

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from simbench.errors import BadInput
from simbench.files.tables.text import Text

HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # how JSON writes halves of characters, paired or not
EXACT = 1 << 53  # whole numbers up to here are exact in float64
LONGEST = 1 << 63  # below it they fit into 64 bits


@dataclass(frozen=True)
class JsonLines:
    """A table of JSON lines, as it stands in its file.

    Parameters
    ----------
    text : Text
    lines : list of bytes
        Every line, empty ones included.
    numbers : list of int
        The line of each row, from 0.
    """

    text: Text
    lines: list[bytes]
    numbers: list[int]

    def line_of(self, row: int) -> int | None:
        """Return the line, from 1, of a row (from 0)."""
        return self.numbers[row] + 1

    def with_column(self, name: str, cells: list[str]) -> bytes:
        """Return the content of the file with one more key at the end of every object."""
        lines = list(self.lines)
        key = json.dumps(name, ensure_ascii=False)
        for number, cell in zip(self.numbers, cells, strict=True):
            body = lines[number].rstrip()
            inside, after = body[:-1].rstrip(), lines[number][len(body) :]
            comma = b"" if inside.endswith(b"{") and inside.strip() == b"{" else b", "
            lines[number] = inside + comma + f"{key}: {cell}".encode() + b"}" + after
        return self.text.encoded(b"\n".join(lines))


def read_json_lines(text: Text, name: str) -> tuple[pd.DataFrame, JsonLines]:
    """Read a table of JSON lines; a key that an object lacks is missing there.

    Parameters
    ----------
    text : Text
    name : str
        Name of the file, for messages.

    Raises
    ------
    BadInput
        If a line is no JSON object; the message names the line.
    """
    lines = text.utf8.split(b"\n")
    numbers, rows = [], []
    for number, line in enumerate(lines):
        if line.strip():
            rows.append(_object(line, f"{name}, line {number + 1}"))
            numbers.append(number)
    columns: dict[str, list[Any]] = {key: [] for row in rows for key in row}
    for key, values in columns.items():
        values += [row.get(key) for row in rows]
    frame = pd.DataFrame({key: column_of_values(values) for key, values in columns.items()})
    return frame, JsonLines(text, lines, numbers)


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}: not valid JSON ({error.msg}).") from error
    except RecursionError as error:
        raise BadInput(f"{where}: the JSON is nested too deeply.") from error
    except ValueError as error:  # a number of thousands of digits
        raise BadInput(f"{where}: holds a number with too many digits.") from error
    if not isinstance(found, dict):
        raise BadInput(f"{where}: must be a JSON object, one response a line.")
    if HALF.search(line):
        _check_characters(found, where)
    return found


def _check_characters(row: dict[str, Any], where: str) -> None:
    """Refuse halves of characters, which programs leave that cut texts by 16 bits: no encoder reads them."""
    for key, value in row.items():
        try:
            json.dumps([key, value], ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise BadInput(
                f"{where}, key {key.encode(errors='replace').decode()!r}: holds half of a character, {half}: "
                "take it out, or cut the texts between whole characters."
            ) from error


def column_of_values(values: list[Any]) -> pd.Series:
    """Make a column of Python values, None where one is missing.

    Whole numbers become 64-bit integers, numbers float64 if none of them loses a digit by that, and texts
    texts; anything else stays as it is.
    """
    kinds = {type(value) for value in values if value is not None}
    is_missing = any(value is None for value in values)
    if kinds == {int} and all(value is None or -LONGEST <= value < LONGEST for value in values):
        return pd.Series(values, dtype="Int64" if is_missing else "int64")
    if kinds == {bool} and not is_missing:
        return pd.Series(values, dtype=bool)
    if kinds in ({float}, {int, float}) and all(
        type(value) is not int or abs(value) <= EXACT for value in values
    ):
        return pd.Series([np.nan if value is None else value for value in values], dtype=float)
    return pd.Series(values, dtype=object)
