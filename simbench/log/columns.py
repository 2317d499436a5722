"""What the cells of a column mean: the role of a column decides how it is read, never a guess at its type."""

from collections.abc import Callable
from datetime import datetime
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from simbench.errors import BadInput
from simbench.files.tables.table import Table
from simbench.files.tables.typed_cells import read_as_numbers
from simbench.log.messages import prompts_of

YES, NO = ("true", "yes", "t", "y"), ("false", "no", "f", "n")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MISSING = "(missing)"  # the level of cells that are empty
READINGS = ("number", "levels", "missing", "hour", "weekday", "activity")


def filled(table: Table, name: str) -> pd.Series:
    """Return a column that has a value in every row.

    Raises
    ------
    BadInput
        If there is no such column, or a value is missing.
    """
    values = table.column(name)
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0])
        raise BadInput(f"{table.place(row, name)}: the value is missing.")
    return values


def clicks(table: Table, name: str) -> np.ndarray:
    """Return a column of feedback, shape (n,), float32: 0 or 1.

    They may stand there as numbers, as truth values, or as yes and no, true and false, t and f.

    Raises
    ------
    BadInput
        If a value is missing or something else.
    """
    return _clicks(table, filled(table, name), name)


def labels(table: Table, name: str) -> np.ndarray:
    """Return a column of labels, shape (n,), float32: as :func:`clicks`, NaN where the cell is empty.

    Raises
    ------
    BadInput
        If a value is something else.
    """
    values = table.column(name)
    known = values.notna() & ~values.map(lambda value: isinstance(value, str) and not value.strip())
    whole = values.astype(object).where(known.astype(bool), 0)
    return np.where(known, _clicks(table, whole, name), np.nan).astype(np.float32)


def numbers(table: Table, name: str) -> np.ndarray:
    """Return a column of numbers, shape (n,), float64, finite.

    Raises
    ------
    BadInput
        If a value is missing, no number, or not finite.
    """
    values = filled(table, name)
    found = as_numbers(values)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found))[0])
        raise BadInput(f"{table.place(row, name)}: must be a finite number, got {shown(values.iloc[row])}.")
    return found


def probabilities(table: Table, name: str) -> np.ndarray:
    """Return a column of probabilities, shape (n,), float64 in (0, 1], above 0 in float32 too.

    Raises
    ------
    BadInput
        If a value is missing, no number, or outside.
    """
    found = numbers(table, name)
    wrong = ~((found >= np.finfo(np.float32).tiny) & (found <= 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BadInput(
            f"{table.place(row, name)}: must lie in (0, 1], and not vanish in the 32 bits of training, got "
            f"{found[row]:g}."
        )
    return found


def as_numbers(values: pd.Series) -> np.ndarray:
    """Return values as float64, NaN where one is no number."""
    if values.dtype.kind in "biuf":
        return values.to_numpy(dtype=float, na_value=np.nan, copy=True)
    try:  # the usual case, at once
        column = pa.array(values, from_pandas=True)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        pass
    return np.array([_number(value) for value in values], dtype=float)


def _number(value: Any) -> float:
    if isinstance(value, bytes) or (isinstance(value, str) and "_" in value):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def identifiers(table: Table, name: str) -> np.ndarray:
    """Return a number for every value of a column, equal where the values are, shape (n,), int64 from 0.

    Raises
    ------
    BadInput
        If a value is missing, or is a list of something else than chat messages.
    """
    try:
        return pd.factorize(prompts_of(table, name))[0].astype(np.int64)
    except TypeError as error:  # values that have no hash
        raise BadInput(f"{table.name}, column {name!r}: must be numbers or texts.") from error


def context_values(table: Table, given: str) -> pd.Series:
    """Return the values of a column of context, numbers or texts, under the name that was given.

    Parameters
    ----------
    table : Table
    given : str
        ``NAME`` or ``NAME:READING``. By default numbers stay numbers and texts levels; of separated text, a
        column is of numbers if all its cells are written as numbers. ``number`` and ``levels`` say so,
        ``missing`` makes a level of empty cells, ``hour`` and ``weekday`` read a timestamp.

    Raises
    ------
    BadInput
        If there is no such column or reading, or a value is missing or cannot be read so.
    """
    name, reading = name_and_reading(table, given)
    if reading == "number":
        return pd.Series(numbers(table, name), name=given)
    if reading in ("hour", "weekday"):
        return _part_of_time(table, name, reading).rename(given)
    if reading == "missing":
        values = table.column(name)
        return values.astype(object).where(values.notna(), MISSING).astype(str).rename(given)
    values = filled(table, name).rename(given)
    if reading == "levels":
        return values.astype(str)
    if not table.is_typed:
        as_written = read_as_numbers(values)
        return values if as_written is None else as_written
    if values.dtype == object and all(isinstance(value, Number) for value in values):
        return pd.Series(as_numbers(values), name=given)  # such as decimals
    return values


def name_and_reading(table: Table, given: str) -> tuple[str, str | None]:
    """Split ``NAME:READING``; the reading is None if there is none, or if a column has the whole name.

    Raises
    ------
    BadInput
        If there is no such column or reading.
    """
    name, colon, reading = given.rpartition(":")
    if given in table or not colon:
        return given, None
    if reading not in READINGS:
        table.column(given)  # says what columns there are
        raise AssertionError("the column is there")
    return name, reading


def _part_of_time(table: Table, name: str, reading: str) -> pd.Series:
    """Hours 00 to 23, or names of weekdays, as the clock showed them where the timestamp was written."""
    values = filled(table, name)
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        moments = values.astype(object)
    else:
        moments = values.map({value: _moment(value) for value in values.unique()})
        if moments.isna().any():
            row = int(np.flatnonzero(moments.isna())[0])
            raise BadInput(
                f"{table.place(row, name)}: must be a timestamp such as 2026-01-31 14:30:00, got "
                f"{shown(values.iloc[row])}."
            )
    parts: Callable[[Any], str] = _hour if reading == "hour" else _weekday
    return moments.map(parts)


def _hour(moment: Any) -> str:
    return f"{moment.hour:02d}"


def _weekday(moment: Any) -> str:
    return WEEKDAYS[moment.weekday()]


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value.strip())
    except (AttributeError, ValueError):
        return None


def _clicks(table: Table, values: pd.Series, name: str) -> np.ndarray:
    found = np.array([_click(value) for value in values], dtype=np.float32)
    if np.isnan(found).any():
        row = int(np.flatnonzero(np.isnan(found))[0])
        raise BadInput(f"{table.place(row, name)}: must be 0 or 1, got {shown(values.iloc[row])}.")
    return found


def _click(value: Any) -> float:
    if isinstance(value, str):
        word = value.strip().lower()
        if word in YES or word in NO:
            return float(word in YES)
    number = _number(value)
    return number if number in (0, 1) else np.nan


def shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, and not longer than a sentence."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
