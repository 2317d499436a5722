"""All estimators in the plane of bias² against variance, a panel a situation."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simbench.errors import BadInput
from simbench_figures.palette import style
from simbench_figures.paper import DOUBLE, in_print, note, plain_ticks, sheet

STEPS = ("bias-level",)  # of the reproduction, whose folders hold what it shows

KNOWS = {"truth": "*", "nothing": "o", "context": "s", "class prior": "^", "propensity": "D", "labels": "P"}
FLOOR = 1e-5  # bias² estimates below it are drawn on it, hollow


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw from the long results table.

    Parameters
    ----------
    table : DataFrame
        Of :func:`simbench.study.table.table`.

    Returns
    -------
    Figure
        Log axes. The colour is the estimator's, the marker says what it knew. Crosses are intervals; dotted
        lines join equal MSE.

    Raises
    ------
    BadInput
        If no cell finished.
    """
    finished = table[(table.status == "ok") & table.metric.isin(["bias2", "variance"])]
    if finished.empty:
        raise BadInput("no cell of this study finished with a bias: there is nothing to draw.")
    situations = list(finished.groupby(["world", "size", "bias_level"], sort=False))
    columns = min(2, len(situations))
    rows = -(-len(situations) // columns)
    names = finished.groupby(["world", "size", "bias_level"]).estimator.nunique().max()
    figure = sheet(DOUBLE, max(2.6, 0.125 * names + 0.6) * rows + 0.7)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(situations) :]:
        axis.set_axis_off()
    for axis, ((world, size, level), here) in zip(axes.flat, situations, strict=False):
        _panel(axis, here)
        axis.set_title(f"{world}, {size:,} responses, bias level {level:g}")
    marks = [
        Line2D([], [], marker=mark, linestyle="", color="#555555", label=f"told: {what}")
        for what, mark in KNOWS.items()
        if finished.knows.map(_best_known).eq(what).any()
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=len(marks))
    for axis in axes[-1]:
        axis.set_xlabel("bias² (squared probability)")
    for axis in axes[:, 0]:
        axis.set_ylabel("variance (squared probability)")
    note(figure, f"Bars: bootstrap intervals. Dotted: equal MSE. Hollow: bias² of {FLOOR:g} or less.")
    return figure


def _best_known(knows: str) -> str:
    """The strongest of what an estimator was told."""
    for what in ("truth", "labels", "propensity", "class prior", "context"):
        if what in knows:
            return what
    return "nothing"


def _panel(axis: Axes, here: pd.DataFrame) -> None:
    wide = here.pivot_table(
        index=["estimator", "knows"], columns="metric", values=["value", "low", "high"], sort=False
    )
    spots = []
    for (name, knows), row in wide.iterrows():
        x, y = max(row["value", "bias2"], FLOOR), row["value", "variance"]
        colour, _ = style(str(name))
        hollow = row["value", "bias2"] <= FLOOR
        axis.errorbar(
            [x],
            [y],
            xerr=[[x - max(row["low", "bias2"], FLOOR)], [max(row["high", "bias2"] - x, 0)]],
            yerr=[[y - row["low", "variance"]], [row["high", "variance"] - y]],
            color=colour,
            marker=KNOWS[_best_known(str(knows))],
            markerfacecolor="white" if hollow else colour,
            elinewidth=0.6,
        )
        spots.append((x, y, str(name), colour))
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(FLOOR * 0.6, 1)
    low, high = min(s[1] for s in spots) / 2, max(s[1] for s in spots) * 2.5
    axis.set_ylim(low, high)
    _equal_mse(axis)
    _name(axis, spots)
    plain_ticks(axis, "x", [1e-4, 1e-2, 1])
    plain_ticks(
        axis, "y", [tick for tick in (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3) if low < tick < high]
    )
    axis.grid()


def _equal_mse(axis: Axes) -> None:
    (x_low, x_high), (y_low, y_high) = axis.get_xlim(), axis.get_ylim()
    for mse in (0.003, 0.01, 0.03, 0.1):
        x = np.geomspace(x_low, min(mse * 0.999, x_high), 200)
        y = mse - x
        inside = (y > y_low) & (y < y_high)
        axis.plot(x[inside], y[inside], ":", color="#aaaaaa", linewidth=0.8, zorder=0)


def _name(axis: Axes, spots: list[tuple[float, float, str, str]]) -> None:
    """Names in a column at the right of each half, in the order of their heights, joined by thin lines."""
    x_high, (y_low, y_high) = axis.get_xlim()[1], axis.get_ylim()
    placed = sorted(spots, key=lambda spot: -spot[1])
    heights = np.geomspace(y_high * 0.88, y_low * 1.15, max(len(placed), 2))
    for height, (x, y, name, colour) in zip(heights, placed, strict=False):
        axis.annotate(
            name,
            (x, y),
            xytext=(x_high * 1.15, height),
            fontsize=7,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "alpha": 0.7,
                "relpos": (0, 0.5),
            },
        )
