"""How columns of a log become features and context; stored with the model, so that scoring does the same."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel

from simbench.errors import BadInput
from simbench.files.matrix import MappedMatrix, Matrix, mean_square
from simbench.log.rated_responses import read_features

LEVELS = 50  # of a text column at most: beyond it, it is an identifier and not a context


class ContextColumn(BaseModel, frozen=True, extra="forbid"):
    """A column of context: standardised where it holds numbers, one indicator a level where it holds text."""

    name: str
    kind: Literal["number", "levels"]
    mean: float = 0.0
    spread: float = 1.0
    levels: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: pd.Series) -> "ContextColumn":
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
                "can be told apart; give numbers, or group them."
            )
        return cls(name=name, kind="levels", levels=levels)

    def encode(self, values: pd.Series) -> np.ndarray:
        """Matrix of shape (n, 1) or (n, levels), float32."""
        if self.kind == "number":
            return ((values.astype(float).to_numpy() - self.mean) / self.spread)[:, None].astype(np.float32)
        return np.stack([values.astype(str).to_numpy() == level for level in self.levels], 1).astype(
            np.float32
        )


def raw_features(source: str, frame: pd.DataFrame, path: Path) -> Matrix:
    """Features as they stand, shape (n, d), float32: a file of embeddings (a large one stays on disk), or
    ``col:PREFIX``.

    Raises
    ------
    BadInput
        If there is no such file or column, or a value is missing.
    """
    if not source.startswith("col:"):
        return read_features(Path(source), len(frame))
    prefix = source.removeprefix("col:")
    names = [name for name in frame.columns if str(name).startswith(prefix)]
    names = [name for name in names if pd.api.types.is_numeric_dtype(frame[name])]
    if not names:
        raise BadInput(f"{path} has no column of numbers whose name begins with {prefix!r}.")
    matrix = frame[names].to_numpy(dtype=np.float32)
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise BadInput(f"{path}, row {row}, column {names[column]!r}: a feature is missing or not finite.")
    return matrix


def feature_scale(matrix: Matrix) -> float:
    """One factor by which the mean squared entry becomes 1; directions are left as they are."""
    square = mean_square(matrix)
    if square == 0:
        raise BadInput("the features are all zero: there is nothing to learn from.")
    return float(1 / np.sqrt(square))


def scaled_features(matrix: Matrix, scale: float) -> Matrix:
    """Features as the networks read them; those on disk are scaled as they are read."""
    if isinstance(matrix, MappedMatrix):
        return matrix.scaled(scale)
    return np.asarray(matrix, dtype=np.float32) * np.float32(scale)
