"""The results that the steps left on disk, as the claims read them."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench.files.location import Location
from simbench.files.parquet import read_own_parquet
from simbench.repro import replicates
from simbench.repro.measurements import IDENTITIES
from simbench.repro.run import FINISHED, REMEDY, RESULTS
from simbench.study.table import COLUMNS

OF_STEPS = {"risk": ("estimator", "case", "verdict", "bias"), "throughput": ()}  # the others are studies
OF_REPLICATES = ("estimator", "metric", "replicate", "value")
OF_IDENTITIES = ("identity", "points", "error")
NUMBERS = {"bias_level", "size", "replicate", "value", "low", "high", "n_replicates", "seconds", "bias"}
NUMBERS |= {"points", "error"}


class NotMeasured(Exception):
    """Raised if a step that a claim needs has not been run, or holds nothing that the claim needs."""


class Evidence:
    """The results of a reproduction.

    Parameters
    ----------
    out : Path
        Folder of the reproduction, with one folder per step.
    level : float in (0, 1)
        Nominal coverage of the intervals that the claims compute.
    """

    out: Path
    level: float

    def __init__(self, out: Path, level: float = 0.95):
        self.out, self.level = out, level

    def has(self, step: str) -> bool:
        """Return whether the step is finished."""
        return (self.out / step / FINISHED).exists()

    def table(self, step: str) -> pd.DataFrame:
        """Return ``results.parquet`` of a step.

        Raises
        ------
        BadInput
            If it is damaged, or lacks a column.
        """
        return self._read(step, RESULTS, OF_STEPS.get(step, tuple(COLUMNS)))

    def identities(self) -> pd.DataFrame:
        """Return the paper's formulae compared with enumeration."""
        return self._read("risk", IDENTITIES, OF_IDENTITIES)

    def replicates(self, step: str) -> "Scores":
        """Return the scores of every replicate of a study.

        Raises
        ------
        NotMeasured
            If the step has not been run.
        """
        return Scores(self._read(step, replicates.FILE, OF_REPLICATES), step)

    def _read(self, step: str, file: str, columns: tuple[str, ...]) -> pd.DataFrame:
        path = self.out / step / file
        if not self.has(step) or not path.exists():
            raise NotMeasured(f"the step `{step}` has not been run")
        return _parquet(path, path.stat().st_mtime_ns, columns)


@cache
def _parquet(path: Path, _: int, columns: tuple[str, ...]) -> pd.DataFrame:
    return read_own_parquet(Location(path), REMEDY, columns, NUMBERS.intersection(columns))


class Scores:
    """The scores of every replicate of a study.

    Parameters
    ----------
    table : DataFrame
        Made by :func:`simbench.repro.replicates.collect`, possibly with further columns (``lr``, ...).
    step : str
        Name of the step, for messages.
    """

    table: pd.DataFrame
    step: str

    def __init__(self, table: pd.DataFrame, step: str):
        self.table, self.step = table, step

    def told_apart(self) -> "Scores":
        """Return the scores with what ran with a few labels named apart, as ``implicitrm, labels``."""
        labelled = self.table.knows.str.contains("labels (", regex=False)
        names = self.table.estimator + labelled.map({True: ", labels", False: ""})
        return Scores(self.table.assign(estimator=names), self.step)

    def where(self, **fixed: object) -> "Scores":
        """Return the rows whose columns have these values."""
        keep = np.ones(len(self.table), dtype=bool)
        for column, value in fixed.items():
            keep &= (self.table[column] == value).to_numpy()
        return Scores(self.table[keep], self.step)

    def by(self, *columns: str) -> list[tuple[tuple[Any, ...], "Scores"]]:
        """Split the rows by the values of these columns, in order of appearance.

        A column that is not there counts as an empty string in every row.
        """
        table = self.table.assign(**{name: "" for name in columns if name not in self.table})
        return [
            (values, Scores(rows, self.step)) for values, rows in table.groupby(list(columns), sort=False)
        ]

    def distinct(self, column: str) -> list[Any]:
        """Return the values of a column, in order of appearance."""
        return list(self.table[column].unique())

    def has(self, estimator: str) -> bool:
        """Return whether there are scores of this estimator."""
        return bool((self.table.estimator == estimator).any())

    def of(self, estimator: str, metric: str) -> np.ndarray:
        """Return one value per replicate, shape (R,), in order of the replicate number.

        Raises
        ------
        NotMeasured
            If there is none.
        ValueError
            If the rows are of more than one situation.
        """
        rows = self.table[(self.table.estimator == estimator) & (self.table.metric == metric)]
        if rows.empty:
            raise NotMeasured(f"the step `{self.step}` holds no {metric} of {estimator}")
        if rows.replicate.duplicated().any():
            raise ValueError(f"{estimator}, {metric}: rows of more than one situation")
        return rows.sort_values("replicate").value.to_numpy()

    def less(self, estimator: str, other: str, metric: str) -> np.ndarray:
        """Return the scores of ``estimator`` less those of ``other`` on the same logs, shape (R,)."""
        return self.of(estimator, metric) - self.of(other, metric)
