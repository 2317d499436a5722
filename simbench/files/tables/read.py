"""The one reader of tables: files, folders, URLs, and frames in memory."""

import hashlib
import os
from typing import Any

import pandas as pd
import pyarrow as pa

from simbench.errors import BadInput
from simbench.files.checksum import file_sha256
from simbench.files.location import Location
from simbench.files.tables.columnar import Columnar, read_columnar, read_folder
from simbench.files.tables.delimited import read_delimited
from simbench.files.tables.json_lines import read_json_lines
from simbench.files.tables.kinds import TEXT, kind_of
from simbench.files.tables.table import Table
from simbench.files.tables.text import decoded, decompressed

IN_MEMORY = "the table"  # the name of a frame, in messages

Source = Any  # str | Path | Table | DataFrame | a table of Arrow or polars


def read_table(source: Source, *, encoding: str | None = None, separator: str | None = None) -> Table:
    """Read a table.

    Parameters
    ----------
    source : str, Path, DataFrame, or a table of Arrow or polars
        A file (.parquet, .csv, .tsv, .jsonl, the last three also with .gz, or .feather), a folder of parquet
        files, a URL of one, or the table itself. A :class:`Table` is returned as it is.
    encoding : str, optional
        Encoding of a text file; by default UTF-8, or what its mark of byte order says.
    separator : str, optional
        Separator of the cells of a .csv or .tsv file; by default the one that its first line holds.

    Returns
    -------
    Table

    Raises
    ------
    BadInput
        If it is missing, empty, of another kind, or damaged; the message names the row or line.
    """
    if isinstance(source, Table):
        return source
    if not isinstance(source, str | os.PathLike):
        return _in_memory(source)
    location = Location(source)
    name = str(source)
    if not location.exists():
        raise BadInput(f"{name} does not exist: give a file of responses, a URL, or hub:OWNER/DATASET.")
    if location.names() is not None:
        return _folder(location, name)
    kind, is_compressed = kind_of(location.name)
    if kind in TEXT:
        return _text(location.read_bytes(), name, kind, is_compressed, encoding, separator)
    if encoding is not None or separator is not None:
        raise BadInput(f"{name} is no text file: leave out --encoding and --separator.")
    if location.local is not None:
        local = location.local
        return _typed(read_columnar(local, kind, name), name, lambda: file_sha256(local))
    content = location.read_bytes()
    return _typed(read_columnar(content, kind, name), name, lambda: hashlib.sha256(content).hexdigest())


def _text(
    content: bytes, name: str, kind: str, is_compressed: bool, encoding: str | None, separator: str | None
) -> Table:
    digest = hashlib.sha256(content).hexdigest()
    text = decoded(decompressed(content, name) if is_compressed else content, name, encoding)
    if kind == "csv":
        cells, original = read_delimited(text, name, separator)
        return Table(cells, name, False, original, lambda: digest)
    if separator is not None:
        raise BadInput(f"{name} holds JSON, whose separators are fixed: leave out --separator.")
    frame, lines = read_json_lines(text, name)
    return Table(frame, name, True, lines, lambda: digest)


def _folder(location: Location, name: str) -> Table:
    table = read_folder(location, name)
    return _typed(table, name, lambda: _hash_of(table))


def _typed(table: pa.Table, name: str, hashed: Any) -> Table:
    return Table(table, name, True, Columnar(table), hashed)


def _in_memory(source: Any) -> Table:
    """The table that a frame is; a named index becomes a column."""
    if isinstance(source, pd.DataFrame):
        return _of_frame(source)
    if isinstance(source, pa.Table):
        return _typed(source, IN_MEMORY, lambda: _hash_of(source))
    if hasattr(source, "__arrow_c_stream__"):  # polars and others
        table = pa.RecordBatchReader.from_stream(source).read_all()
        return _typed(table, IN_MEMORY, lambda: _hash_of(table))
    if hasattr(source, "to_pandas"):
        return _of_frame(source.to_pandas())
    raise BadInput(f"a table must be a file, a data frame or an Arrow table, got {type(source).__name__}.")


def _of_frame(frame: pd.DataFrame) -> Table:
    named = [level for level, name in enumerate(frame.index.names) if name is not None]
    clash = [name for name in frame.index.names if name is not None and name in frame.columns]
    if clash:
        raise BadInput(f"{IN_MEMORY} has an index and a column of the name {clash[0]!r}: rename one.")
    plain = frame.reset_index(level=named) if named else frame
    plain = plain.reset_index(drop=True).set_axis([str(name) for name in plain.columns], axis=1)
    for name, kind in plain.dtypes.items() if plain.columns.is_unique else ():
        if isinstance(kind, pd.CategoricalDtype):
            values = object if plain[name].isna().any() else kind.categories.dtype
            plain[name] = plain[name].astype(values)
    return Table(plain, IN_MEMORY, True, None, lambda: hash_of_frame(plain))


def _hash_of(table: pa.Table) -> str:
    table = table.replace_schema_metadata(None)  # versions of programs
    sink = hashlib.sha256()
    with pa.ipc.new_stream(pa.PythonFile(_Hashing(sink), mode="w"), table.schema) as writer:
        writer.write_table(table)
    return sink.hexdigest()


def hash_of_frame(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of the values of a frame, in hexadecimal digits."""
    try:
        return _hash_of(pa.Table.from_pandas(frame, preserve_index=False))
    except (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError):  # values of several kinds
        whole = repr([list(frame.columns), *frame.itertuples(index=False, name=None)])
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


class _Hashing:
    """A file whose content is hashed and forgotten."""

    closed = False

    def __init__(self, sink: Any):
        self._sink = sink

    def write(self, content: Any) -> int:
        self._sink.update(content)
        return len(content)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
