"""Draws all estimators in the plane of bias² against variance, a panel a situation and what was told."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simbench_figures.names_in_panels import Box, Spot, needs_leader, place_names, place_numbers
from simbench_figures.palette import Style, ink, styles
from simbench_figures.paper import (
    DOUBLE,
    SMALLEST_LETTERS,
    in_print,
    moments,
    plain_ticks,
    replicates_of,
    wrapped,
)
from simbench_figures.plane_grid import LINE, Grid, arranged

SHOWS = "Who pays with bias and who with variance, among those who were told the same."
NEEDS = (
    "a study of many estimators in a few situations: "
    "simbench run --estimators all --world exclusive,shared --bias-level 2 --out DIR"
)
STEPS = ("bias-level",)  # steps of the reproduction whose folders hold its data

# from the most to the least that can be told; the first of them that an estimator was told is its row
TOLD = ("truth", "labels", "propensity", "class prior", "action rate", "always acts", "misclick", "context")
SITUATION = ["world", "protocol", "size", "bias_level"]
FLOOR = 1e-5  # smaller estimates are drawn on it, hollow
EQUAL_MSE = (0.003, 0.01, 0.03, 0.1)
TICKS = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1)
FINE_TICKS = tuple(digit * 10.0**power for power in range(-5, 0) for digit in (1, 2, 5))
KEY_COLUMNS = 4
MEASURES = {"bias2": "x", "variance": "y"}


@dataclass(frozen=True)
class Panel:
    """The content of a panel: a row per mark, where the marks are, and the names that have room."""

    rows: pd.DataFrame
    spots: list[Spot]
    names: dict[str, Box]


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
        A column of panels per situation and a row per knowledge that was told, with the oracle in all of
        them, on the same log axes. Names stand beside their marks where there is room, numbers with a key
        elsewhere.

    Raises
    ------
    BadInput
        If no cell finished, or none has several replicates.
    """
    rows = marks(table)
    told = _told_in(rows)
    heights = [0.8 + 0.085 * _most_marks(rows, what) for what in told]
    situations = list(rows.groupby(SITUATION, sort=False))
    grid = arranged(heights, len(situations))
    shown = situations[: grid.situations]
    limits = (FLOOR * 0.6, 1.3), (rows.y_low.min() / 1.3, rows.y_high.max() * 1.3)
    panels = {
        (line, column): panel_of(here[here.told.isin([what, "truth"])], grid.points(line), limits)
        for column, (_, here) in enumerate(shown)
        for line, what in enumerate(told)
    }
    numbers = _numbers(panels.values())
    notes = _notes(table, hidden=len(situations) - len(shown))
    under = LINE * (notes.count("\n") + 1) + 0.16 * -(-len(numbers) // KEY_COLUMNS) + 0.12
    figure = Figure(figsize=(DOUBLE, grid.height + under))
    style = styles(rows.estimator)
    for (line, column), panel in panels.items():
        axis = figure.add_axes(grid.place(line, column, under))
        axis.set(xscale="log", yscale="log", xlim=limits[0], ylim=limits[1])
        _mark(axis, panel.rows, style)
        _label(axis, panel, style, numbers, grid.points(line))
        _frame(axis, grid, line, column, told[line])
        if line == 0:
            axis.set_title(_titled(shown[column][0], rows))
    figure.supylabel("variance (squared probability)", x=0.01, fontsize=rcParams["axes.labelsize"])
    _key(figure, rows, style, numbers, notes)
    return figure


def marks(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per mark: ``x, y`` with ``_low`` and ``_high``, ``told`` (its row of panels), ``label``.

    Every interval is extended to hold its value, which it may miss with few replicates.
    """
    index = [*SITUATION, "estimator", "knows"]
    wide = moments(table.assign(protocol=table.get("protocol", ""))).pivot_table(
        index=index, columns="metric", values=["value", "low", "high"], sort=False, dropna=False
    )
    wide = wide.dropna(subset=[("value", metric) for metric in MEASURES])
    found = wide.index.to_frame(index=False)
    for metric, axis in MEASURES.items():
        value = wide["value", metric].to_numpy()
        found[axis] = value.clip(FLOOR)
        for side, outermost in (("low", np.fmin), ("high", np.fmax)):
            bound = wide[side, metric].to_numpy() if (side, metric) in wide else np.full_like(value, np.nan)
            found[f"{axis}_{side}"] = outermost(bound, value).clip(FLOOR)
    found["hollow"] = (found.x <= FLOOR) | (found.y <= FLOOR)
    found["told"] = found.knows.map(strongest)
    twice = found.duplicated([*SITUATION, "told", "estimator"], keep=False)
    found["label"] = found.estimator.where(~twice, found.estimator + " (" + found.knows + ")")
    return found


def strongest(knows: str) -> str:
    """Return the strongest knowledge an estimator was told, as it was granted: ``propensity (estimated)``."""
    told = knows.split(", ")
    for what in TOLD:
        for item in told:
            if item.startswith(what):
                return item
    return told[0] or "nothing"


def _told_in(rows: pd.DataFrame) -> list[str]:
    """Rows of panels, from the least told to the most; the oracle has a row only if it is alone."""
    there = [what for what in rows.told.unique() if what != "truth"] or ["truth"]
    order = [*reversed(TOLD)]
    place = {what: next((i for i, known in enumerate(order) if what.startswith(known)), -1) for what in there}
    return sorted(there, key=lambda what: (what != "nothing", place[what], what))


def _most_marks(rows: pd.DataFrame, what: str) -> int:
    return int(rows[rows.told == what].groupby(SITUATION).size().max())


def panel_of(
    rows: pd.DataFrame, size: tuple[float, float], limits: tuple[tuple[float, float], tuple[float, float]]
) -> Panel:
    """Place the marks and names of a panel.

    Parameters
    ----------
    rows : DataFrame
        Rows of :func:`marks`.
    size : (float, float)
        Width and height of the panel in points.
    limits : ((float, float), (float, float))
        Limits of its x axis and of its y axis.
    """

    def at(values: pd.Series, axis: int) -> np.ndarray:
        low, high = limits[axis]
        return size[axis] * np.log(values / low).to_numpy() / np.log(high / low)

    x, y = at(rows.x, 0), at(rows.y, 1)
    bars = zip(at(rows.x_low, 0), at(rows.y_low, 1), at(rows.x_high, 0), at(rows.y_high, 1), strict=True)
    found = zip(rows.label, x, y, bars, strict=True)
    spots = [Spot(label, across, up, Box(*ends)) for label, across, up, ends in found]
    return Panel(rows, spots, place_names(spots, size))


def _numbers(panels: Iterable[Panel]) -> dict[str, int]:
    """A number for every label that has no room in one of the panels, in alphabetical order."""
    without = {spot.label for panel in panels for spot in panel.spots if spot.label not in panel.names}
    return {label: number for number, label in enumerate(sorted(without), start=1)}


def _mark(axis: Axes, rows: pd.DataFrame, style: dict[str, Style]) -> None:
    for row in rows.itertuples():
        colour, marker = style[row.estimator]
        axis.errorbar(
            [row.x],
            [row.y],
            xerr=[[row.x - row.x_low], [row.x_high - row.x]],
            yerr=[[row.y - row.y_low], [row.y_high - row.y]],
            color=colour,
            marker=marker,
            markerfacecolor="white" if row.hollow else colour,
            elinewidth=0.6,
            capsize=0,
        )
    (x_low, x_high), (y_low, y_high) = axis.get_xlim(), axis.get_ylim()
    for mse in EQUAL_MSE:
        x = np.geomspace(x_low, min(mse * 0.999, x_high), 200)
        inside = (mse - x > y_low) & (mse - x < y_high)
        axis.plot(x[inside], (mse - x)[inside], ":", color="#aaaaaa", linewidth=0.8, zorder=0)


def _label(
    axis: Axes, panel: Panel, style: dict[str, Style], numbers: dict[str, int], size: tuple[float, float]
) -> None:
    """Names and numbers; those away from their marks are joined to them by a line."""
    boxes = panel.names | place_numbers(panel.spots, numbers, panel.names, size)
    colours = dict(zip(panel.rows.label, (style[name][0] for name in panel.rows.estimator), strict=True))
    for spot in panel.spots:
        box, text = boxes[spot.label], spot.label
        if text not in panel.names:
            text = str(numbers[text])
        middle = ((box.left + box.right) / 2 / size[0], (box.bottom + box.top) / 2 / size[1])
        place: Any = {
            "xycoords": "axes fraction",
            "textcoords": "axes fraction",
            "ha": "center",
            "va": "center",
        }
        line = {"arrowstyle": "-", "color": colours[spot.label], "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        axis.annotate(
            text,
            (spot.x / size[0], spot.y / size[1]),
            xytext=middle,
            fontsize=SMALLEST_LETTERS,
            color=ink(colours[spot.label]),
            arrowprops=line if needs_leader(spot, box) else None,
            **place,
        )


def _frame(axis: Axes, grid: Grid, line: int, column: int, told: str) -> None:
    """Ticks on every panel, with numbers only on the outer ones, and what was told on the right."""
    plain_ticks(axis, "x", [1e-4, 1e-2, 1])
    low, high = axis.get_ylim()
    ticks = TICKS if high > 50 * low else FINE_TICKS
    plain_ticks(axis, "y", [tick for tick in ticks if low < tick < high])
    axis.grid()
    lowest = line == len(grid.heights) - 1
    axis.tick_params(labelbottom=lowest, labelleft=grid.is_first(column))
    if lowest:
        axis.set_xlabel("bias² (squared probability)", labelpad=1)
    if grid.is_last(column):
        axis.annotate(
            f"told {told}",
            (1, 0.5),
            xytext=(3, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            rotation=270,
            ha="left",
            va="center",
            fontsize=SMALLEST_LETTERS,
            fontweight="bold",
        )


def _titled(situation: tuple[Any, ...], rows: pd.DataFrame) -> str:
    world, protocol, size, level = situation
    under = f", {protocol} protocol" if rows.protocol.nunique() > 1 else ""
    return f"{world}, bias level {level:g}{under}\n{size:,} responses"


def _notes(table: pd.DataFrame, hidden: int) -> str:
    joined = ", ".join(f"{mse:g}" for mse in EQUAL_MSE)
    text = (
        f"Down and left is better. {replicates_of(table)}. Dotted: equal MSE ({joined}). Hollow, on the "
        f"edge: {FLOOR:g} or less; the unbiased estimate of bias² may fall below 0. The oracle stands in "
        "every panel."
    )
    if hidden:
        text += f" {hidden} more situations have no room on this page."
    return wrapped(text, DOUBLE)


def _key(
    figure: Figure, rows: pd.DataFrame, style: dict[str, Style], numbers: dict[str, int], notes: str
) -> None:
    """The names that the numbers stand for, and below them what a reader must know."""
    height = figure.get_figheight()
    figure.text(0.01, 0.05 / height, notes, fontsize=SMALLEST_LETTERS, va="bottom", linespacing=1.2)
    estimators = dict(zip(rows.label, rows.estimator, strict=True))
    handles = []
    for label, number in numbers.items():
        colour, marker = style[estimators[label]]
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", label=f"{number} {label}"))
    if handles:
        above = (LINE * (notes.count("\n") + 1) + 0.06) / height
        anchor = {"loc": "lower left", "bbox_to_anchor": (0.0, above), "borderaxespad": 0.0}
        figure.legend(handles=handles, ncols=min(KEY_COLUMNS, len(handles)), **anchor)
