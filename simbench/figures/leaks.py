"""The worth of each leak: what an estimator loses when one leak of the published protocol is closed."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench.figures.palette import style
from simbench.figures.paper import DOUBLE, finished, in_print, legend, note, replicates_of, require, sheet

PUBLISHED, HONEST, WITHOUT = "published", "honest", "published without "
METRICS = {"r2": "R² with the leak less R² without it", "auroc": "AUROC with it less AUROC without it"}
ALL = "all of them (honest)"


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Figure of a long results table with a column ``protocol``.

    Returns
    -------
    Figure
        A row a leak, a panel a metric, for each world; a mark an estimator.

    Raises
    ------
    BadInput
        If there is no run under the published protocol, or none with a leak closed.
    """
    require(table, "protocol")
    rows = finished(table, *METRICS)
    worth = worth_of_leaks(rows)
    leaks, worlds = list(worth.leak.unique()), list(worth.world.unique())
    names = list(worth.estimator.unique())
    legend_height = 0.14 * -(-len(names) // 4)
    panel = 0.3 + len(leaks) * max(0.22, 0.055 * len(names))
    figure = sheet(DOUBLE, min(9.2, panel * len(worlds) + legend_height + 0.9))
    axes = figure.subplots(len(worlds), len(METRICS), squeeze=False, sharey=True)
    for line, world in zip(axes, worlds, strict=True):
        for axis, (metric, title) in zip(line, METRICS.items(), strict=True):
            _panel(axis, worth[(worth.world == world) & (worth.metric == metric)], leaks, names)
            axis.set_title(world)
            axis.set_xlabel(title)
    axes[0][0].set_yticks(range(len(leaks)), leaks)
    axes[0][0].set_ylim(len(leaks) - 0.5, -0.5)
    legend(figure, axes[0][0], 4)
    note(
        figure,
        f"{replicates_of(rows)}. Each leak closed alone, all others open; right of 0: the leak flatters. "
        f"Bars add the "
        "intervals of both runs in quadrature; the runs share their logs, so that the true intervals are "
        "narrower "
        "where the two move together.",
    )
    return figure


def worth_of_leaks(rows: pd.DataFrame) -> pd.DataFrame:
    """Published less published-without, per world, estimator and metric.

    Parameters
    ----------
    rows : DataFrame
        Long results of protocols ``published``, ``published without X`` and ``honest``.

    Returns
    -------
    DataFrame
        Columns ``world, estimator, metric, leak, value, low, high``.
    """
    at = ["world", "size", "bias_level", "estimator", "metric"]
    open_ = rows[rows.protocol == PUBLISHED]
    closed = rows[rows.protocol.str.startswith(WITHOUT) | (rows.protocol == HONEST)]
    if open_.empty:
        raise BadInput(f"the table has no cell of protocol {PUBLISHED!r}: the leaks are measured against it.")
    if closed.empty:
        raise BadInput(f"the table has no cell of a protocol {WITHOUT + 'X'!r}: no leak was closed.")
    both = open_.merge(closed, on=at, suffixes=("", "_without"))
    value = both.value - both.value_without
    below = np.hypot(both.value - both.low, both.high_without - both.value_without)
    above = np.hypot(both.high - both.value, both.value_without - both.low_without)
    leak = both.protocol_without.str.removeprefix(WITHOUT).replace(HONEST, ALL)
    return both[at].assign(leak=leak, value=value, low=value - below, high=value + above)


def _panel(axis: Axes, here: pd.DataFrame, leaks: list[str], names: list[str]) -> None:
    for number, name in enumerate(names):
        part = here[here.estimator == name]
        colour, marker = style(name)
        shift = (number - (len(names) - 1) / 2) * 0.8 / len(names)
        place = [leaks.index(leak) + shift for leak in part.leak]
        reach = np.nan_to_num(np.stack([part.value - part.low, part.high - part.value]).clip(min=0))
        looks: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "", "label": name}
        axis.errorbar(part.value, place, xerr=reach, markersize=3, capsize=0, elinewidth=0.7, **looks)
    for place in range(len(leaks) - 1):
        axis.axhline(place + 0.5, color="#dddddd", linewidth=0.5, zorder=0)
    axis.axvline(0, color="#888888", linewidth=0.8, zorder=0)
    axis.grid(axis="x")
