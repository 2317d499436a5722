"""Labels at the ends of curves, so that a curve hidden under another one is still found."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from simbench_figures.palette import ink
from simbench_figures.paper import SMALLEST_LETTERS

APART = 8.0  # points between two numbers, one above the other
SAME_END = 14.0  # points along x within which ends are one column of numbers
AWAY = 7.0  # points from the end of the curves to their numbers


def label_ends(axis: Axes, lines: dict[str, Line2D]) -> None:
    """Write a text at the right end of every line; texts that would overlap are moved up or down.

    The layout must be known, so call it after ``figure.draw_without_rendering()``.

    Parameters
    ----------
    axis : Axes
        Panel of the lines.
    lines : dict of Line2D
        The line of each text, with its data in ascending order.
    """
    points = 72 / axis.figure.dpi
    ends = {
        text: points * axis.transData.transform(np.column_stack(line.get_data())[-1])
        for text, line in lines.items()
    }
    box = axis.get_window_extent()
    bottom, top = points * box.y0 + SMALLEST_LETTERS / 2, points * box.y1 - SMALLEST_LETTERS / 2
    for column in _columns({text: float(end[0]) for text, end in ends.items()}):
        edge = max(ends[text][0] for text in column)
        heights = spread([float(ends[text][1]) for text in column], APART, (bottom, top))
        for text, height in zip(column, heights, strict=True):
            x, y = ends[text]
            _write(axis, text, lines[text], (edge + AWAY - x, height - y))


def spread(values: Sequence[float], apart: float, limits: tuple[float, float]) -> list[float]:
    """Move values as little as needed to be at least ``apart`` from each other, keeping their order.

    Parameters
    ----------
    values : sequence of float
        Where they would be best.
    apart : float
        Smallest distance.
    limits : (float, float)
        Lowest and highest place, observed if the values fit in between.
    """
    order = np.argsort(values, kind="stable")
    # with equal gaps taken out, places must only ascend: pool those that do not, at their mean
    groups: list[list[float]] = []
    for rank, index in enumerate(order):
        groups.append([values[index] - rank * apart])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    flat = np.array([float(np.mean(group)) for group in groups for _ in group])
    low, high = limits[0], limits[1] - (len(values) - 1) * apart
    found = np.clip(flat, low, max(low, high)) + apart * np.arange(len(values))
    places = np.empty(len(values))
    places[order] = found
    return places.tolist()


def _columns(ends: dict[str, float]) -> list[list[str]]:
    """Texts whose curves end at about the same x."""
    columns: list[list[str]] = []
    for text in sorted(ends, key=lambda text: ends[text]):
        if columns and ends[text] - ends[columns[-1][0]] < SAME_END:
            columns[-1].append(text)
        else:
            columns.append([text])
    return columns


def _write(axis: Axes, text: str, line: Line2D, away: tuple[float, float]) -> None:
    x, y = np.column_stack(line.get_data())[-1]
    colour = str(line.get_color())
    written = axis.annotate(
        text,
        (x, y),
        xytext=away,
        textcoords="offset points",
        fontsize=SMALLEST_LETTERS,
        color=ink(colour),
        ha="left",
        va="center",
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0},
    )
    written.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
