"""Tables that know their types: parquet files, folders of them, feather files, tables of Arrow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from simbench.errors import BadInput
from simbench.files.location import Location

UNNAMED_INDEX = "__index_level_"  # pandas writes an index without a name as such a column


@dataclass(frozen=True)
class Columnar:
    """A table that knows its types, as it stands in its file.

    Parameters
    ----------
    table : pyarrow.Table
    """

    table: Any  # pyarrow ships no types

    def line_of(self, row: int) -> int | None:
        """Return None: such a table has no lines."""
        return None

    def values(self, name: str) -> dict[str, list[Any]]:
        """Return every column as a list of Python's own values, None where one is missing.

        Numbers of 16 and 32 bits become the shortest decimal number that is the same.

        Parameters
        ----------
        name : str
            Where the table comes from, for messages.

        Raises
        ------
        BadInput
            If a column is damaged.
        """
        found = {}
        for title, column in zip(self.table.schema.names, self.table.columns, strict=True):
            try:
                column.validate(full=True)
                values = column.to_pylist()
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                raise BadInput(f"{name}, column {title!r} cannot be read: {_said(error)}.") from error
            if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
                short = np.float16 if pa.types.is_float16(column.type) else np.float32
                values = [None if value is None else float(str(short(value))) for value in values]
            found[title] = values
        return found

    def with_column(self, name: str, values: np.ndarray) -> Any:
        """Return the table of Arrow with one more column at its end; index and types stay."""
        return self.table.append_column(name, pa.array(values))


def read_columnar(source: Path | bytes, kind: str, name: str) -> pa.Table:
    """Read a parquet file, a folder of parquet files or a feather file.

    Parameters
    ----------
    source : Path or bytes
        The file, the folder, or the content of a file.
    kind : {"parquet", "feather"}
    name : str
        Name of the file, for messages.

    Raises
    ------
    BadInput
        If it is damaged, or of another kind.
    """
    import pyarrow.feather
    import pyarrow.parquet

    try:
        opened = pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(str(source))
        read = pyarrow.feather.read_table if kind == "feather" else pyarrow.parquet.read_table
        table = read(opened, memory_map=False)
        list(table.schema.names)  # names that are no text are found here
        return table
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        raise BadInput(f"{name} cannot be read: {_said(error)}; write it again.") from error


def read_folder(location: Location, name: str) -> pa.Table:
    """Read all parquet files of a folder, in the order of their names; ``region=EU/`` is a column ``region``.

    Raises
    ------
    BadInput
        If it holds none, or one is damaged.
    """
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(str(location.path), filesystem=location.system)
    except Exception as error:  # of pyarrow, and of each backend its own
        raise BadInput(f"{name} cannot be read as a folder of parquet files: {_said(error)}.") from error
    if not table.num_columns:
        raise BadInput(f"{name} is a folder without parquet files.")
    return table


def write_columnar(table: pa.Table, kind: str, to: Path) -> None:
    """Write an Arrow table to a local parquet or feather file."""
    import pyarrow.feather
    import pyarrow.parquet

    if kind == "feather":
        pyarrow.feather.write_feather(table, str(to))
    else:
        pyarrow.parquet.write_table(table, to)


def series_of_arrow(column: Any, name: str, table: str) -> pd.Series:
    """Make a column of pandas of one of Arrow, in which every value stays what it is.

    Whole numbers stay whole where cells are missing, and categories become their values.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
    name : str
        Name of the column.
    table : str
        Where it comes from, for messages.

    Raises
    ------
    BadInput
        If the column is damaged, or of a type that pandas does not know.
    """
    try:
        plain = _plain(column)
        plain.validate(full=True)
        is_whole = pa.types.is_integer(plain.type) and plain.null_count > 0
        kinds = {plain.type: _nullable(plain.type)} if is_whole else {}
        return plain.to_pandas(types_mapper=kinds.get).rename(name)
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError) as error:
        raise BadInput(f"{table}, column {name!r} cannot be read: {_said(error)}.") from error


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without encodings that only save room."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], type=column.type.storage_type)
    if pa.types.is_dictionary(column.type):
        words = [chunk.dictionary for chunk in column.chunks]
        if str(column.type.value_type) == "string_view":  # of polars; Arrow takes nothing out of it
            words = [one.cast(pa.large_string()) for one in words]
        column = pa.chunked_array(
            [one.take(chunk.indices) for one, chunk in zip(words, column.chunks, strict=True)]
        )
    return column


def _nullable(kind: pa.DataType) -> Any:
    return pd.api.types.pandas_dtype(str(kind).replace("i", "I", 1).replace("uI", "UI", 1))


def _said(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0].rstrip(". ") or type(error).__name__
    return first.rpartition("'<Buffer>': ")[2]
