"""How columns of a log become context; stored with a model."""

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel

from simbench.errors import BadInput

LEVELS = 50  # of a text column at most: beyond it, it is an identifier and not a context


class ContextColumn(BaseModel, frozen=True, extra="forbid", strict=True):
    """The encoding of one column of context.

    Numbers are standardised; texts become one 0/1 indicator per level.
    """

    name: str
    kind: Literal["number", "levels"]
    mean: float = 0.0
    spread: float = 1.0
    levels: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: pd.Series) -> "ContextColumn":
        """Learn the encoding from the values of a column.

        Raises
        ------
        BadInput
            If the column holds more different texts than can be told apart.
        """
        name = str(values.name)
        if pd.api.types.is_numeric_dtype(values):
            numbers = values.astype(float)
            # the computed deviation of a constant need not be 0
            spread = 1.0 if numbers.min() == numbers.max() else float(numbers.std(ddof=0))
            return cls(name=name, kind="number", mean=float(numbers.mean()), spread=spread)
        levels = tuple(sorted(values.astype(str).unique()))
        if len(levels) > LEVELS:
            raise BadInput(
                f"context column {name!r} holds {len(levels):,} different texts: at most {LEVELS} levels "
                f"can be told apart; group them, give numbers, or say {name}:hour of a timestamp."
            )
        return cls(name=name, kind="levels", levels=levels)

    def encode(self, values: pd.Series) -> np.ndarray:
        """Encode values, shape (n, 1) for numbers or (n, levels) for texts, float32."""
        if self.kind == "number":
            return ((values.astype(float).to_numpy() - self.mean) / self.spread)[:, None].astype(np.float32)
        return np.stack([values.astype(str).to_numpy() == level for level in self.levels], 1).astype(
            np.float32
        )
