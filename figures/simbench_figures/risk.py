"""Draws the exact bias of every risk, a row an estimator and a panel a case."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.study.table import read_table
from simbench_figures.palette import styles
from simbench_figures.paper import DOUBLE, in_print, note, plain_ticks, require, sheet

SHOWS = (
    "Whether the expected loss of every estimator is that of the true preferences, computed exactly "
    "without a simulation."
)
NEEDS = "verdicts: simbench check --out DIR"
STEPS = ("risk",)  # steps of the reproduction whose folders hold its data

SMALLEST, LARGEST = 1e-4, 100.0  # of the axis; what is exact stands at its left end


def read(folder: Path | Location) -> pd.DataFrame:
    """Read the verdicts that ``simbench check --out`` or the step ``risk`` of the reproduction wrote."""
    return read_table(folder)


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from a table of verdicts.

    Parameters
    ----------
    table : DataFrame
        Columns ``estimator, case, verdict, bias, low, high``, a row for each
        :class:`simbench.score.risk.RiskVerdict`.

    Returns
    -------
    Figure
        A dot at the largest error of the expected loss, hollow and at the left if there is none. For risks
        that are not a sum over samples, the Monte Carlo bias with its interval.

    Raises
    ------
    BadInput
        If the table lacks these columns, or has no rows.
    """
    require(table, "estimator", "case", "verdict", "bias", "low", "high")
    if table.empty:
        raise BadInput("there is no verdict to draw: simbench check --out FOLDER writes some.")
    names, cases = list(table.estimator.unique()), list(table.case.unique())
    figure = sheet(DOUBLE, 1.2 + 0.145 * len(names))
    axes = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axis, case in zip(axes, cases, strict=True):
        _panel(axis, table[table.case == case], names)
        axis.set_title(case)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    figure.supylabel("")
    axes[len(axes) // 2].set_xlabel("largest error of the expected loss (nats)")
    note(
        figure,
        "Hollow, at 0: exactly unbiased (to 1e-12, at 4,096 arbitrary points), or by Monte Carlo with an "
        "interval "
        "that holds 0. With bars: Monte Carlo bias of the risk, interval at 99.9 %. No dot: the case does "
        "not apply.",
    )
    return figure


def _panel(axis: Axes, part: pd.DataFrame, names: list[str]) -> None:
    style = styles(names)
    for row in part.itertuples():
        colour, marker = style[row.estimator]
        size, reach = abs(row.bias), max(float(np.nan_to_num(row.high - row.low)) / 2, 0.0)
        unbiased = row.verdict == "exactly unbiased" or row.verdict.endswith("no bias found")
        axis.errorbar(
            [0.0 if row.verdict == "exactly unbiased" else size],
            [names.index(row.estimator)],
            xerr=[[min(reach, size)], [reach]],
            color=colour,
            marker=marker,
            markerfacecolor="white" if unbiased else colour,
            clip_on=False,
        )
    axis.set_xscale("symlog", linthresh=SMALLEST, linscale=0.5)
    axis.set_xlim(0, LARGEST)
    plain_ticks(axis, "x", [0, 1e-3, 0.1, 10])
    axis.grid()
