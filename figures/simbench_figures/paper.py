"""What all figures share: the sizes and letters of a two-column paper, legends, notes, intervals."""

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
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from simbench.errors import BadInput
from simbench_figures.palette import style

SINGLE, DOUBLE = 3.3, 6.9  # inches: one column, both
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
Arguments = ParamSpec("Arguments")


def in_print(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw with the letters and lines of a paper, and leave matplotlib's own settings as they were."""

    @wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Figure:
        with rc_context(STYLE):
            figure = draw(*arguments, **named)
            figure.draw_without_rendering()  # ticks are made here, not when the settings are gone
            return figure

    return drawn


def sheet(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))


def note(figure: Figure, text: str) -> None:
    """What a reader must know, under the figure."""
    width = int(figure.get_figwidth() * LETTERS_AN_INCH)
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, width)]
    figure.supxlabel("\n".join(lines), fontsize=SMALLEST_LETTERS, x=0.01, ha="left")


def legend(figure: Figure, axis: Axes, columns: int, title: str | None = None) -> None:
    """The labels of one panel, above all of them."""
    handles, labels = axis.get_legend_handles_labels()
    columns = min(columns, len(labels))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, title=title, columnspacing=1.2)


def bars(rows: pd.DataFrame) -> np.ndarray:
    """Lengths of the interval below and above the value, shape (2, n); 0 where there is no interval."""
    below, above = rows.value - rows.low, rows.high - rows.value
    return np.nan_to_num(np.stack([below, above]).clip(min=0))


def finished(table: pd.DataFrame, *metrics: str) -> pd.DataFrame:
    """Rows of these metrics of the cells that finished.

    Raises
    ------
    BadInput
        Naming the first metric that no cell has.
    """
    rows = table[table.status == "ok"]
    for metric in metrics:
        if not (rows.metric == metric).any():
            raise BadInput(f"there is no metric {metric!r} in this study: it has nothing to draw of it.")
    return rows[rows.metric.isin(metrics)]


def require(table: pd.DataFrame, *columns: str) -> None:
    """Raise :class:`BadInput` naming the first column that a table lacks."""
    for column in columns:
        if column not in table:
            raise BadInput(f"the table has no column {column!r}, which this figure is drawn from.")


def with_told(rows: pd.DataFrame) -> pd.DataFrame:
    """A column ``who``: the estimator, and in brackets what it was told."""
    under: str | pd.Series = ""
    if "protocol" in rows and rows.protocol.nunique() > 1:
        under = ("; " + rows.protocol).where(rows.protocol != rows.knows, "")
    return rows.assign(who=rows.estimator + " (" + rows.knows + under + ")")


def looks(here: pd.DataFrame, who: str) -> dict[str, Any]:
    """Colour and marker of an estimator; the same one told something else is dashed and hollow."""
    name = here[here.who == who].estimator.iloc[0]
    colour, marker = style(name)
    variant = list(here[here.estimator == name].who.unique()).index(who)
    hollow = {} if variant == 0 else {"markerfacecolor": "white", "linestyle": ("--", ":")[variant % 2]}
    return {"color": colour, "marker": marker, **hollow}


def plain_ticks(axis: Axes, which: str, places: list[float]) -> None:
    """Ticks as plain numbers: powers of ten would be set in letters too small to print."""
    ruler = axis.xaxis if which == "x" else axis.yaxis
    ruler.set_major_locator(FixedLocator(places))
    ruler.set_minor_locator(NullLocator())
    ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def replicates_of(table: pd.DataFrame) -> str:
    """``"20 replicates"``; a range where cells differ."""
    low, high = int(table.n_replicates.min()), int(table.n_replicates.max())
    return f"{low} replicates" if low == high else f"{low} to {high} replicates"
