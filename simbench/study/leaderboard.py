"""Puts studies that were sent on one board: rows stand together only if they were measured alike.

A board is a world at a bias level and a size, with its seed, draws, replicates, protocol and margin: all its
rows were measured in the same drawn worlds, on the same logs. A table of it is what was told.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from simbench.score.across import groups
from simbench.study.submission import Sent, Submission
from simbench.study.table import digest

NOTHING, TRUTH = "nothing", "truth"
SAME = 1e-12  # relative difference of two numbers that are one


@dataclass(frozen=True)
class Row:
    """An estimator on a board.

    Parameters
    ----------
    estimator, knows : str
        Its name, and what it was told.
    parameters : dict
        Hyper-parameters that differ from the shipped ones.
    code : dict or None
        Fingerprints by name of its code from outside, empty if the study does not say; None for simbench's.
    metrics : DataFrame
        Its rows of the long table, by metric.
    errors : tuple of float
        Its MSE in every draw; empty if it did not finish in all.
    studies : list of Submission
        Those that measured it, with the same numbers.
    """

    estimator: str
    knows: str
    parameters: dict[str, Any]
    code: dict[str, str] | None
    metrics: pd.DataFrame
    errors: tuple[float, ...]
    studies: list[Submission]

    @property
    def status(self) -> str:
        """How its cells ended: ``ok``, ``skipped`` or ``failed``."""
        return str(self.metrics.iloc[0].status)

    def is_same(self, other: "Row") -> bool:
        """Whether another study measured the same, with the same result."""
        named = ("estimator", "knows", "parameters", "code", "status")
        if any(getattr(self, name) != getattr(other, name) for name in named):
            return False
        own, its = self.metrics.value, other.metrics.value
        return list(own.index) == list(its.index) and np.allclose(own, its, SAME, 0, equal_nan=True)


@dataclass(frozen=True)
class Board:
    """What was measured alike.

    Parameters
    ----------
    first : Sent
        The first situation on it: it stands for all, of which only the estimators differ.
    settings : dict
        Of :meth:`simbench.study.submission.Sent.settings`.
    rows : list of Row
    """

    first: Sent
    settings: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """A fingerprint of the settings."""
        return digest(self.settings)

    def told(self) -> dict[str, list[tuple[Row, int]]]:
        """Its rows by what they were told, nothing first and the truth last, each with its group.

        The best of a table stands first, and in group 1 with all that cannot be told from it; group 0 is no
        group (alone, fewer than three draws, or not all finished).
        """
        words = sorted({row.knows for row in self.rows}, key=lambda told: (_is_truth(told), told != NOTHING))
        return {told: _ranked([r for r in self.rows if r.knows == told], self.settings) for told in words}


def boards(studies: Iterable[Submission]) -> list[Board]:
    """The boards of all situations of some studies, in the order in which they are met."""
    found: dict[str, Board] = {}
    for study in studies:
        for situation in study.situations():
            settings = situation.settings()
            board = found.setdefault(digest(settings), Board(situation, settings))
            for row in _rows(situation):
                same = next((known for known in board.rows if known.is_same(row)), None)
                if same is None:
                    board.rows.append(row)
                elif study not in same.studies:
                    same.studies.append(study)
    return list(found.values())


def _rows(situation: Sent) -> list[Row]:
    study, rows = situation.study, []
    own_draws = situation.of(study.draws)
    for (name, knows), found in situation.rows.groupby(["estimator", "knows"], sort=False):
        parts = [found[found.status == "ok"], found[found.status != "ok"]]
        draws = own_draws[(own_draws.estimator == name) & (own_draws.knows == knows)]
        errors = draws[draws.metric == "mse"].sort_values("draw").value
        whole = len(errors) == study.config.draws and bool(np.isfinite(errors).all())
        parameters = study.said["config"].get("parameters", {}).get(name, {})
        rows += [
            Row(
                *(str(name), str(knows), parameters, study.code(str(name)), part.set_index("metric")),
                errors=tuple(errors) if whole and is_over else (),
                studies=[study],
            )
            for part, is_over in zip(parts, (True, False), strict=True)
            if len(part)
        ]
    return rows


def _ranked(rows: list[Row], settings: dict[str, Any]) -> list[tuple[Row, int]]:
    """The rows of a table with their groups, the smallest error first and what has none last."""
    whole = [row for row in rows if row.errors]
    found = groups(np.array([row.errors for row in whole]), level=settings["level"]) if len(whole) > 1 else ()
    of = {id(row): int(number) for row, number in zip(whole, found, strict=False)}

    def key(row: Row) -> tuple[bool, float]:
        error = float(row.metrics.value.get("mse", np.nan))
        return np.isnan(error), error

    return [(row, of.get(id(row), 0)) for row in sorted(rows, key=key)]


def _is_truth(told: str) -> bool:
    return TRUTH in told.split(", ")
