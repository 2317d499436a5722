"""The held-out part of a log: how it is chosen, and which labels judge a fit on it."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Holdout:
    """How a study's protocol holds out responses, where it differs from the default.

    Parameters
    ----------
    by : {"prompt", "sample"}
        Unit that is held out as a whole.
    oracle_labels : ndarray, shape (R, n), in {0, 1}, or None
        Preference ``r*`` of every response, if the protocol's ``oracle_stopping`` lets early stopping see it.
        No loss can read it: a :class:`simbench.training.samples.Batch` does not carry it.
    """

    by: Literal["prompt", "sample"] = "prompt"
    oracle_labels: np.ndarray | None = None

    @property
    def is_usual(self) -> bool:
        """Whether this is the default: whole prompts, judged by the feedback."""
        return self.by == "prompt" and self.oracle_labels is None

    def units(self, groups: np.ndarray) -> np.ndarray:
        """Unit of every row, which :func:`simbench.training.batches.split_by_prompt` keeps whole; (n,)."""
        return groups if self.by == "prompt" else np.arange(len(groups))

    def replicates(self, rows: slice | np.ndarray) -> "Holdout":
        """The same holdout for some of the replicates."""
        labels = self.oracle_labels
        return self if labels is None else replace(self, oracle_labels=labels[rows])
