"""Scores finished cells into one long, self-describing table; writes and reads it."""

import io
import json
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.files.location import Location
from simbench.files.write import write_whole
from simbench.score.bound import mean_bound
from simbench.score.moments import Estimate, excess, score, verdict
from simbench.study.cell import Cell, Outcome
from simbench.study.config import StudyConfig
from simbench.study.grants import in_words
from simbench.study.shards import Shards
from simbench.worlds.config import WorldConfig
from simbench.worlds.world import World, build

COLUMNS = [
    *(
        "world",
        "behaviour",
        "bias_level",
        "size",
        "protocol",
        "estimator",
        "knows",
        "metric",
        "value",
        "low",
        "high",
    ),
    *("n_replicates", "status", "reason", "verdict", "seconds"),
]

RANKING = ("auroc", "pairwise_accuracy", "regret")  # what shift-invariant scores can be judged by
CLEARLY = 0.1  # of a rank correlation: below it, two weak likenesses are not told apart


def table(config: StudyConfig, outcomes: list[Outcome], shards: Shards) -> pd.DataFrame:
    """Score every finished cell against the truth.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`. One row per cell and metric; a cell that was skipped or failed has one row,
        with its reason. Rows of the metric ``excess_bias2`` carry the verdict, and its grounds as the reason.
    """
    rows: list[dict[str, Any]] = []
    for _, group in groupby(outcomes, key=_situation_of):
        rows += _situation(config, list(group), shards)
    return pd.DataFrame(rows, columns=COLUMNS)


def _situation_of(outcome: Outcome) -> tuple[str, WorldConfig, int, float]:
    cell = outcome.cell
    return cell.protocol.name, cell.world, cell.size, cell.bias_level


def _situation(config: StudyConfig, outcomes: list[Outcome], shards: Shards) -> list[dict[str, Any]]:
    """Rows of all estimators in one situation: one protocol, world, size and bias level."""
    oracle = next((o for o in outcomes if o.cell.estimator == "oracle" and o.status == "ok"), None)
    reference = None if oracle is None else shards.read(oracle.cell.key)[0]
    rows = []
    for outcome in outcomes:
        if outcome.status != "ok":
            told = ", ".join(in_words(name) for name in outcome.cell.grant)
            rows.append(_row(outcome, told, "", Estimate(np.nan, np.nan, np.nan)))
            continue
        predictions, facts = shards.read(outcome.cell.key)
        world = outcome.cell.built()
        ranks_only = find(outcome.cell.estimator).ranks_only
        estimates = _estimates(config, predictions, reference, world, ranks_only)
        if "mse" in estimates:
            estimates |= _efficiency(outcome.cell, estimates["mse"], facts["knows"])
        facts_of_fit = facts["weights"] | facts["restarts"]
        plain = {name: Estimate(value, np.nan, np.nan) for name, value in facts_of_fit.items()}
        all_values = (estimates | plain).items()
        rows += [_row(outcome, facts["knows"], name, value) for name, value in all_values]
        if "excess_bias2" in estimates:
            found = verdict(
                estimates["excess_bias2"], margin=config.margin**2, n_replicates=outcome.cell.replicates
            )
            row = next(row for row in reversed(rows) if row["metric"] == "excess_bias2")
            row["verdict"] = "reference" if outcome is oracle else found.label
            row["reason"] = found.reason
    return rows


def _estimates(
    config: StudyConfig,
    predictions: np.ndarray,
    oracle: np.ndarray | None,
    world: World,
    ranks_only: bool,
) -> dict[str, Estimate]:
    test = world.test
    estimates = score(predictions, test.reward, test.groups, level=config.level)
    if ranks_only:
        estimates = {name: estimates[name] for name in RANKING}
    elif oracle is not None:
        estimates |= excess(predictions, oracle, test.reward, level=config.level)
    swapped = _swapped_share(predictions, world)
    if swapped is not None:
        estimates["swapped_share"] = Estimate(swapped, np.nan, np.nan)
    return estimates


def _efficiency(cell: Cell, mse: Estimate, knows: str) -> dict[str, Estimate]:
    """Cramér-Rao bound of the world over the estimator's MSE, with an interval.

    Over the MSE and not the variance, so that no bias buys efficiency; where there is no bias they are the
    same. Empty where no bound is known for the world, or for what the estimator was told.
    """
    known = "propensity" in knows.split(", ")
    if not known and knows not in ("nothing", "context"):
        return {}
    bound = _bound(cell.world, cell.bias_level, cell.size, cell.seed, known)
    if bound is None:
        return {}
    values = (bound / max(value, 1e-300) for value in (mse.value, mse.high, mse.low))
    return {"efficiency": Estimate(*(float(value) for value in values))}


@lru_cache(maxsize=64)
def _bound(world: WorldConfig, bias_level: float, size: int, seed: int, known: bool) -> float | None:
    """Mean bound on the test responses; None unless one click of logistic reward and propensity is logged."""
    try:
        built = build(world, bias_level, size, seed)
        return mean_bound(built, known) if built.train.law.is_one_click else None
    except BadInput:
        return None


def _swapped_share(predictions: np.ndarray, world: World) -> float | None:
    """Share of replicates that rank test responses more like the propensity than like the reward.

    The rank correlation must be higher by :data:`CLEARLY`. None if the propensity does not vary.
    """
    test = world.test
    if np.ptp(test.propensity) == 0:
        return None
    ranks = rankdata(np.stack([test.reward, test.propensity]), axis=1)
    own = rankdata(predictions, axis=1)
    like_reward, like_propensity = (
        [np.corrcoef(row, rank)[0, 1] if np.ptp(row) else 0.0 for row in own] for rank in ranks
    )
    return float(np.mean(np.array(like_propensity) > np.array(like_reward) + CLEARLY))


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


def write_table(path: Path | Location, table: pd.DataFrame) -> None:
    """Write a table as parquet, whole or not at all."""
    write_whole(path, lambda to: table.to_parquet(to, index=False))


def read_table(folder: str | Path | Location) -> pd.DataFrame:
    """Read the long table of a results folder, on this disk or behind a URL.

    Raises
    ------
    BadInput
        If there is none, or it is damaged.
    """
    path = Location(folder) / "results.parquet"
    if not path.exists():
        raise BadInput(f"{path} does not exist: finish the study first (simbench run --out {folder}).")
    content = path.read_bytes()
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}): run the study again.") from error


def to_json(table: pd.DataFrame) -> str:
    """The rows of a table as JSON, a list of records; NaN becomes null."""
    return json.dumps(json.loads(table.to_json(orient="records", double_precision=15)), indent=1)
