"""The held-out part of a log: how it is chosen, and by what it judges a fit."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Holdout:
    """Handed to ``fit_replicates`` by a study whose protocol differs from the default.

    Parameters
    ----------
    by : {"prompt", "sample"}
        Unit that is held out.
    oracle_labels : ndarray, shape (R, n), in {0, 1}, or None
        ``r*`` of every response, where the protocol's ``oracle_stopping`` lets early stopping see it. No loss
        reads it: a :class:`simbench.training.samples.Batch` has no place for it.
    """

    by: Literal["prompt", "sample"] = "prompt"
    oracle_labels: np.ndarray | None = None

    @property
    def is_usual(self) -> bool:
        """Whether it is what training does unasked."""
        return self.by == "prompt" and self.oracle_labels is None

    def units(self, groups: np.ndarray) -> np.ndarray:
        """What :func:`simbench.training.batches.split_by_prompt` keeps whole, shape (n,)."""
        return groups if self.by == "prompt" else np.arange(len(groups))

    def replicates(self, rows: slice | np.ndarray) -> "Holdout":
        """Of some of the replicates."""
        labels = self.oracle_labels
        return self if labels is None else replace(self, oracle_labels=labels[rows])
