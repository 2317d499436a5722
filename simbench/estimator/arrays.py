"""Arrays as people hold them in Python, and the log that they make."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.log.possible import require_possible


def classes_and_codes(given: Any, feedback: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes of the feedback, of which the last counts as "clicked", and the number of each row's class.

    Parameters
    ----------
    given : array
        The feedback as it was given. An ordered categorical says which class is the larger; of anything
        else, it is the later one in sorted order.
    feedback : ndarray, shape (n,)
        The same as plain values.

    Returns
    -------
    classes : ndarray, shape (c,)
    codes : ndarray of int, shape (n,)
    """
    levels = _ordered_levels(given)
    if levels is None:
        return np.unique(feedback, return_inverse=True)
    present = [level for level in levels if (feedback == level).any()]
    codes = np.select([feedback == level for level in present], range(len(present)))
    return np.asarray(present, dtype=feedback.dtype), codes


def _ordered_levels(given: Any) -> list[Any] | None:
    column = given.iloc[:, 0] if isinstance(given, pd.DataFrame) and given.shape[1] == 1 else given
    kind: Any = getattr(column, "dtype", None)
    if isinstance(kind, pd.CategoricalDtype):
        return list(kind.categories) if kind.ordered else None
    return list(kind.categories) if type(kind).__name__ == "Enum" else None  # polars: always ordered


def prompt_codes(groups: ArrayLike, rows: int) -> np.ndarray:
    """A number for the prompt of every row, shape (n,), int64, equal where the values of ``groups`` are.

    Raises
    ------
    BadInput
        If there is not one value a row, or one is missing.
    """
    if isinstance(groups, list | tuple):  # NumPy would make texts of numbers beside texts
        groups = np.array([*groups, None], dtype=object)[:-1]
    values = _flat("groups", np.asarray(groups), rows)
    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise BadInput(f"groups is missing in row {missing[0]}: give every row its prompt.")
    try:
        return np.unique(values, return_inverse=True)[1].astype(np.int64)
    except TypeError:  # numbers beside texts have no order
        return pd.factorize(values)[0].astype(np.int64)


def numbers(name: str, values: ArrayLike, rows: int, missing: bool = False) -> np.ndarray:
    """One number a row, shape (n,), float64.

    Parameters
    ----------
    name : str
        For messages.
    values : array, shape (n,) or (n, 1)
    rows : int
        n.
    missing : bool
        Whether values may be missing: they are NaN then.

    Raises
    ------
    BadInput
        If there is not one value a row, one is no number, or one is missing that may not.
    """
    flat = _flat(name, np.asarray(values), rows)
    try:
        found = pd.Series(flat).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} must be numbers: {error}.") from error
    wrong = np.flatnonzero(np.isnan(found))
    if len(wrong) and not missing:
        raise BadInput(f"{name} is missing in row {wrong[0]}.")
    return found


def _flat(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if flat.shape != (rows,):
        raise BadInput(f"{name} must have one value for each of the {rows} rows, got shape {values.shape}.")
    return flat


def matrix(name: str, values: ArrayLike) -> np.ndarray:
    """A matrix of numbers, float32.

    Raises
    ------
    BadInput
        If one is no number.
    """
    try:
        return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} must be numbers: encode texts and missing values first ({error}).") from error


def log_of_arrays(features: np.ndarray, clicked: np.ndarray, groups: Any = None, **told: Any) -> FeedbackLog:
    """The log of one replicate that these arrays make.

    Parameters
    ----------
    features : ndarray, shape (n, d), float32
    clicked : ndarray of int, shape (n,), in {0, 1}
    groups : array, shape (n,), optional
        Prompt of every row; by default every row has a prompt of its own.
    **told
        What else is known, by the names and shapes of :meth:`simbench.estimator.estimator.Estimator.fit`;
        None is not told.

    Raises
    ------
    BadInput
        If something has a wrong shape, cannot be read, or contradicts the rest.
    """
    rows = len(features)
    known = {name: value for name, value in told.items() if value is not None}
    for name in known.keys() & {"propensity", "weights", "always_acts"}:
        known[name] = numbers("sample_weight" if name == "weights" else name, known[name], rows)
    if "always_acts" in known:
        known["always_acts"] = known["always_acts"] == 1
    if "labels" in known:
        known["labels"] = numbers("labels", known["labels"], rows, missing=True).astype(np.float32)[None]
    if "context" in known:
        known["context"] = matrix("context", known["context"])
    if "signals" in known:
        known["signals"] = matrix("signals", known["signals"]).T[None]
    log = FeedbackLog(
        features=features,
        feedback=clicked[None].astype(np.float32),
        groups=np.arange(rows) if groups is None else prompt_codes(groups, rows),
        **known,
    )
    require_possible(log)
    return log
