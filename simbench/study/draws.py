"""Means over the draws of a world: the long table of a study from that of its draws."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from simbench.score.across import indistinguishable, over_worlds
from simbench.score.estimate import Estimate
from simbench.score.verdicts import verdict
from simbench.study.config import StudyConfig
from simbench.study.table import OF_A_STUDY

SITUATION = ["world", "behaviour", "bias_level", "size", "protocol"]
OF_DISTANCE = ("distance2", "excess_bias2")
AMONG_BEST = "among_best"


def over_draws(table: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """The long table of a study.

    Parameters
    ----------
    table : DataFrame
        That of its draws, columns :data:`simbench.study.table.OF_A_DRAW`.
    config : StudyConfig

    Returns
    -------
    DataFrame
        Columns :data:`simbench.study.table.OF_A_STUDY`. With one draw, its rows: what they say is conditional
        on that draw. With several, ``value`` is the mean over the draws in which the cell finished,
        ``n_worlds`` their number, and the interval Student's over their values; ``among_best`` is 1 for the
        estimators whose MSE cannot be told from the best (the oracle apart). A cell that failed in a draw has
        a row of its own that says in which.
    """
    if config.draws == 1 or table.empty:
        return _bounds_that_apply(table.drop(columns="draw").assign(n_worlds=1)[OF_A_STUDY])
    rows = [
        row
        for _, situation in table.groupby(SITUATION, sort=False, dropna=False)
        for row in _of_situation(situation, config)
    ]
    return _bounds_that_apply(pd.DataFrame(rows, columns=OF_A_STUDY))


def _bounds_that_apply(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the efficiency of estimators that are not found unbiased: no bound holds for them."""
    which = [*SITUATION, "estimator", "knows"]
    fair = table[(table.metric == "distance2") & (table.verdict == "unbiased")]
    among = pd.MultiIndex.from_frame(table[which]).isin(pd.MultiIndex.from_frame(fair[which]))
    return table[(table.metric != "efficiency") | among].reset_index(drop=True)


def _of_situation(situation: pd.DataFrame, config: StudyConfig) -> Iterator[dict[str, Any]]:
    best = _among_best(situation, config.level)
    for (name, knows), own in situation.groupby(["estimator", "knows"], sort=False):
        yield from _ended_early(own)
        finished = own[own.status == "ok"]
        seconds = float(finished.drop_duplicates("draw").seconds.sum())
        means = {metric: _mean(rows, config.level, seconds) for metric, rows in _by_metric(finished)}
        if "distance2" in means:
            means["distance2"] |= _verdict(finished, means, config)
        yield from means.values()
        if (name, knows) in best:
            like = next(iter(means.values()))
            said = {"metric": AMONG_BEST, "value": best[name, knows], "low": np.nan, "high": np.nan}
            yield {**like, **said, "verdict": "", "reason": ""}


def _by_metric(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for metric, own in rows.groupby("metric", sort=False):
        yield str(metric), own


def _ended_early(own: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for every way in which draws were skipped or failed, which says in which."""
    early = own[own.status != "ok"]
    for (_, reason), rows in early.groupby(["status", "reason"], sort=False):
        everywhere = len(rows) == own.draw.nunique()
        where = "" if everywhere else f"draw {', '.join(map(str, rows.draw))}: "
        yield {**rows.iloc[0].to_dict(), "n_worlds": len(rows), "reason": f"{where}{reason}"}


def _mean(rows: pd.DataFrame, level: float, seconds: float) -> dict[str, Any]:
    values = rows.value.to_numpy()
    found = over_worlds(values, level=level)
    only = rows.iloc[0]
    if len(values) == 1:  # of the one draw that finished
        found = Estimate(float(only.value), float(only.low), float(only.high))
    return {
        **only.to_dict(),
        **{"n_worlds": len(values), "value": found.value, "low": found.low, "high": found.high},
        **{"seconds": seconds, "verdict": "", "reason": ""},
    }


def _verdict(finished: pd.DataFrame, means: dict[str, dict[str, Any]], config: StudyConfig) -> dict[str, str]:
    own = finished[finished.metric == "distance2"]
    if len(own) == 1 or (own.verdict == "reference").all():
        return {"verdict": str(own.verdict.iloc[0]), "reason": str(own.reason.iloc[0])}
    distance2, excess = (
        Estimate(*(float(means[name][end]) for end in ("value", "low", "high"))) for name in OF_DISTANCE
    )
    found = verdict(distance2, excess, margin=config.margin**2)
    return {"verdict": found.label, "reason": found.reason}


def _among_best(situation: pd.DataFrame, level: float) -> dict[tuple[str, str], float]:
    """Of the estimators that finished in all draws and are not told the truth: 1 if they may be the best."""
    rows = situation[(situation.metric == "mse") & ~situation.knows.str.split(", ").map(_holds_truth)]
    errors = rows.pivot_table("value", ["estimator", "knows"], "draw", sort=False).dropna()
    if errors.shape[1] < 3 or len(errors) < 2:
        return {}
    told = indistinguishable(errors.to_numpy(), level=level)
    return {(str(a), str(b)): float(is_best) for (a, b), is_best in zip(errors.index, told, strict=True)}


def _holds_truth(told: list[str]) -> bool:
    return "truth" in told
