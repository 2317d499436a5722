"""Brings every column of a user's features to mean 0 and spread 1, so that none drowns the others."""

from dataclasses import dataclass

import numpy as np

from simbench.errors import BadInput
from simbench.files.matrix import MappedMatrix, Matrix, blocks

FLAT = 1e-7  # spread, relative to the largest value, below which a column of float32 is constant
MOSTLY = 0.5  # share of rows without any feature from which a log is refused


@dataclass(frozen=True)
class Standardisation:
    """Mean of every column, and the factor that brings its spread to 1.

    Parameters
    ----------
    mean, scale : ndarray, shape (d,), float64
        A column ``x`` becomes ``(x - mean) * scale``; the scale of a constant column is 1.
    constant : int
        Number of columns that do not vary.
    """

    mean: np.ndarray
    scale: np.ndarray
    constant: int = 0

    @classmethod
    def of(cls, matrix: Matrix, where: str = "the features") -> "Standardisation":
        """Learn mean and spread of every column, in one pass.

        Parameters
        ----------
        matrix : Matrix, shape (n, d), finite
        where : str
            What the matrix is, for messages.

        Raises
        ------
        BadInput
            If there is no column, none varies, or most rows are all zero.
        """
        if matrix.shape[1] == 0:
            raise BadInput(f"{where} have no column: there is nothing to learn from.")
        start = np.asarray(matrix[:1], dtype=float)[0]
        total, square, largest, empty = (np.zeros(len(start)) for _ in range(4))
        for _, part in blocks(matrix):
            away = part.astype(float) - start  # near 0 where a large constant was added to a column
            total += away.sum(0)
            square += (away**2).sum(0)
            largest = np.maximum(largest, np.abs(part).max(0))
            empty[0] += (~part.any(1)).sum()
        _require_values(int(empty[0]), len(matrix), where)
        mean = total / len(matrix)
        spread = np.sqrt(np.maximum(square / len(matrix) - mean**2, 0))
        flat = spread <= FLAT * largest
        if flat.all():
            raise BadInput(f"{where} are the same in every row: there is nothing to learn from.")
        return cls(start + mean, 1 / np.where(flat, 1.0, spread), int(flat.sum()))

    def apply(self, matrix: Matrix) -> Matrix:
        """The standardised matrix, float32; one on disk is standardised as it is read."""
        if isinstance(matrix, MappedMatrix):
            return matrix.standardised(self.mean, self.scale)
        return (np.asarray(matrix, dtype=np.float32) - self.mean.astype(np.float32)) * self.scale.astype(
            np.float32
        )

    def __str__(self) -> str:
        """What was done, for people."""
        spread = 1 / self.scale
        still = f"; {self.constant:,} of them constant" if self.constant else ""
        return (
            f"{len(spread):,} columns, each standardised: means from {self.mean.min():.3g} to "
            f"{self.mean.max():.3g}, spreads from {spread.min():.3g} to {spread.max():.3g}{still}"
        )


def _require_values(empty: int, rows: int, where: str) -> None:
    if empty == rows:
        raise BadInput(f"{where} are all zero: there is nothing to learn from.")
    if empty > MOSTLY * rows:
        raise BadInput(
            f"{where} are all zero in {empty:,} of {rows:,} rows: whatever made them found nothing in most "
            "responses; make features that tell these responses apart."
        )
