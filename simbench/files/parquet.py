"""Reads parquet tables that simbench itself wrote: damaged ones, and those of others, are named as such."""

import io
from collections.abc import Collection

import numpy as np
import pandas as pd
import pyarrow as pa

from simbench.errors import BadInput
from simbench.files.location import Location


def read_own_parquet(
    path: Location, remedy: str, columns: Collection[str] = (), numbers: Collection[str] = ()
) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    path : Location
        A file that is there.
    remedy : str
        What makes the table anew, for the message.
    columns : collection of str
        Those that it must have.
    numbers : collection of str
        Those of them that hold numbers, finite or missing.

    Raises
    ------
    BadInput
        If it is damaged, no parquet file, or another table.
    """
    table = parse_own_parquet(path.read_bytes(), path, remedy)
    missing = [name for name in columns if name not in table]
    if missing:
        raise BadInput(f"{path} has no column {missing[0]!r}: is it another table? If not, {remedy}.")
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise BadInput(f"{path} holds no numbers in the column {name!r}: {remedy}.")
        infinite = np.isinf(table[name].to_numpy(dtype=float, na_value=np.nan))
        if infinite.any():
            row = int(infinite.argmax()) + 1
            raise BadInput(f"{path} holds an infinite number, column {name!r}, row {row}: {remedy}.")
    return table


def parse_own_parquet(content: bytes, path: Location, remedy: str) -> pd.DataFrame:
    """The table that the content of a file holds; the path and the remedy are for messages.

    Raises
    ------
    BadInput
        If it is damaged, no parquet file, or holds other things than numbers and texts.
    """
    try:
        table = pd.read_parquet(io.BytesIO(content), page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise BadInput(f"{path} cannot be read ({said}): {remedy}.") from error
    _check_plain(table, path, remedy)
    return table


def _check_plain(table: pd.DataFrame, path: Location, remedy: str) -> None:
    """Check that a table holds numbers and texts alone, as all of ours do.

    Raises
    ------
    BadInput
        Naming the first column that holds something else.
    """
    for place, name in enumerate(table.columns):
        column = table.iloc[:, place]
        plain = column.dtype.kind in "biuf" or pd.api.types.is_string_dtype(column.dtype)
        if column.dtype == object:
            plain = all(value is None or isinstance(value, str | bool | float) for value in column)
        if not plain:
            raise BadInput(f"{path} holds no numbers or texts in the column {name!r}: {remedy}.")
