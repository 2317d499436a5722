"""Draws how sensitive R² and AUROC of every estimator are to the learning rate."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench_figures.paper import (
    DOUBLE,
    bars,
    finished,
    in_print,
    legend,
    looks,
    note,
    plain_ticks,
    replicates_of,
    require,
    sheet,
    with_told,
)

SHOWS = "How much the result of every estimator depends on the learning rate."
NEEDS = "a study at several learning rates, with a column lr: simbench repro --only learning-rate --out DIR"
STEPS = ("learning-rate",)  # steps of the reproduction whose folders hold its data

METRICS = {"r2": "R² against the preference", "auroc": "AUROC"}
LOWEST_R2 = -1.5
SEARCHED = (1e-5, 2e-3)  # the range that the paper states


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from a long results table with a column ``lr``.

    Returns
    -------
    Figure
        A row of panels per world and bias level, a curve per estimator.

    Raises
    ------
    BadInput
        If the learning rate or a metric is missing.
    """
    require(table, "lr")
    rows = with_told(finished(table, *METRICS))
    situations = list(rows.groupby(["world", "size", "bias_level"], sort=False))
    figure = sheet(DOUBLE, 2.3 * len(situations) + 0.14 * -(-rows.who.nunique() // 3) + 0.5)
    axes = figure.subplots(len(situations), len(METRICS), squeeze=False)
    for line, ((world, size, level), here) in zip(axes, situations, strict=True):
        for axis, (metric, title) in zip(line, METRICS.items(), strict=True):
            _panel(axis, here[here.metric == metric], here)
            axis.set_ylabel(title)
            axis.set_title(f"{world}, bias level {level:g}, {size:,} responses")
            if metric == "r2":
                axis.set_ylim(bottom=max(axis.get_ylim()[0], LOWEST_R2))
    legend(figure, 3)
    note(
        figure,
        f"In brackets: what it was told. {replicates_of(rows)}. Shaded: the range "
        f"that the paper says it searched. R² below {LOWEST_R2:g} is not shown.",
    )
    return figure


def _panel(axis: Axes, part: pd.DataFrame, here: pd.DataFrame) -> None:
    for who, curve in part.groupby("who", sort=False):
        curve = curve.sort_values("lr")
        axis.errorbar(curve.lr, curve.value, yerr=bars(curve), label=who, **looks(here, str(who)))
    axis.set_xscale("log")
    rates = sorted(part.lr.unique())
    axis.set_xlim(rates[0] / 1.4, rates[-1] * 1.4)
    plain_ticks(axis, "x", [rate for rate in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1) if rates[0] <= rate <= rates[-1]])
    low, high = max(SEARCHED[0], axis.get_xlim()[0]), min(SEARCHED[1], axis.get_xlim()[1])
    if low < high:
        axis.axvspan(low, high, color="#f2f2f2", zorder=0)
    axis.set_xlabel("learning rate")
    axis.grid()
