"""Draws the map of identification, the reward's error by what is known and in which world."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from simbench.errors import BadInput
from simbench_figures.palette import on
from simbench_figures.paper import DOUBLE, in_print, note, plain_ticks, replicates_of, sheet

SHOWS = "What must be known beside the log for a reward to be found, and how far off it is otherwise."
NEEDS = "a study over grants and worlds: simbench run --study identification --out DIR"
STEPS = ("identification",)  # steps of the reproduction whose folders hold its data

KNOWLEDGE = (
    "nothing",
    "labels (0.001)",
    "action rate",
    "class prior",
    "labels (0.01)",
    "labels (0.05)",
    "always acts",
    "2 exposures",
    "4 exposures",
    "2 signals",
    "3 signals",
    "propensity (estimated)",
    "propensity",
)
SMALLEST, LARGEST = 0.05, 0.5  # RMSE, of the colours
SHADES = colormaps["Blues"]
COLUMN = ["base", "bias_level", "size", "protocol"]
MOST_COLUMNS = 7  # side by side; letters of a cell need the room
HEIGHT = 0.46  # inches a row: three lines of letters


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from a long results table.

    Parameters
    ----------
    table : DataFrame
        Worlds are named ``base`` or ``base-variant``; a variant logs what the base does not, and gives a row.

    Returns
    -------
    Figure
        Rows are what was known, with the estimator if several knew the same; columns are worlds and bias
        levels. A cell holds the RMSE with its interval, the share of logs whose restarts disagree, and the
        share of swapped rewards.

    Raises
    ------
    BadInput
        If no cell of the study says what its estimator was told.
    """
    finished = table[(table.status == "ok") & (table.estimator != "oracle")]
    if not (finished.metric == "mse").any():
        raise BadInput("this study has no mean squared error of an estimator: there is nothing to map.")
    cells = _cells(finished)
    rows = _rows(cells)
    columns = list(
        cells[COLUMN].drop_duplicates().sort_values("bias_level").itertuples(index=False, name=None)
    )
    bases = list(cells.base.unique())
    columns.sort(key=lambda column: bases.index(column[0]))
    each = -(-len(columns) // -(-len(columns) // MOST_COLUMNS))
    parts = [columns[start : start + each] for start in range(0, len(columns), each)]
    figure = sheet(DOUBLE, 0.75 + (0.45 + HEIGHT * len(rows)) * len(parts))
    axes = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
    images = [_fill(axis, cells, rows, part) for axis, part in zip(axes, parts, strict=True)]
    bar = figure.colorbar(images[0], ax=list(axes), pad=0.01, aspect=40)
    bar.set_label("RMSE of the reward (probability)")
    plain_ticks(bar.ax, "y", [0.05, 0.1, 0.2, 0.5])
    note(figure, _footnote(table))
    return figure


def _cells(ok: pd.DataFrame) -> pd.DataFrame:
    """One row per cell of the map; ``row`` is what was known, with the estimator if several knew it."""
    ok = ok.assign(protocol=ok.get("protocol", ""))
    index = ["world", "bias_level", "size", "protocol", "estimator", "knows"]
    wide = ok.pivot_table(index=index, columns="metric", values="value", sort=False).reset_index()
    cells = wide.merge(ok[ok.metric == "mse"][[*index, "low", "high"]], on=index).dropna(subset=["mse"])
    cells["base"] = cells.world.str.split("-").str[0]
    cells["knowledge"] = [
        _knowledge(world, knows) for world, knows in zip(cells.world, cells.knows, strict=True)
    ]
    variant = cells.world != cells.base
    cells = cells[~variant | cells.knowledge.str.contains("signals|exposures|always")]
    crowded = set(cells[cells.duplicated([*COLUMN, "knowledge"])].knowledge)
    several = cells.knowledge.isin(crowded)
    return cells.assign(row=cells.knowledge.where(~several, cells.knowledge + "\n" + cells.estimator))


def _rows(cells: pd.DataFrame) -> list[str]:
    """Rows of the map from the least known to the most; estimators in the order of the table."""
    known = [name for name in KNOWLEDGE if name in set(cells.knowledge)]
    known += sorted(set(cells.knowledge) - set(known))
    return [row for name in known for row in cells[cells.knowledge == name].row.unique()]


def _knowledge(world: str, knows: str) -> str:
    """What was told beyond the context that the log holds."""
    told = ", ".join(name for name in knows.split(", ") if name != "context") or "nothing"
    return told.replace("signals", "exposures") if "exposures" in world else told


def _fill(axis: Axes, cells: pd.DataFrame, rows: list[str], columns: list[tuple[Any, ...]]) -> AxesImage:
    shade = np.full((len(rows), len(columns)), np.nan)
    norm = LogNorm(SMALLEST, LARGEST, clip=True)
    for cell in cells.itertuples():
        column = (cell.base, cell.bias_level, cell.size, cell.protocol)
        if column not in columns:
            continue
        place = rows.index(cell.row), columns.index(column)
        rmse = float(np.sqrt(max(cell.mse, 0)))
        shade[place] = rmse
        colour = on(to_hex(SHADES(norm(rmse))))
        text = f"{_short(rmse)}{_interval(cell)}{_marks(cell)}"
        axis.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color=colour)
    image = axis.imshow(shade, cmap=SHADES, norm=norm, aspect="auto")
    axis.set_yticks(range(len(rows)), [_spelled(row) for row in rows])
    axis.set_xticks(range(len(columns)), [_titled(column, cells) for column in columns])
    axis.xaxis.tick_top()
    axis.set_ylabel("known, beside the log")
    return image


def _titled(column: tuple[Any, ...], cells: pd.DataFrame) -> str:
    base, level, size, protocol = column
    lines = [base, f"bias level {level:g}"]
    lines += [f"{size:,} responses"] if cells["size"].nunique() > 1 else []
    return "\n".join([*lines, protocol] if cells.protocol.nunique() > 1 else lines)


def _interval(cell: Any) -> str:
    """Second line of a cell; empty if there is no interval, as with one replicate."""
    if np.isnan(cell.low) or np.isnan(cell.high):
        return ""
    low, high = np.sqrt(np.clip([cell.low, cell.high], 0, None))
    return f"\n[{_short(low)}, {_short(high)}]"


def _spelled(knowledge: str) -> str:
    """``"labels (0.01)"`` -> ``"labels of 1 %"``; signals and exposures in full."""
    if "\n" in knowledge:
        known, estimator = knowledge.split("\n")
        return f"{_spelled(known)}\n{estimator}"
    if knowledge.startswith("labels ("):
        return f"labels of {100 * float(knowledge[8:-1]):g} %"
    return {
        "nothing": "nothing",
        "always acts": "who always acts",
        "2 exposures": "2 users a response",
        "4 exposures": "4 users a response",
    }.get(knowledge, knowledge)


def _short(value: float) -> str:
    """``0.25`` -> ``.250``: narrow enough for a cell."""
    return f"{value:.3f}".removeprefix("0")


def _marks(cell: Any) -> str:
    """Last line of a cell, which names only what is amiss."""
    marks = []
    if getattr(cell, "restarts_disagree", 0) > 0:
        marks.append(f"≠{100 * cell.restarts_disagree:.0f}%")
    if getattr(cell, "swapped_share", 0) > 0:
        marks.append(f"⇄{100 * cell.swapped_share:.0f}%")
    return "\n" + " ".join(marks) if marks else ""


def _footnote(table: pd.DataFrame) -> str:
    sizes = ", ".join(f"{size:,}" for size in sorted(table["size"].unique()))
    return (
        f"{replicates_of(table, 'brackets:')}; {sizes} responses. "
        "≠: share of logs on which fits of equal held-out likelihood are over 0.2 apart (RMS). "
        "⇄: share of rewards ranked like the propensity. Empty: not tried. Context that moves the propensity "
        "is logged in exclusive and confounded, none in shared."
    )
