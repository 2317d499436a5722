"""Draws bias² and variance of the fitted reward of every estimator against the bias level."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench_figures.paper import (
    DOUBLE,
    bars,
    in_print,
    legend,
    looks,
    moments,
    note,
    plain_ticks,
    replicates_of,
    sheet,
    with_told,
)

SHOWS = "How the bias and the variance of every estimator's reward grow as users act more unequally."
NEEDS = (
    "a study over several bias levels: simbench run --bias-level 0,0.5,1,2,3 --out DIR; one level gives "
    "a chart of dots"
)
STEPS = ("bias-level",)  # steps of the reproduction whose folders hold its data

PANELS = {"bias2": "bias² of the reward", "variance": "variance of the reward"}
LINEAR_BELOW = 1e-4  # the unbiased estimate of bias² may be negative: linear around 0, then log


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from a long results table.

    Parameters
    ----------
    table : DataFrame
        As :func:`simbench.study.table.table` makes it.

    Returns
    -------
    Figure
        One row of panels per world and size: curves over the bias level, or dots if there is a single level.

    Raises
    ------
    BadInput
        If no cell finished, or none has several replicates.
    """
    finished = with_told(moments(table))
    situations = list(finished.groupby(["world", "size"], sort=False))
    single = finished.bias_level.nunique() == 1
    height = (0.16 * finished.who.nunique() + 0.7) if single else 2.6
    legend_height = 0 if single else 0.14 * -(-finished.who.nunique() // 3)
    figure = sheet(DOUBLE, height * len(situations) + legend_height + 0.4)
    axes = figure.subplots(len(situations), 2, squeeze=False, sharey="row" if single else False)
    for row, ((world, size), here) in zip(axes, situations, strict=True):
        for axis, (metric, title) in zip(row, PANELS.items(), strict=True):
            part = here[here.metric == metric]
            (_dots if single else _curves)(axis, part, here)
            level = f", bias level {here.bias_level.iloc[0]:g}" if single else ""
            axis.set_title(f"{title}\n{world}{level}, {size:,} responses")
    if not single:
        legend(figure, 3)
    note(figure, _footnote(table))
    return figure


def _dots(axis: Axes, part: pd.DataFrame, here: pd.DataFrame) -> None:
    """Estimators from top to bottom by bias², with interval bars."""
    order = here[here.metric == "bias2"].sort_values("value").who.tolist()
    for place, name in enumerate(order):
        rows = part[part.who == name]
        axis.errorbar(rows.value, [place], xerr=bars(rows), **looks(here, name))
    axis.set_yticks(range(len(order)), order)
    if not axis.yaxis_inverted():
        axis.invert_yaxis()
    axis.set_xlabel("squared probability")
    _scale(axis, "x", part)
    axis.grid(axis="x")


def _curves(axis: Axes, part: pd.DataFrame, here: pd.DataFrame) -> None:
    names = list(here.who.unique())
    levels = np.sort(part.bias_level.unique())
    step = np.diff(levels).min() / (2.5 * len(names)) if len(levels) > 1 else 0.0
    for number, name in enumerate(names):
        rows = part[part.who == name].sort_values("bias_level")
        x = rows.bias_level + (number - (len(names) - 1) / 2) * step  # side by side, not on top
        axis.errorbar(x, rows.value, yerr=bars(rows), label=name, **looks(here, name))
    plain_ticks(axis, "x", list(levels))
    axis.set_xlabel("bias level λ (dodged for legibility)")
    axis.set_ylabel("squared probability")
    _scale(axis, "y", part)
    axis.grid()


def _scale(axis: Axes, which: str, part: pd.DataFrame) -> None:
    """Logarithmic above 1e-4, linear below, with a tick at 0, because bias² may be estimated below 0."""
    highest = float(np.nanmax(part[["value", "high"]].to_numpy()))
    lowest = min(0.0, float(np.nanmin(part[["value", "low"]].to_numpy())))
    set_scale = axis.set_xscale if which == "x" else axis.set_yscale
    set_scale("symlog", linthresh=LINEAR_BELOW, linscale=0.4)
    set_limits = axis.set_xlim if which == "x" else axis.set_ylim
    set_limits(min(lowest * 1.5, -0.3 * LINEAR_BELOW), max(highest * 1.6, 10 * LINEAR_BELOW))
    plain_ticks(axis, which, [-0.1, -1e-2, -1e-3, 0, 1e-4, 1e-3, 1e-2, 1e-1, 1])


def _footnote(table: pd.DataFrame) -> str:
    lines = [
        f"In brackets: what it was told. {replicates_of(table)}. "
        "The axis is linear below 0.0001: the unbiased estimate of bias² may fall below 0."
    ]
    ended = table[table.status != "ok"].drop_duplicates(["estimator", "status"])
    lines += [f"{row.estimator}: {row.status}, {row.reason}" for row in ended.itertuples()]
    return "\n".join(lines)
