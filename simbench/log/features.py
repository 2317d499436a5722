"""The features of a table's responses: from a file of embeddings, or from columns that are chosen by name."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from simbench.errors import BadInput
from simbench.files.matrix import Matrix
from simbench.files.tables.table import Table
from simbench.log.columns import as_numbers, shown
from simbench.log.embedding_card import check_same_texts
from simbench.log.rated_responses import read_features

PREFIX = "col:"
FEW = 5  # names that a message lists


@dataclass(frozen=True)
class Features:
    """Features before they are scaled, and the names of their columns.

    Parameters
    ----------
    matrix : Matrix, shape (n, d), float32, finite
    columns : tuple of str, optional
        Names of the columns, in their order, or of the one column of lists; None for a file of embeddings.
    left_out : tuple of str
        Columns whose names begin as those of the features do, and that are none.
    """

    matrix: Matrix
    columns: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()


def features_of(source: str, table: Table, roles: Mapping[str, str]) -> Features:
    """Read features.

    Parameters
    ----------
    source : str
        A file of embeddings (a large one stays on disk), or ``col:PREFIX``: the columns whose names are the
        prefix and a number, in the order of the numbers, or one column of that name that holds lists.
    table : Table
        The responses.
    roles : mapping of str to str
        Columns that are no features, and what they hold in words: ``{"clicked": "the feedback"}``.

    Raises
    ------
    BadInput
        If there is no such file or column, a column has another role, or a value is missing, no number or
        not finite.
    """
    if not source.startswith(PREFIX):
        check_same_texts(Path(source), table)
        return Features(read_features(Path(source), len(table)))
    prefix = source.removeprefix(PREFIX)
    columns = columns_of(prefix, table)
    for name in columns:
        if name in roles:
            raise BadInput(
                f"{table.name}: column {name!r} is {roles[name]} and cannot be a feature: rename it, or "
                f"choose another prefix than {source}."
            )
    left_out = [name for name in table.columns if prefix and name.startswith(prefix) and name not in columns]
    return Features(matrix_of(columns, table), columns, tuple(left_out))


def columns_of(prefix: str, table: Table) -> tuple[str, ...]:
    """Return the names of the columns of features: the prefix and a number, or one column of lists.

    Raises
    ------
    BadInput
        If there are none, or two have the same number.
    """
    if prefix in table and _holds_lists(table, prefix):
        return (prefix,)
    numbered: dict[int, str] = {}
    for name in table.columns:
        found = re.fullmatch(r"([0-9]+)", name.removeprefix(prefix)) if name.startswith(prefix) else None
        if found is None:
            continue
        other = numbered.setdefault(int(found[1]), name)
        if other != name:
            raise BadInput(f"{table.name}: columns {other!r} and {name!r} have the same number: rename one.")
    if numbered:
        return tuple(name for _, name in sorted(numbered.items()))
    near = [name for name in table.columns if prefix and name.startswith(prefix)]
    hint = f"; it has {_some(near)}" if near else ""
    raise BadInput(
        f"{table.name} has no columns of numbers named {prefix!r} and a number, nor a column {prefix!r} of "
        f"lists{hint}: give the part of the names before the number, as in --features col:emb_ for emb_0, "
        "emb_1, ..."
    )


def matching_columns(known: Sequence[str], source: str | None, table: Table) -> tuple[str, ...]:
    """Return the columns of a table that are the features of a fitted model, in the model's order.

    Parameters
    ----------
    known : sequence of str
        Names of the columns that the model was fitted on.
    source : str, optional
        ``col:PREFIX``; by default the names are those of the fit. With another prefix, the number after it
        tells which column is which.
    table : Table

    Raises
    ------
    BadInput
        If columns are missing, or there are more of them.
    """
    stem = re.sub(r"[0-9]+$", "", known[0])
    given = stem if source is None else source.removeprefix(PREFIX)
    of_lists = known[0] if source is None else given
    if len(known) == 1 and of_lists in table and _holds_lists(table, of_lists):
        return (of_lists,)
    wanted = [f"{given}{name.removeprefix(stem)}" for name in known]
    missing = [name for name in wanted if name not in table]
    if missing:
        raise BadInput(
            f"{table.name} lacks {_count(missing)} that the model was fitted on: {_some(missing)}."
        )
    extra = [name for name in columns_of(given, table) if name not in wanted]
    if extra:
        raise BadInput(
            f"{table.name} has {_count(extra)} of features that the model was not fitted on: {_some(extra)}; "
            "are these embeddings of another encoder?"
        )
    return tuple(wanted)


def matrix_of(columns: Sequence[str], table: Table) -> np.ndarray:
    """Return the values of columns of numbers, or of one column of lists, shape (n, d), float32, finite.

    Raises
    ------
    BadInput
        If a value is missing, no number or not finite; the message names row and column.
    """
    if len(columns) == 1 and _holds_lists(table, columns[0]):
        return _lists(table, columns[0])
    matrix = np.empty((len(table), len(columns)), dtype=np.float32)
    for number, name in enumerate(columns):
        values = table.column(name)
        with np.errstate(over="ignore"):  # becomes infinite, and is refused
            matrix[:, number] = as_numbers(values)
        wrong = np.flatnonzero(~np.isfinite(matrix[:, number]))
        if len(wrong):
            row = int(wrong[0])
            is_missing = bool(values.isna().iloc[row])
            wrong_so = (
                "is missing" if is_missing else f"must be a finite number, got {shown(values.iloc[row])}"
            )
            raise BadInput(f"{table.place(row, name)}: a feature {wrong_so}.")
    return matrix


def _holds_lists(table: Table, name: str) -> bool:
    values = table.column(name)
    first = next(
        (one for one in values if one is not None and not (isinstance(one, float) and isnan(one))), None
    )
    return _as_list(first) is not None


def _lists(table: Table, name: str) -> np.ndarray:
    rows = []
    for row, value in enumerate(table.column(name)):
        cells = _as_list(value)
        try:
            vector = np.asarray(cells, dtype=np.float64) if cells is not None else np.empty((0, 0))
        except (TypeError, ValueError):
            vector = np.empty((0, 0))
        if vector.ndim != 1 or len(vector) == 0:
            raise BadInput(f"{table.place(row, name)}: must be a list of numbers, got {shown(value)}.")
        if rows and len(vector) != len(rows[0]):
            raise BadInput(
                f"{table.place(row, name)}: has {len(vector)} numbers, the first row {len(rows[0])}."
            )
        with np.errstate(over="ignore"):
            rows.append(vector.astype(np.float32))
        if not np.isfinite(rows[-1]).all():
            place = int(np.flatnonzero(~np.isfinite(rows[-1]))[0])
            raise BadInput(
                f"{table.place(row, name)}: number {place + 1} of the list is missing or not finite."
            )
    return np.stack(rows)


def _as_list(value: Any) -> Any:
    """A list of numbers as it stands, or written as JSON in a cell of text; None for anything else."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list | tuple | np.ndarray) else None


def _count(names: Sequence[str]) -> str:
    return f"{len(names):,} column{'s' * (len(names) > 1)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return f"{', '.join(map(repr, names[:FEW]))}{more}"
