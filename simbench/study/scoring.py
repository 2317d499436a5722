"""Scores finished cells against the truth, situation by situation, as rows of the long table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.fingerprint import fingerprint
from simbench.score.bound import mean_bound
from simbench.score.estimate import Estimate, without_interval
from simbench.score.moments import against_oracle, score
from simbench.score.squared_mean import gram_matrix, spread
from simbench.score.verdicts import verdict
from simbench.study import facts
from simbench.study.cell import Cell, Outcome, Place, built
from simbench.study.config import StudyConfig
from simbench.study.draws import over_draws
from simbench.study.grants import in_words
from simbench.study.guests.kinds import find
from simbench.study.shards import Shard, Shards
from simbench.study.table import OF_A_DRAW, digest

RANKING = ("auroc", "pairwise_accuracy", "regret")  # what shift-invariant scores can be judged by
CLEARLY = 0.1  # of a rank correlation: below it, two weak likenesses are not told apart

_Situation = tuple[str, Place]


class _Scored(NamedTuple):
    """The rows of a cell that was scored, and a fingerprint of all that they follow from."""

    basis: str
    rows: Sequence[dict[str, Any]]


class Scorer:
    """Scores the cells of a study as they end: those of a situation when the last of them has ended.

    Parameters
    ----------
    config : StudyConfig
    cells : sequence of Cell
        All cells of the study, in the order of the rows.
    shards : Shards
    earlier : mapping of sequences of dict, optional
        Rows of an earlier table, see :func:`simbench.study.table.earlier_rows`: those that follow from the
        same shards by the same rules are taken as they are.

    Attributes
    ----------
    stacks : set of str
        Versions that the predictions were made with, in words.
    """

    def __init__(
        self,
        config: StudyConfig,
        cells: Sequence[Cell],
        shards: Shards,
        earlier: Mapping[str, Sequence[dict[str, Any]]] | None = None,
    ):
        self.config, self.shards, self.earlier = config, shards, earlier or {}
        self.stacks: set[str] = set()
        self._keys: dict[_Situation, list[str]] = defaultdict(list)
        for cell in cells:
            self._keys[_situation_of(cell)].append(cell.key)
        self._ended: dict[_Situation, dict[str, Outcome]] = defaultdict(dict)
        self._scored: dict[_Situation, list[_Scored]] = {}

    def take(self, outcome: Outcome) -> None:
        """Take the outcome of a cell, and score its situation if it was the last.

        Raises
        ------
        BadInput
            If a shard is damaged.
        """
        where = _situation_of(outcome.cell)
        ended, keys = self._ended[where], self._keys[where]
        ended[outcome.cell.key] = outcome
        if len(ended) == len(set(keys)):
            self._scored[where] = self._situation({key: ended[key] for key in keys})
            del self._ended[where]

    @property
    def n_situations(self) -> int:
        """The number of situations of the study."""
        return len(self._keys)

    @property
    def cells(self) -> tuple[tuple[str, int], ...]:
        """A fingerprint of what the rows of each cell follow from, and their number, in order."""
        return tuple((basis, len(rows)) for basis, rows in self._in_order())

    def table(self) -> pd.DataFrame:
        """The long table of all draws that have been scored.

        Returns
        -------
        DataFrame
            Columns :data:`simbench.study.table.OF_A_DRAW`. One row per cell and metric; a cell that was
            skipped or failed has one row, with its reason. Rows of the metric ``distance2`` carry the
            verdict, and its grounds as the reason.
        """
        return pd.DataFrame([row for _, rows in self._in_order() for row in rows], columns=OF_A_DRAW)

    def _in_order(self) -> Iterable[_Scored]:
        return (scored for where in self._keys for scored in self._scored.get(where, ()))

    def _situation(self, outcomes: dict[str, Outcome]) -> list[_Scored]:
        """All cells of one situation, by their keys."""
        of_oracles = (k for k, o in outcomes.items() if o.cell.estimator == "oracle" and o.status == "ok")
        oracle = next(of_oracles, None)
        reference = None if oracle is None else self.shards.find(oracle)
        scored = []
        for key, outcome in outcomes.items():
            if outcome.status != "ok":
                told = ", ".join(in_words(name) for name in outcome.cell.grant)
                row = _row(outcome, told, "", without_interval(np.nan))
                scored.append(_Scored(digest([key, outcome.reason]), [row]))
                continue
            shard = reference if key == oracle and reference is not None else self.shards.find(key)
            self.stacks |= facts.stacks(facts.first(shard.facts, outcome.cell.replicates))
            scored.append(self._finished(key, outcome, shard, reference, key == oracle))
        return scored

    def _finished(
        self, key: str, outcome: Outcome, shard: Shard, reference: Shard | None, is_reference: bool
    ) -> _Scored:
        """A finished cell, scored here unless an earlier table has its rows."""
        cell, against = outcome.cell, "" if reference is None else reference.checksum
        rules = [_rules(), self.config.level, self.config.margin, is_reference]
        basis = digest([VERSION, rules, key, cell.replicates, shard.checksum, against])
        rows = self.earlier.get(basis)
        if rows is None:
            oracle = None if reference is None else reference.first(cell.replicates)[0]
            rows = _rows(self.config, outcome, *shard.first(cell.replicates), oracle, is_reference)
        return _Scored(basis, rows)


def table(config: StudyConfig, outcomes: Sequence[Outcome], shards: Shards) -> pd.DataFrame:
    """Score every finished cell against the truth, and take means over draws: ``results.parquet``."""
    scorer = Scorer(config, [outcome.cell for outcome in outcomes], shards)
    for outcome in outcomes:
        scorer.take(outcome)
    return over_draws(scorer.table(), config)


def _situation_of(cell: Cell) -> _Situation:
    return cell.protocol.name, cell.place


@cache
def _rules() -> str:
    """A fingerprint of the code that scores: its version does not change while it is worked on."""
    here = Path(__file__)
    return digest([fingerprint(here), fingerprint(here.parents[1] / "score")])


def _rows(
    config: StudyConfig,
    outcome: Outcome,
    predictions: np.ndarray,
    own: facts.Facts,
    oracle: np.ndarray | None,
    is_reference: bool,
) -> list[dict[str, Any]]:
    """The rows of a finished cell, a metric each."""
    cell = outcome.cell
    estimates = _estimates(config, predictions, oracle, cell.place, find(cell.estimator).ranks_only)
    if "mse" in estimates:
        estimates |= _efficiency(cell, estimates["mse"], own["knows"])
    plain = {name: without_interval(value) for name, value in facts.means(own).items()}
    rows = {name: _row(outcome, own["knows"], name, value) for name, value in (estimates | plain).items()}
    if "distance2" in estimates and oracle is not None:
        noise = spread(gram_matrix(predictions, oracle)) if cell.replicates > 2 else None
        found = verdict(
            estimates["distance2"], estimates["excess_bias2"], margin=config.margin**2, noise=noise
        )
        rows["distance2"]["verdict"] = "reference" if is_reference else found.label
        rows["distance2"]["reason"] = "" if is_reference else found.reason
    return list(rows.values())


def _estimates(
    config: StudyConfig,
    predictions: np.ndarray,
    oracle: np.ndarray | None,
    place: Place,
    ranks_only: bool,
) -> dict[str, Estimate]:
    test = built(place).test
    estimates = score(predictions, test.reward, test.groups, level=config.level)
    if ranks_only:
        estimates = {name: estimates[name] for name in RANKING}
    elif oracle is not None:
        estimates |= against_oracle(predictions, oracle, test.reward, level=config.level)
    swapped = _swapped_share(predictions, place)
    if swapped is not None:
        estimates["swapped_share"] = without_interval(swapped)
    return estimates


def _efficiency(cell: Cell, mse: Estimate, knows: str) -> dict[str, Estimate]:
    """Cramér-Rao bound of the world over the estimator's MSE, with an interval.

    Over the MSE and not the variance, so that no bias buys efficiency; where there is no bias they are the
    same. Empty where no bound is known for the world, or for what the estimator was told.
    """
    told = set(knows.split(", ")) - {"nothing", "context"}
    if told not in (set(), {"propensity"}):  # labels, say, lower the bound
        return {}
    known = bool(told)
    bound = _bound(cell.place, known)
    if bound is None or not np.isfinite(bound) or mse.value <= 0:  # infinite: not identified
        return {}
    return {"efficiency": Estimate(*(float(bound / value) for value in (mse.value, mse.high, mse.low)))}


@lru_cache(maxsize=64)
def _bound(place: Place, known: bool) -> float | None:
    """Mean bound on the test responses; None unless one click of logistic reward and propensity is logged."""
    world = built(place)
    try:
        return mean_bound(world, known) if world.train.law.is_one_click else None
    except BadInput:
        return None


def _swapped_share(predictions: np.ndarray, place: Place) -> float | None:
    """Share of replicates that rank test responses more like the propensity than like the reward.

    The rank correlation must be higher by :data:`CLEARLY`. None if the propensity does not vary.
    """
    if np.ptp(built(place).test.propensity) == 0:
        return None
    own = rankdata(predictions, axis=1)
    like_reward, like_propensity = (
        [np.corrcoef(row, rank)[0, 1] if np.ptp(row) else 0.0 for row in own] for rank in _true_ranks(place)
    )
    return float(np.mean(np.array(like_propensity) > np.array(like_reward) + CLEARLY))


@lru_cache(maxsize=1)  # the same for all estimators of a situation
def _true_ranks(place: Place) -> np.ndarray:
    """Ranks of the reward and of the propensity of the test responses, shape (2, m)."""
    test = built(place).test
    return rankdata(np.stack([test.reward, test.propensity]), axis=1)


def _row(outcome: Outcome, knows: str, metric: str, estimate: Estimate) -> dict[str, Any]:
    cell: Cell = outcome.cell
    return {
        **cell.columns,
        "knows": knows,
        "metric": metric,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n_replicates": cell.replicates,
        "status": outcome.status,
        "reason": outcome.reason,
        "verdict": "",
        "seconds": outcome.seconds,
    }
