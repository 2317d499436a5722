"""Draws the efficiency of every estimator, the Cramér-Rao bound over its MSE, against the bias level."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench_figures.paper import (
    DOUBLE,
    bars,
    in_print,
    legend,
    looks,
    note,
    plain_ticks,
    replicates_of,
    sheet,
    with_told,
)

SHOWS = "How near the error of every estimator comes to the smallest that is possible with what it was told."
NEEDS = (
    "a study in worlds whose bound is known, best over several bias levels: simbench run --study "
    "efficiency --out DIR"
)
STEPS = ("efficiency",)  # steps of the reproduction whose folders hold its data

SMALLEST = 0.01  # low end of the axis; below it an estimator has diverged
LARGEST = 1.6  # high end of the axis; with few replicates an interval may have no upper end


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from a long results table.

    Parameters
    ----------
    table : DataFrame
        As :func:`simbench.study.table.table` makes it, of a study in worlds whose bound is known.

    Returns
    -------
    Figure
        One panel per world and size, a curve per estimator and what it was told.

    Raises
    ------
    BadInput
        If the study has no efficiencies, because no bound is known for its worlds.
    """
    rows = table[(table.status == "ok") & (table.metric == "efficiency") & (table.estimator != "oracle")]
    if rows.empty:
        raise BadInput("this study has no efficiency: no bound is known for its worlds.")
    rows = with_told(rows)
    situations = list(rows.groupby(["world", "size"], sort=False))
    figure = sheet(DOUBLE, 2.9 + 0.14 * -(-rows.who.nunique() // 3))
    axes = figure.subplots(1, len(situations), squeeze=False, sharey=True)[0]
    for axis, ((world, size), here) in zip(axes, situations, strict=True):
        _panel(axis, here)
        axis.set_title(f"{world}, {size:,} responses")
    axes[0].set_ylabel("Cramér-Rao bound / MSE")
    legend(figure, 3)
    told = "Told the propensity: against the bound that knows it; else the joint one."
    note(figure, f"{replicates_of(rows)}. {told} At the lowest tick: that or less.")
    return figure


def _panel(axis: Axes, here: pd.DataFrame) -> None:
    levels = sorted(here.bias_level.unique())
    names = list(here.who.unique())
    for number, name in enumerate(names):
        part = here[here.who == name].sort_values("bias_level")
        shift = (number - (len(names) - 1) / 2) * 0.012 * max(1.0, levels[-1] - levels[0])
        value = part.value.clip(lower=SMALLEST)
        reach = bars(part.assign(value=value, high=part.high.clip(upper=10 * LARGEST)))
        axis.errorbar(part.bias_level + shift, value, yerr=reach, label=name, **looks(here, name))
    axis.axhline(1, color="#888888", linewidth=1)
    axis.set(yscale="log", ylim=(0.8 * SMALLEST, LARGEST))
    plain_ticks(axis, "x", levels)
    plain_ticks(axis, "y", [0.01, 0.03, 0.1, 0.3, 1])
    axis.set_xlabel("bias level λ (dodged for legibility)")
    axis.grid()
