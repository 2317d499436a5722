"""Bounds, sensitivity and means of labels as rows of text."""

from dataclasses import dataclass
from textwrap import fill

import numpy as np

from simbench.errors import BadInput
from simbench.files.tables.table import Table
from simbench.log.columns import filled
from simbench.reward.bounds.bounds import Bounds
from simbench.reward.bounds.pairs import decided_share
from simbench.reward.bounds.sensitivity import Sensitivity
from simbench.reward.clustered import Mean, MeanSet
from simbench.reward.labels.powered import Labelled, PoweredCalibration

COLUMNS = 80
LONGEST_NAME = 20  # of a group, in a row
ODDS = (1.0, 1.5, 2.0, 3.0)
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Comparison:
    """The claim that the responses of one group are better than the others.

    Parameters
    ----------
    first, second : str
        Names of the groups.
    is_first : ndarray, shape (n,), bool
    """

    first: str
    second: str
    is_first: np.ndarray

    @classmethod
    def of(cls, table: Table, name: str) -> "Comparison":
        """The two groups of a column of a table.

        Raises
        ------
        BadInput
            If a value is missing, or there are not two different ones.
        """
        values = filled(table, name).astype(str).to_numpy()
        names = np.unique(values)
        if len(names) != 2:
            raise BadInput(
                f"{table.name}, column {name!r}: --compare needs two groups, got {len(names):,} different "
                "values."
            )
        return cls(str(names[0]), str(names[1]), values == names[0])


def of_bounds(found: Bounds) -> Rows:
    """What a least propensity leaves of the reward."""
    rows = [("mean reward", _set(found.mean, found.level))]
    if found.mean_by_context is not None:
        rows.append(("... if context moves only propensity", _set(found.mean_by_context, found.level)))
    if found.refuted:
        rows.append(
            (
                "... refuted",
                "clicks where users act most exceed what the premises allow: the least propensity is too "
                "high, or the context moves the reward too",
            )
        )
    width, limits = found.high - found.low, found.high_limit - found.low_limit
    by_estimate = decided_share(found.low, found.high, found.groups)
    rows.append(
        (
            "reward of a response",
            f"within {width.mean():.2f}; with sampling error {limits.mean():.2f}",
        )
    )
    if np.isfinite(by_estimate):
        beyond = decided_share(found.low_limit, found.high_limit, found.groups)
        rows.append(
            (
                "pairs of a prompt in sure order",
                f"{100 * by_estimate:.1f} %; {100 * beyond:.1f} % beyond sampling error",
            )
        )
    return rows


def of_sensitivity(
    found: Sensitivity, groups: np.ndarray, above: float | None, comparison: Comparison | None
) -> Rows:
    """How far the propensity may differ from the fitted one, by an odds ratio, before conclusions turn."""
    rows = [(f"mean reward, odds of acting x {odds:g}", _set(found.mean(odds), 0.95)) for odds in ODDS]
    if above is not None:
        rows.append((f"mean reward above {above:g}", _holds(found.above(above))))
    if comparison is not None:
        rows.append(_compared(found, comparison))
    turning = found.turning(groups)
    if len(turning):
        kept = " %, ".join(f"{100 * (turning > odds).mean():.0f}" for odds in ODDS[1:])
        by = ", ".join(f"{odds:g}" for odds in ODDS[1:])
        rows.append(("pairs of a prompt that keep order", f"{kept} % at odds ratios of {by}"))
    return rows


def _compared(found: Sensitivity, given: Comparison) -> tuple[str, str]:
    """How far the better group by the fit is better; either could have been, so the test is two-sided."""
    low, _ = found.scores(1.0)
    is_first, better, other = given.is_first, given.first, given.second
    if low[is_first].mean() < low[~is_first].mean():
        is_first, better, other = ~is_first, other, better
    return f"{_short(better)} better than {_short(other)}", _holds(found.better(is_first, level=0.975))


def of_labels(found: Labelled, calibration: PoweredCalibration) -> Rows:
    """Means of a few labels, and the calibration of the predicted reward."""
    rows = [
        ("mean reward by labels alone", f"{_mean(found.alone)}, {found.n_labels:,} labels"),
        (
            "mean reward by labels and fit",
            f"{_mean(found.powered)}; each label is worth {found.worth:.1f} alone",
        ),
    ]
    for predicted, one in zip(calibration.predicted, calibration.found, strict=True):
        rows.append((f"reward where the fit says {predicted:.3f}", _mean(one.powered)))
    return [*rows, ("is the fitted reward calibrated?", f"p = {calibration.p_value:.2g}, by the labels")]


def as_text(title: str, rows: Rows) -> str:
    """Rows as lines for a terminal, under a title."""
    width = max(len(name) for name, _ in rows)
    after = " " * (width + 4)
    lines = [fill(said, COLUMNS, initial_indent=after, subsequent_indent=after) for _, said in rows]
    names = [f"  {name:<{width}}  " for name, _ in rows]
    return "\n".join([title, *(name + line[len(name) :] for name, line in zip(names, lines, strict=True))])


def _set(found: MeanSet, level: float) -> str:
    low, high = found.interval(level)
    return f"{found.low.value:.3f} to {found.high.value:.3f} {_interval(low, high)}"


def _mean(found: Mean) -> str:
    return f"{found.value:.3f} {_interval(*found.interval())}"


def _interval(low: float, high: float) -> str:
    return f"[{max(low, 0.0):.3f}, {min(high, 1.0):.3f}]"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def _holds(odds: float) -> str:
    if odds == 0:
        return "not shown even if the fitted propensity is right"
    if np.isinf(odds):
        return "holds whatever the propensity is"
    return f"holds up to an odds ratio of {odds:.2f}"
