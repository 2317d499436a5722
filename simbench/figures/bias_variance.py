"""Bias² and variance of the fitted reward, per estimator, against the bias level."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from simbench.errors import BadInput
from simbench.figures.palette import style

PANELS = {"bias2": "bias² of the reward", "variance": "variance of the reward"}
LINEAR_BELOW = 1e-4  # the unbiased estimate of bias² may be negative: linear around 0, then log


def draw(table: pd.DataFrame) -> Figure:
    """Figure of a long results table.

    Parameters
    ----------
    table : DataFrame
        As :func:`simbench.results.table` makes it.

    Returns
    -------
    Figure
        One row of panels per world and size. Curves over the bias level; with a single level, dots.

    Raises
    ------
    BadInput
        If no cell finished.
    """
    finished = table[(table.status == "ok") & table.metric.isin(list(PANELS))]
    finished = finished.assign(who=finished.estimator + " (told: " + finished.knows + ")")
    if finished.empty:
        raise BadInput("no cell of this study finished: there is nothing to draw.")
    situations = list(finished.groupby(["world", "size"], sort=False))
    single = finished.bias_level.nunique() == 1
    height = (0.32 * finished.who.nunique() + 1.6) if single else 3.6
    figure = Figure(figsize=(10, height * len(situations) + 0.5), layout="constrained")
    axes = figure.subplots(len(situations), 2, squeeze=False, sharey="row" if single else False)
    for row, ((world, size), here) in zip(axes, situations, strict=True):
        for axis, (metric, title) in zip(row, PANELS.items(), strict=True):
            part = here[here.metric == metric]
            (_dots if single else _curves)(axis, part, here)
            level = f", bias level {here.bias_level.iloc[0]:g}" if single else ""
            axis.set_title(f"{title}\n{world}{level}, {size:,} responses", fontsize=10)
    if not single:
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    figure.supxlabel(_footnote(table), fontsize=8, x=0.01, ha="left")
    return figure


def _looks(here: pd.DataFrame, who: str) -> dict[str, Any]:
    """Colour and marker of the estimator; those told the same thing less well are dashed and hollow."""
    names = here[here.who == who].estimator
    colour, marker = style(names.iloc[0])
    variant = list(here[here.estimator == names.iloc[0]].who.unique()).index(who)
    hollow = {} if variant == 0 else {"markerfacecolor": "white", "linestyle": ("--", ":")[variant % 2]}
    return {"color": colour, "marker": marker, **hollow}


def _dots(axis: Axes, part: pd.DataFrame, here: pd.DataFrame) -> None:
    """Estimators from top to bottom by bias², with interval bars."""
    order = here[here.metric == "bias2"].sort_values("value").who.tolist()
    for place, name in enumerate(order):
        rows = part[part.who == name]
        bars = _bars(rows)
        axis.errorbar(rows.value, [place], xerr=bars, capsize=3, markersize=6, **_looks(here, name))
    axis.set_yticks(range(len(order)), order, fontsize=8)
    if not axis.yaxis_inverted():
        axis.invert_yaxis()
    axis.set_xlabel("squared probability", fontsize=8)
    _scale(axis, "x", part)
    axis.grid(axis="x", alpha=0.3)


def _curves(axis: Axes, part: pd.DataFrame, here: pd.DataFrame) -> None:
    names = list(here.who.unique())
    levels = np.sort(part.bias_level.unique())
    step = np.diff(levels).min() / (2.5 * len(names)) if len(levels) > 1 else 0.0
    for number, name in enumerate(names):
        rows = part[part.who == name].sort_values("bias_level")
        x = rows.bias_level + (number - (len(names) - 1) / 2) * step  # side by side, not on top
        axis.errorbar(
            x,
            rows.value,
            yerr=_bars(rows),
            label=name,
            **_looks(here, name),
            capsize=2,
            markersize=5,
            linewidth=1.1,
        )
    axis.set_xticks(levels)
    axis.set_xlabel("bias level λ (dodged for legibility)", fontsize=8)
    axis.set_ylabel("squared probability", fontsize=8)
    _scale(axis, "y", part)
    axis.grid(alpha=0.3)


def _bars(rows: pd.DataFrame) -> np.ndarray:
    below, above = rows.value - rows.low, rows.high - rows.value
    return np.nan_to_num(np.stack([below, above]).clip(min=0))


def _scale(axis: Axes, which: str, part: pd.DataFrame) -> None:
    """Log above 1e-4, linear below, with a tick at 0: bias² may be estimated below 0."""
    highest = float(np.nanmax(part[["value", "high"]].to_numpy()))
    lowest = min(0.0, float(np.nanmin(part[["value", "low"]].to_numpy())))
    set_scale = axis.set_xscale if which == "x" else axis.set_yscale
    set_scale("symlog", linthresh=LINEAR_BELOW, linscale=0.4)
    set_limits = axis.set_xlim if which == "x" else axis.set_ylim
    set_limits(min(lowest * 1.5, -0.3 * LINEAR_BELOW), max(highest * 1.6, 10 * LINEAR_BELOW))
    ruler = axis.xaxis if which == "x" else axis.yaxis
    ruler.set_major_locator(FixedLocator([0, 1e-4, 1e-3, 1e-2, 1e-1, 1]))
    ruler.set_minor_locator(NullLocator())
    ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ruler.set_tick_params(labelsize=8)


def _footnote(table: pd.DataFrame) -> str:
    replicates = int(table.n_replicates.iloc[0])
    lines = [
        f"{replicates} replicates; bars are the study's bootstrap intervals over replicates. "
        "Axis is linear below 0.0001: the unbiased estimate of bias² may fall below 0."
    ]
    ended = table[table.status != "ok"].drop_duplicates(["estimator", "status"])
    lines += [f"{name}: {status}, {why}" for name, status, why in _reasons(ended)]
    return "\n".join(lines)


def _reasons(ended: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(ended.estimator, ended.status, ended.reason, strict=True))
