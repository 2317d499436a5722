"""Which cells of separated text are numbers: the file does not say, so only how they are written tells."""

import re

import numpy as np
import pandas as pd

WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
EXACT = 1 << 53  # whole numbers up to here are exact in float64
# as programs write floats; an exponent without a sign is a code such as 1e5, and no program writes it
NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-][0-9]+)?")
TRUTH = ({"True", "False"}, {"true", "false"}, {"TRUE", "FALSE"})


def typed_cells(column: pd.Series) -> pd.Series:
    """Return the cells as numbers if every number is written exactly as it stands; else as they are.

    So ``00123``, ``1e5`` and ``NA`` stay texts, and ``9007199254740993`` keeps its last digit.

    Parameters
    ----------
    column : Series of str
        Missing where the cell is empty.
    """
    filled = column.dropna()
    if filled.empty:
        return column
    if all(WHOLE.fullmatch(cell) and -(1 << 63) <= int(cell) < 1 << 63 for cell in filled):
        numbers = [
            None if missing else int(cell) for cell, missing in zip(column, column.isna(), strict=True)
        ]
        kind = "Int64" if len(filled) < len(column) else "int64"
        return pd.Series(numbers, index=column.index, name=column.name, dtype=kind)
    if all(_is_written_so(cell) for cell in filled):
        return column.astype(object).astype(float)
    return column


def _is_written_so(cell: str) -> bool:
    if WHOLE.fullmatch(cell):
        return abs(int(cell)) <= EXACT
    try:
        number = float(cell)
    except ValueError:
        return False
    return bool(np.isfinite(number)) and repr(number) == cell


def read_as_numbers(column: pd.Series) -> pd.Series | None:
    """Return a column of cells as numbers, if all of them are written as numbers; else None.

    Leading zeros, and exponents without a sign, are those of codes; ``True`` and ``False`` are truth values.

    Parameters
    ----------
    column : Series of str
        Missing where the cell is empty.
    """
    words = set(column.dropna())
    if not words:
        return None
    if any(words <= truth for truth in TRUTH):
        return column.map(lambda cell: cell.lower() == "true", na_action="ignore")
    if all(NUMBER.fullmatch(word) for word in words):
        return column.astype(object).astype(float)
    return None
