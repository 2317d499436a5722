"""The map of identification: what is known against worlds; the reward's error; do restarts agree?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench_figures.paper import DOUBLE, in_print, note, plain_ticks, replicates_of, sheet

STEPS = ("identification",)  # of the reproduction, whose folders hold what it shows

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
LIGHT_BELOW = 0.24  # RMSE at which text turns from dark on light to light on dark


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Figure of a long results table.

    Parameters
    ----------
    table : DataFrame
        Worlds named ``base`` or ``base-variant``: a variant logs what the base does not, and gives a row.

    Returns
    -------
    Figure
        Rows are knowledge, columns worlds and bias levels; a cell holds the RMSE with its interval, the share
        of logs whose restarts disagree, and the share of swapped rewards.

    Raises
    ------
    BadInput
        If no cell of the study says what its estimator was told.
    """
    finished = table[(table.status == "ok") & (table.estimator != "oracle")]
    if not (finished.metric == "mse").any():
        raise BadInput("this study has no mean squared error of an estimator: there is nothing to map.")
    cells = _cells(finished)
    rows = [name for name in KNOWLEDGE if name in set(cells.knowledge)]
    rows += sorted(set(cells.knowledge) - set(rows))
    levels = sorted(cells.bias_level.unique())
    there = set(zip(cells.base, cells.bias_level, strict=True))
    columns = [(base, level) for base in cells.base.unique() for level in levels if (base, level) in there]
    figure = sheet(DOUBLE, 1.2 + 0.46 * len(rows))
    axis = figure.subplots()
    _fill(axis, cells, rows, columns)
    note(figure, _footnote(table))
    return figure


def _cells(ok: pd.DataFrame) -> pd.DataFrame:
    """One row a cell of the map."""
    index = ["world", "bias_level", "estimator", "knows"]
    wide = ok.pivot_table(index=index, columns="metric", values="value", sort=False).reset_index()
    bounds = ok[ok.metric == "mse"][[*index, "low", "high"]]
    cells = wide.merge(bounds, on=index)
    cells["base"] = cells.world.str.split("-").str[0]
    cells["knowledge"] = [
        _knowledge(world, knows) for world, knows in zip(cells.world, cells.knows, strict=True)
    ]
    variant = cells.world != cells.base
    return cells[~variant | cells.knowledge.str.contains("signals|exposures|always")]


def _knowledge(world: str, knows: str) -> str:
    """What was told beyond the context that the log holds."""
    told = ", ".join(name for name in knows.split(", ") if name != "context") or "nothing"
    return told.replace("signals", "exposures") if "exposures" in world else told


def _fill(axis: Axes, cells: pd.DataFrame, rows: list[str], columns: list[tuple[str, float]]) -> None:
    shade = np.full((len(rows), len(columns)), np.nan)
    for cell in cells.itertuples():
        place = rows.index(cell.knowledge), columns.index((cell.base, cell.bias_level))
        rmse, low, high = np.sqrt(np.clip([cell.mse, cell.low, cell.high], 0, None))
        shade[place] = rmse
        colour = "black" if rmse < LIGHT_BELOW else "white"
        text = f"{_short(rmse)}\n[{_short(low)}, {_short(high)}]{_marks(cell)}"
        axis.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color=colour)
    image = axis.imshow(shade, cmap="Blues", norm=LogNorm(SMALLEST, LARGEST), aspect="auto")
    bar = axis.figure.colorbar(image, ax=axis, pad=0.01, aspect=40)
    bar.set_label("RMSE of the reward (probability)")
    plain_ticks(bar.ax, "y", [0.05, 0.1, 0.2, 0.5])
    axis.set_yticks(range(len(rows)), [_spelled(row) for row in rows])
    axis.set_xticks(range(len(columns)), [f"{base}\nbias level {level:g}" for base, level in columns])
    axis.xaxis.tick_top()
    axis.set_ylabel("known, beside the log")


def _spelled(knowledge: str) -> str:
    """``"labels (0.01)"`` -> ``"labels of 1 %"``; signals and exposures in full."""
    if knowledge.startswith("labels ("):
        return f"labels of {100 * float(knowledge[8:-1]):g} %"
    return {
        "nothing": "nothing",
        "always acts": "who always acts (5 %)",
        "2 exposures": "2 users a response",
        "4 exposures": "4 users a response",
    }.get(knowledge, knowledge)


def _short(value: float) -> str:
    """``0.25`` -> ``.250``: narrow enough for a cell."""
    return f"{value:.3f}".removeprefix("0")


def _marks(cell) -> str:
    """Last line of a cell: only what is amiss."""
    marks = []
    if getattr(cell, "restarts_disagree", 0) > 0:
        marks.append(f"≠{100 * cell.restarts_disagree:.0f}%")
    if getattr(cell, "swapped_share", 0) > 0:
        marks.append(f"⇄{100 * cell.swapped_share:.0f}%")
    return "\n" + " ".join(marks) if marks else ""


def _footnote(table: pd.DataFrame) -> str:
    return (
        f"{replicates_of(table)}, {int(table['size'].iloc[0]):,} responses. Brackets: interval by "
        f"bootstrap over "
        "replicates. ≠: share of logs on which fits of equal held-out likelihood are over 0.2 apart (RMS). "
        "⇄: share of rewards ranked like the propensity. Empty: not tried. Context that moves the propensity "
        "is logged in exclusive and confounded, none in shared."
    )
