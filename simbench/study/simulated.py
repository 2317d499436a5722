"""Tables of a simulated log, as a practitioner would have it, and of its truth."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from simbench.files.matrix import Matrix
from simbench.log.feedback import FeedbackLog, Truth
from simbench.worlds.config import WorldConfig

FEEDBACK = "clicked"
COLUMN_OF = {"click": FEEDBACK, "copy": "copied", "upvote": "upvoted", "regenerate": "regenerated"}
CONTEXT = ("user_activity", "position")  # then session_1, session_2, ...


def log_table(log: FeedbackLog, world: WorldConfig) -> pd.DataFrame:
    """A log of one replicate as a table with a row for each response that was shown.

    Returns
    -------
    DataFrame
        ``response_id``, ``prompt_id``; ``user_id`` where users see several pages; ``clicked``; further
        signals where the world has them (``copied``, ``upvoted``, ``regenerated``, or ``clicked_2`` of a
        second user); context where it is logged (``user_activity``, ``position``, ``session_1``, ...);
        features ``emb_0``, ``emb_1``, ...
    """
    number = np.arange(log.n_rows)[log.rows_shown(0)]
    log = log.only_shown()
    columns: dict[str, np.ndarray] = {"response_id": number, "prompt_id": log.groups}
    if log.user is not None:
        columns["user_id"] = log.user
    signals = log.feedback[:1] if log.signals is None else log.signals[0]
    for name, values in zip(world.signal_names, signals, strict=True):
        columns[_column_of(name)] = values.astype(np.int8)
    if log.context is not None:
        columns |= _columns(log.context, context_names(log.context.shape[1]))
    columns |= _columns(log.features, [f"emb_{number}" for number in range(log.features.shape[1])])
    return pd.DataFrame(columns)


def truth_table(truth: Truth, shown: np.ndarray | slice = slice(None)) -> pd.DataFrame:
    """The truth of the same responses as a table with a row for each.

    ``shown`` are the rows that were shown.

    Returns
    -------
    DataFrame
        ``response_id``, ``true_reward``, ``propensity``, ``preference`` (0 or 1); where the world has them,
        ``always_acts`` and ``propensity_of_good``.
    """
    columns = {
        "response_id": np.arange(len(truth.reward)),
        "true_reward": truth.reward,
        "propensity": truth.propensity if truth.propensity.ndim == 1 else truth.propensity[0],
        "preference": truth.preference[0].astype(np.int8),
    }
    if truth.always_acts is not None:
        columns["always_acts"] = truth.always_acts
    if truth.propensity_of_good is not None:
        columns["propensity_of_good"] = truth.propensity_of_good
    return pd.DataFrame(columns).iloc[shown].reset_index(drop=True)


def context_names(width: int) -> list[str]:
    """Names of the first ``width`` columns of context."""
    return [*CONTEXT, *(f"session_{number}" for number in range(1, width - 1))][:width]


def columns_of_context(columns: Iterable[str]) -> list[str]:
    """The columns of a simulated log that hold context."""
    return [name for name in columns if name in CONTEXT or name.startswith("session_")]


def _column_of(signal: str) -> str:
    """``click`` -> ``clicked``, ``click:2`` -> ``clicked_2``."""
    name, _, number = signal.partition(":")
    return COLUMN_OF[name] + (f"_{number}" if number else "")


def _columns(matrix: Matrix, names: list[str]) -> dict[str, np.ndarray]:
    values = matrix[:]
    return {name: values[:, number] for number, name in enumerate(names)}
