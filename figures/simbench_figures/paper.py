"""What all figures share: sizes and fonts for a two-column paper, legends, notes and intervals."""

import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from simbench.errors import BadInput
from simbench.score.estimate import FEWEST
from simbench_figures.palette import styles

SINGLE, DOUBLE = 3.3, 6.9  # inches: one column, both
TALLEST = 9.2  # inches: a page
SMALLEST_LETTERS = 7  # points, in print
LETTERS_AN_INCH = 19  # of the notes
STYLE: Any = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 4,
    "errorbar.capsize": 1.5,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.3,
    "pdf.fonttype": 42,  # letters stay letters
    "savefig.dpi": 300,
}
BROKEN = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))  # lines of an estimator that was told something else
Arguments = ParamSpec("Arguments")


def in_print(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Decorate ``draw`` to use the fonts and lines of a paper, and restore matplotlib's own settings."""

    @wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Figure:
        with rc_context(STYLE):
            figure = draw(*arguments, **named)
            figure.draw_without_rendering()  # ticks are made here, not when the settings are gone
            return figure

    return drawn


def sheet(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, whose layout keeps its parts from overlapping."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))


def wrapped(text: str, width: float) -> str:
    """Break the text of a note into lines that fit a width in inches."""
    letters = int(width * LETTERS_AN_INCH)
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, letters))


def note(figure: Figure, text: str) -> None:
    """Write what a reader must know under the figure."""
    lines = wrapped(text, figure.get_figwidth())
    figure.supxlabel(lines, fontsize=SMALLEST_LETTERS, x=0.01, ha="left")


def legend(figure: Figure, columns: int) -> Legend:
    """Draw a legend above the panels, with the labels of all of them, each once."""
    found = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = min(columns, len(found))
    return figure.legend(
        list(found.values()), list(found), loc="outside upper center", ncols=columns, columnspacing=1.2
    )


def bars(rows: pd.DataFrame) -> np.ndarray:
    """Return the lengths of the interval below and above the value, shape (2, n).

    A length is 0 if there is no interval, or if the interval does not reach the value on that side.
    """
    below, above = rows.value - rows.low, rows.high - rows.value
    return np.nan_to_num(np.stack([below, above]).clip(min=0))


def finished(table: pd.DataFrame, *metrics: str) -> pd.DataFrame:
    """Return the rows of these metrics, of the cells that finished.

    Raises
    ------
    BadInput
        Naming the first metric that no cell has.
    """
    rows = table[table.status == "ok"]
    for metric in metrics:
        if not (rows.metric == metric).any():
            raise BadInput(f"this study has no metric {metric!r}, so there is nothing to draw.")
    return rows[rows.metric.isin(metrics)]


def require(table: pd.DataFrame, *columns: str) -> None:
    """Raise unless the table has these columns.

    Raises
    ------
    BadInput
        Naming the first column that is missing.
    """
    for column in columns:
        if column not in table:
            raise BadInput(f"the table has no column {column!r}, which this figure needs.")


def with_told(rows: pd.DataFrame) -> pd.DataFrame:
    """Add columns ``who`` (the estimator, with what it was told in brackets), ``colour`` and ``marker``."""
    under: str | pd.Series = ""
    if "protocol" in rows and rows.protocol.nunique() > 1:
        under = ("; " + rows.protocol).where(rows.protocol != rows.knows, "")
    style = styles(rows.estimator)
    return rows.assign(
        who=rows.estimator + " (" + rows.knows + under + ")",
        colour=[style[name][0] for name in rows.estimator],
        marker=[style[name][1] for name in rows.estimator],
    )


def looks(here: pd.DataFrame, who: str) -> dict[str, Any]:
    """Return the keywords that draw a ``who`` of :func:`with_told` in its colour and marker.

    An estimator that was told something else is drawn hollow and dashed.
    """
    first = here[here.who == who].iloc[0]
    variant = list(here[here.estimator == first.estimator].who.unique()).index(who)
    hollow = {"markerfacecolor": "white", "linestyle": BROKEN[(variant - 1) % len(BROKEN)]} if variant else {}
    return {"color": first.colour, "marker": first.marker, **hollow}


def plain_ticks(axis: Axes, which: str, places: list[float]) -> None:
    """Label the ticks with plain numbers, since powers of ten would be too small to print."""
    ruler = axis.xaxis if which == "x" else axis.yaxis
    ruler.set_major_locator(FixedLocator(places))
    ruler.set_minor_locator(NullLocator())
    ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def replicates_of(table: pd.DataFrame, marks: str = "bars:") -> str:
    """Return a text like ``"5 worlds x 8 replicates, bars: intervals over worlds"``; a range if cells differ.

    Parameters
    ----------
    table : DataFrame
        With a column ``n_replicates``, and ``n_worlds`` unless it is of one drawn world.
    marks : str
        What shows the intervals, written before what they are.
    """
    low, high = int(table.n_replicates.min()), int(table.n_replicates.max())
    if high == 1:
        return "1 replicate: there are no intervals"
    number = f"{low} replicates" if low == high else f"{low} to {high} replicates"
    worlds = int(table.n_worlds.max()) if "n_worlds" in table else 1
    if worlds > 1:
        return f"{worlds} drawn worlds x {number}, {marks} 95 % intervals over worlds"
    alone = f", none below {FEWEST}" if low < FEWEST else ""
    return f"{number} of one drawn world, {marks} 95 % intervals, conditional on that world{alone}"


def moments(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of bias² and variance, of the cells that finished.

    Raises
    ------
    BadInput
        If there are none, or none has several replicates.
    """
    rows = table[(table.status == "ok") & table.metric.isin(["bias2", "variance"])]
    if rows.empty:
        raise BadInput("no cell of this study finished with a bias: there is nothing to draw.")
    rows = rows.dropna(subset=["value"])
    if rows.empty:
        raise BadInput(
            "one replicate shows neither bias nor variance: use simbench run --replicates 2 or more."
        )
    return rows
