"""Reading a user's log: from a file and the names of its columns to a :class:`FeedbackLog`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from simbench.errors import BadInput
from simbench.files.matrix import Matrix
from simbench.files.tables.table import Table
from simbench.log.activity import activity_elsewhere
from simbench.log.columns import (
    clicks,
    context_values,
    identifiers,
    labels,
    name_and_reading,
    probabilities,
)
from simbench.log.encoding import ContextColumn
from simbench.log.features import features_of
from simbench.log.feedback import FeedbackLog, check_rates
from simbench.log.possible import require_possible
from simbench.log.source import open_table
from simbench.log.standardise import Standardisation

TOLD = (
    *("context", "propensity", "labels", "always_acts", "signals"),
    *("class_prior", "misclick", "action_rate"),
)


@dataclass(frozen=True)
class LogColumns:
    """Which columns of a log hold what, and what else is known about it.

    Parameters
    ----------
    feedback : str
        Column of clicks: 0/1, true/false, t/f or yes/no.
    features : str
        A file of embeddings (.safetensors, .npy; one row per response), or ``col:PREFIX`` for the columns
        whose names are the prefix and a number, or the one column of that name that holds lists.
    context : tuple of str
        Columns that affect only whether users act: activity, position, device. ``NAME:missing`` makes a level
        of empty cells, ``NAME:hour`` and ``NAME:weekday`` read a timestamp, ``NAME:activity`` reads user ids
        (:func:`simbench.log.activity.activity_elsewhere`), ``NAME:number`` and ``NAME:levels`` say how a
        column is meant.
    groups : str, optional
        Column of the prompt; by default every row is a prompt of its own.
    propensity, labels, always_acts : str, optional
        Columns of known propensities, of explicit labels (empty where there is none), and of users who
        always act.
    users : str, optional
        Column of the user who was shown the response; intervals are then clustered by user.
    signals : tuple of str
        Further columns of feedback; the first signal is ``feedback``.
    negative_signals : tuple of str
        Those of ``signals`` that express dissatisfaction.
    class_prior, misclick, action_rate : float, optional
        Known constants, as in :class:`FeedbackLog`.

    Raises
    ------
    BadInput
        If a constant is no probability.
    """

    feedback: str
    features: str
    context: tuple[str, ...] = ()
    groups: str | None = None
    propensity: str | None = None
    labels: str | None = None
    always_acts: str | None = None
    users: str | None = None
    signals: tuple[str, ...] = ()
    negative_signals: tuple[str, ...] = ()
    class_prior: float | None = None
    misclick: float | None = None
    action_rate: float | None = None

    def __post_init__(self) -> None:
        check_rates(self.class_prior, self.misclick, self.action_rate)

    def told(self) -> list[str]:
        """Return the names, in words, of what the log tells beyond features and feedback."""
        return [name.replace("_", " ") for name in TOLD if getattr(self, name) not in (None, ())]

    def roles(self) -> dict[str, str]:
        """Return, for every column that cannot be a feature, what it holds, in words."""
        several = {name: "a signal" for name in self.signals}
        one = {
            self.always_acts: "the mark of users who always act",
            self.propensity: "the propensity",
            self.labels: "the label",
            self.users: "the user",
            self.groups: "the prompt",
            self.feedback: "the feedback",
        }
        return several | {name: said for name, said in one.items() if name is not None}


@dataclass(frozen=True)
class UserLog:
    """A user's log after reading.

    Parameters
    ----------
    log : FeedbackLog
        One replicate, with standardised features and encoded context.
    standard : Standardisation
        How every column of the features was brought to mean 0 and spread 1.
    context : tuple of ContextColumn
        How each column of context was encoded.
    table : Table
        The table as read.
    feature_columns : tuple of str, optional
        Names of the columns of features; None for a file of embeddings.
    left_out : tuple of str
        Columns whose names begin as those of the features do, and that are none.
    """

    log: FeedbackLog
    standard: Standardisation
    context: tuple[ContextColumn, ...]
    table: Table
    feature_columns: tuple[str, ...] | None
    left_out: tuple[str, ...]


def read_log(
    source: Any, columns: LogColumns, *, encoding: str | None = None, separator: str | None = None
) -> UserLog:
    """Read a log from a file, a folder of parquet files, a URL, or a table in memory.

    Parameters
    ----------
    source : str, Path, DataFrame, Table, or a table of Arrow or polars
        As in :func:`simbench.log.source.open_table`.
    columns : LogColumns
        Which columns hold what.
    encoding, separator : str, optional
        Of a text file; by default they are recognised.

    Raises
    ------
    BadInput
        Naming the file, the row or column, and what to do.
    """
    table = open_table(source, encoding=encoding, separator=separator)
    found = features_of(columns.features, table, columns.roles())
    standard = Standardisation.of(found.matrix, f"the features of {table.name}")
    log, context = log_of_table(table, columns, standard.apply(found.matrix))
    require_possible(log, (columns.feedback, *columns.signals))
    return UserLog(log, standard, context, table, found.columns, found.left_out)


def log_of_table(
    table: Table, columns: LogColumns, features: Matrix
) -> tuple[FeedbackLog, tuple[ContextColumn, ...]]:
    """Make the log of a table and its features, and say how its context was encoded.

    Parameters
    ----------
    table : Table
        One response per row.
    columns : LogColumns
        Which columns hold what.
    features : ndarray or MappedMatrix, shape (n, d), float32
        Standardised features of the rows.

    Raises
    ------
    BadInput
        Naming the file, the row or column, and what to do.
    """
    feedback = clicks(table, columns.feedback)
    groups = np.arange(len(table)) if columns.groups is None else identifiers(table, columns.groups)
    values = [_context(table, name, feedback, groups) for name in columns.context]
    context = tuple(ContextColumn.of(column) for column in values)
    encoded = [column.encode(own) for column, own in zip(context, values, strict=True)]
    log = FeedbackLog(
        features=features,
        feedback=feedback[None],
        groups=groups.astype(np.int64),
        context=np.concatenate(encoded, axis=1) if encoded else None,
        propensity=None if columns.propensity is None else probabilities(table, columns.propensity),
        class_prior=columns.class_prior,
        labels=None if columns.labels is None else labels(table, columns.labels)[None],
        misclick=columns.misclick,
        action_rate=columns.action_rate,
        always_acts=None if columns.always_acts is None else clicks(table, columns.always_acts).astype(bool),
        user=None if columns.users is None else identifiers(table, columns.users).astype(np.int64),
        **_signals(table, columns),
    )
    return log, context


def _context(table: Table, given: str, feedback: np.ndarray, groups: np.ndarray) -> pd.Series:
    """Values of a column of context; a user's activity is read from the log as a whole."""
    name, reading = name_and_reading(table, given)
    if reading != "activity":
        return context_values(table, given)
    return pd.Series(activity_elsewhere(feedback, identifiers(table, name), groups), name=given)


def _signals(table: Table, columns: LogColumns) -> dict[str, Any]:
    names = (columns.feedback, *columns.signals)
    wrong = sorted(set(columns.negative_signals) - set(columns.signals))
    if wrong:
        raise BadInput(f"the negative signal {wrong[0]!r} is not among the signals.")
    twice = [name for name in columns.signals if names.count(name) > 1]
    if twice:
        raise BadInput(f"column {twice[0]!r} is named twice: every signal must be a column of its own.")
    if not columns.signals:
        return {}
    signals = np.stack([clicks(table, name) for name in names])[None]
    return {
        "signals": signals,
        "negative_signals": tuple(names.index(name) for name in columns.negative_signals),
    }
