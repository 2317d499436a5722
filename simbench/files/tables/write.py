"""Writes tables: one that was read with one more column and nothing else changed, and new ones."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.tables.columnar import Columnar, write_columnar
from simbench.files.tables.delimited import Delimited
from simbench.files.tables.json_lines import JsonLines
from simbench.files.tables.kinds import kind_of
from simbench.files.tables.table import Table
from simbench.files.tables.typed_cells import typed_cells
from simbench.files.write import write_whole

NUMBERS = np.number | np.bool_


def check_output(table: Table, name: str, out: str | Path, flag: str) -> None:
    """Refuse a place or a name at which a column cannot be added to a table.

    Parameters
    ----------
    table : Table
    name : str
        Name of the new column.
    out : str or Path
        File to write.
    flag : str
        The option that names the column, for the message.

    Raises
    ------
    BadInput
        If the table has such a column already, ``out`` is of no known kind, or is what the table was read
        from.
    """
    kind_of(str(out))
    if not name.strip():
        raise BadInput(f"{flag} must be a name, got {name!r}.")
    if name in table:
        raise BadInput(f"{table.name} has a column {name!r} already: name the new one with {flag}.")
    require_elsewhere(table, out, "--out")


def require_elsewhere(table: Table, out: str | Path, flag: str) -> None:
    """Refuse to write over what a table was read from.

    Parameters
    ----------
    table : Table
    out : str or Path
        File to write.
    flag : str
        The option that names it, for the message.

    Raises
    ------
    BadInput
        If ``out`` is the file, or in the folder, that the table was read from.
    """
    if _is_within(out, table.name):
        raise BadInput(f"{out} is what the responses are read from: choose another {flag}.")


def write_with_column(table: Table, name: str, values: np.ndarray, out: str | Path) -> None:
    """Write a table with one more column, and everything else as it was read.

    A file of the same kind keeps the bytes of every cell, the encoding, the types and the index. One of
    another kind keeps the values: cells of separated text become numbers only where the number is written
    exactly so.

    Parameters
    ----------
    table : Table
    name : str
        Name of the column, which the table must not have yet.
    values : ndarray of float64, shape (n,)
    out : str or Path
        File or URL, .parquet, .feather, .csv, .tsv or .jsonl, the last three also with .gz.

    Raises
    ------
    BadInput
        If a value cannot be written to such a file, or the place cannot be written.
    """
    kind, is_compressed = kind_of(str(out))
    original = table.original
    if isinstance(original, Columnar) and kind in ("parquet", "feather"):
        added = original.with_column(name, values)
        write_whole(Location(out), lambda to: write_columnar(added, kind, to))
    elif isinstance(original, JsonLines | Delimited) and _is_alike(original, kind, out):
        try:
            content = original.with_column(name, [repr(float(value)) for value in values])
        except UnicodeEncodeError as error:
            raise BadInput(
                f"{out}: the column {name!r} cannot be written in {original.text.encoding}, the encoding of "
                f"{table.name}: choose another name."
            ) from error
        _write_bytes(content, is_compressed, out)
    elif isinstance(original, Columnar):
        columns = {**original.values(table.name), name: values.tolist()}
        _write_text(columns, out)
    else:
        frame = table.frame if table.is_typed or kind == "csv" else table.frame.apply(typed_cells)
        write_frame(frame.assign(**{name: values}), out)


def _is_alike(original: JsonLines | Delimited, kind: str, out: str | Path) -> bool:
    """Whether the text of the original can stay in a file of this kind and name."""
    if isinstance(original, JsonLines):
        return kind == "jsonl"
    return kind == "csv" and _separator_of(out, original) is None


def write_frame(frame: pd.DataFrame, out: str | Path, before: Callable[[], object] = lambda: None) -> None:
    """Write a new table to a file of the kind that its name says, whole or not at all.

    Parameters
    ----------
    frame : DataFrame
        Its index is not written.
    out : str or Path
    before : callable, optional
        Called when the content is written and has not got its name yet; if it raises, there is no file.

    Raises
    ------
    BadInput
        If a value cannot be written to such a file, or the place cannot be written.
    """
    kind, _ = kind_of(str(out))
    if kind in ("parquet", "feather"):
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError) as error:
            why = (str(error).splitlines() or [""])[0].rstrip(". ")
            raise BadInput(f"{out} cannot hold these values ({why}): write .jsonl.") from error
        write_whole(Location(out), lambda to: (write_columnar(table, kind, to), before()))
        return
    _write_text({name: _values(frame[name]) for name in frame}, out, before)


def _write_text(
    columns: Mapping[str, list[Any]], out: str | Path, before: Callable[[], object] = lambda: None
) -> None:
    kind, is_compressed = kind_of(str(out))
    text = _json_lines(columns) if kind == "jsonl" else _delimited(columns, _separator_of(out, None) or ",")
    _write_bytes(text.encode(), is_compressed, out, before)


def _write_bytes(
    content: bytes, is_compressed: bool, out: str | Path, before: Callable[[], object] = lambda: None
) -> None:
    whole = gzip.compress(content, mtime=0) if is_compressed else content
    write_whole(Location(out), lambda to: (to.write_bytes(whole), before()))


def _separator_of(out: str | Path, original: Delimited | None) -> str | None:
    """The separator that the name of a file asks for; None to keep that of the original."""
    is_tabbed = ".tsv" in Path(str(out)).suffixes
    if original is None or is_tabbed != (original.separator == "\t"):
        return "\t" if is_tabbed else ","
    return None


def _delimited(columns: Mapping[str, list[Any]], separator: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_cell, values) for values in columns.values()), strict=True))
    return out.getvalue()


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict | np.ndarray):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return repr(value) if isinstance(value, float | bool) else str(_plain(value))


def _json_lines(columns: Mapping[str, list[Any]]) -> str:
    names = list(columns)
    lines = (
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=_plain)
        for row in zip(*columns.values(), strict=True)
    )
    return "".join(f"{line}\n" for line in lines)


def _values(column: pd.Series) -> list[Any]:
    """The values as Python's own, None where one is missing; of float32 the shortest that is the same."""
    if column.dtype in (np.float32, np.float16):
        return [None if np.isnan(value) else float(str(value)) for value in column.to_numpy()]
    plain = [value.item() if isinstance(value, NUMBERS) else value for value in column.astype(object)]
    return [None if is_missing else value for value, is_missing in zip(plain, column.isna(), strict=True)]


def _plain(value: Any) -> Any:
    """What JSON writes for a value that it does not know."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, NUMBERS):
        return value.item()
    isoformat: Callable[[], str] | None = getattr(value, "isoformat", None)
    return str(value) if isoformat is None else isoformat()


def _is_within(out: str | Path, source: str) -> bool:
    """Whether a place is the file that was read, by whatever name, or within the folder that was read."""
    ours, theirs = Location(out), Location(source)
    if ours.local is None or theirs.local is None:
        return str(ours) == str(theirs)
    if not theirs.local.exists():
        return False
    there = os.path.realpath(theirs.local)
    here = os.path.realpath(ours.local)
    if ours.local.exists() and os.path.samefile(ours.local, theirs.local):
        return True
    return theirs.local.is_dir() and os.path.commonpath([here, there]) == there
