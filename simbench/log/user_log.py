"""Reading a user's log: from a file and the names of its columns to a :class:`FeedbackLog`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench.errors import BadInput, did_you_mean
from simbench.files.matrix import Matrix
from simbench.log.encoding import ContextColumn, feature_scale, raw_features, scaled_features
from simbench.log.feedback import FeedbackLog
from simbench.log.rated_responses import read_frame

TOLD = (
    *("context", "propensity", "labels", "always_acts", "signals"),
    *("class_prior", "misclick", "action_rate"),
)
YES, NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


@dataclass(frozen=True)
class LogColumns:
    """Which columns of a log hold what, and what else is known about it.

    Parameters
    ----------
    feedback : str
        Column of clicks: 0/1, true/false or yes/no.
    features : str
        A file of embeddings (.safetensors, .npy; one row per response), or ``col:PREFIX`` for columns.
    context : tuple of str
        Columns that affect only whether users act: activity, position, device.
    groups : str, optional
        Column of the prompt; by default every row is a prompt of its own.
    propensity, labels, always_acts : str, optional
        Columns of known propensities, of explicit labels (empty where there is none), and of users who
        always act.
    signals : tuple of str
        Further columns of feedback; the first signal is ``feedback``.
    negative_signals : tuple of str
        Those of ``signals`` that express dissatisfaction.
    class_prior, misclick, action_rate : float, optional
        Known constants, as in :class:`FeedbackLog`.
    """

    feedback: str
    features: str
    context: tuple[str, ...] = ()
    groups: str | None = None
    propensity: str | None = None
    labels: str | None = None
    always_acts: str | None = None
    signals: tuple[str, ...] = ()
    negative_signals: tuple[str, ...] = ()
    class_prior: float | None = None
    misclick: float | None = None
    action_rate: float | None = None

    def told(self) -> list[str]:
        """Return the names, in words, of what the log tells beyond features and feedback."""
        known = (
            "context",
            "propensity",
            "labels",
            "always_acts",
            "signals",
            "class_prior",
            "misclick",
            "action_rate",
        )
        return [name.replace("_", " ") for name in known if getattr(self, name) not in (None, ())]


@dataclass(frozen=True)
class UserLog:
    """A user's log after reading.

    Parameters
    ----------
    log : FeedbackLog
        One replicate, with scaled features and encoded context.
    scale : float
        Factor by which the features were multiplied.
    context : tuple of ContextColumn
        How each column of context was encoded.
    frame : DataFrame
        The file as read.
    """

    log: FeedbackLog
    scale: float
    context: tuple[ContextColumn, ...]
    frame: pd.DataFrame


def read_log(path: Path, columns: LogColumns) -> UserLog:
    """Read a log from parquet, csv, jsonl or jsonl.gz.

    Raises
    ------
    BadInput
        Naming the file, the row or column, and what to do.
    """
    frame = read_frame(path)
    matrix = raw_features(columns.features, frame, path)
    scale = feature_scale(matrix)
    log, context = log_of_frame(frame, columns, scaled_features(matrix, scale), path)
    return UserLog(log, scale, context, frame)


def log_of_frame(
    frame: pd.DataFrame, columns: LogColumns, features: Matrix, path: Path
) -> tuple[FeedbackLog, tuple[ContextColumn, ...]]:
    """Make the log of a frame and its features, and say how its context was encoded.

    Parameters
    ----------
    frame : DataFrame
        One response per row.
    columns : LogColumns
        Which columns hold what.
    features : ndarray or MappedMatrix, shape (n, d), float32
        Scaled features of the rows.
    path : Path
        Where the frame was read from, for messages.

    Raises
    ------
    BadInput
        Naming the file, the row or column, and what to do.
    """
    context = tuple(ContextColumn.of(_filled(frame, name, path)) for name in columns.context)
    encoded = [column.encode(frame[column.name]) for column in context]
    groups = np.arange(len(frame))
    if columns.groups is not None:
        groups = pd.factorize(_filled(frame, columns.groups, path))[0]
    log = FeedbackLog(
        features=features,
        feedback=_clicks(frame, columns.feedback, path)[None],
        groups=groups.astype(np.int64),
        context=np.concatenate(encoded, axis=1) if encoded else None,
        propensity=None if columns.propensity is None else _numbers(frame, columns.propensity, path),
        class_prior=columns.class_prior,
        labels=None if columns.labels is None else _labels(frame, columns.labels, path)[None],
        misclick=columns.misclick,
        action_rate=columns.action_rate,
        always_acts=None
        if columns.always_acts is None
        else _clicks(frame, columns.always_acts, path).astype(bool),
        **_signals(frame, columns, path),
    )
    return log, context


def _signals(frame: pd.DataFrame, columns: LogColumns, path: Path) -> dict[str, Any]:
    names = (columns.feedback, *columns.signals)
    wrong = sorted(set(columns.negative_signals) - set(columns.signals))
    if wrong:
        raise BadInput(f"the negative signal {wrong[0]!r} is not among the signals.")
    if not columns.signals:
        return {}
    signals = np.stack([_clicks(frame, name, path) for name in names])[None]
    return {
        "signals": signals,
        "negative_signals": tuple(names.index(name) for name in columns.negative_signals),
    }


def column_of(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """Return a column by its name.

    Raises
    ------
    BadInput
        If there is none; the message suggests the nearest name, or lists all.
    """
    if name in frame:
        return frame[name]
    columns = [str(column) for column in frame.columns]
    hint = did_you_mean(name, columns) or f" It has: {', '.join(columns)}."
    raise BadInput(f"{path} has no column {name!r}.{hint}")


def _filled(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    values = column_of(frame, name, path)
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0])
        raise BadInput(f"{path}, row {row}, column {name!r}: the value is missing.")
    return values


def _clicks(frame: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """0 or 1, float32, from numbers, truth values, or yes and no."""
    text = _filled(frame, name, path).astype(str).str.strip().str.lower()
    clicked = text.isin(YES)
    wrong = ~(clicked | text.isin(NO))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BadInput(f"{path}, row {row}, column {name!r}: must be 0 or 1, got {frame[name].iloc[row]!r}.")
    return clicked.to_numpy(dtype=np.float32)


def _labels(frame: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """0, 1 or NaN where there is no label, float32."""
    values = column_of(frame, name, path)
    known = values.notna() & (values.astype(str).str.strip() != "")
    whole = frame.assign(**{name: values.astype(object).where(known, 0)})  # rows keep their numbers
    return np.where(known, _clicks(whole, name, path), np.nan).astype(np.float32)


def _numbers(frame: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    values = pd.to_numeric(_filled(frame, name, path), errors="coerce").to_numpy(dtype=float, copy=True)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise BadInput(f"{path}, row {row}, column {name!r}: must be a finite number.")
    return values
