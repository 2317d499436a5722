"""Draws the main comparison of every estimator on every data set, under both protocols."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.study.table import read_table
from simbench_figures.palette import styles
from simbench_figures.paper import (
    DOUBLE,
    bars,
    finished,
    in_print,
    note,
    replicates_of,
    require,
    sheet,
)

SHOWS = (
    "How well every estimator recovers the preferences on each data set, under the published evaluation "
    "and an honest one."
)
NEEDS = (
    "studies of both protocols: simbench run --study twins-published --out DIR/twins-published, and the "
    "same with twins-honest"
)
STEPS = ("twins-published", "twins-honest")  # steps of the reproduction whose folders hold its data

PUBLISHED, HONEST = "published", "honest"
METRICS = {"r2": "R²", "mae": "MAE", "auroc": "AUROC"}  # RMSE is a function of R²
LOWEST_R2 = -1.5  # below it an estimator failed; how far does not matter


def read(folder: Path | Location) -> pd.DataFrame:
    """Read a results folder that holds both protocols, or the folder with the steps of the reproduction."""
    if (folder / "results.parquet").exists():
        return read_table(folder)
    tables = [read_table(folder / step) for step in STEPS]
    return pd.concat(tables, ignore_index=True)


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from a long results table with a column ``protocol``.

    Parameters
    ----------
    table : DataFrame
        What :func:`read` returns.

    Returns
    -------
    Figure
        A column of panels per world and a row per metric. An estimator's filled mark is the honest protocol,
        its hollow mark the published one.

    Raises
    ------
    BadInput
        If the metrics of the published evaluation, or one of the protocols, are missing.
    """
    require(table, "protocol")
    rows = finished(table, *METRICS)
    for protocol in (PUBLISHED, HONEST):
        if not (rows.protocol == protocol).any():
            raise BadInput(f"the table has no cell of protocol {protocol!r}: the comparison needs both.")
    rows = rows[rows.protocol.isin((PUBLISHED, HONEST))]
    # a published variant stands beside its namesake; with a few labels, an estimator is another one
    labelled = rows.knows.fillna("").str.contains("labels (", regex=False).map({True: ", labels", False: ""})
    rows = rows.assign(estimator=rows.estimator.str.split("@").str[0] + labelled)
    worlds = list(rows.world.unique())
    names = _ranked(rows)
    figure = sheet(DOUBLE, min(9.2, (0.115 * len(names) + 0.45) * len(METRICS) + 0.7))
    axes = figure.subplots(len(METRICS), len(worlds), squeeze=False, sharey=True)
    for line, (metric, title) in zip(axes, METRICS.items(), strict=True):
        for axis, world in zip(line, worlds, strict=True):
            _panel(axis, rows[(rows.world == world) & (rows.metric == metric)], names)
            axis.set_xlabel(title, labelpad=1)
            if metric == "r2":
                axis.set_xlim(left=max(axis.get_xlim()[0], LOWEST_R2))
                axis.set_title(_described(rows[rows.world == world], world))
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].set_ylim(len(names) - 0.4, -0.6)
    _key(figure)
    note(
        figure,
        f"{replicates_of(rows)}. R² below {LOWEST_R2:g} is not shown. In the order of the honest R², mean "
        "over data sets; under the published protocol an estimator is its published variant, where there is "
        "one. RMSE is a function of R².",
    )
    return figure


def _ranked(rows: pd.DataFrame) -> list[str]:
    """Estimators by their honest R², those without one at the end."""
    honest = rows[(rows.protocol == HONEST) & (rows.metric == "r2")]
    order = honest.groupby("estimator").value.mean().sort_values(ascending=False).index.tolist()
    return order + [name for name in rows.estimator.unique() if name not in order]


def _described(here: pd.DataFrame, world: str) -> str:
    sizes = sorted(here["size"].unique())
    return f"{world}\n{', '.join(f'{size:,}' for size in sizes)} responses"


def _panel(axis: Axes, here: pd.DataFrame, names: list[str]) -> None:
    style = styles(names)
    for protocol, shift in ((HONEST, -0.17), (PUBLISHED, 0.17)):
        part = here[here.protocol == protocol]
        for (name, _), row in part.groupby(["estimator", "knows"], sort=False):
            colour, marker = style[str(name)]
            place = [names.index(str(name)) + shift] * len(row)
            face = colour if protocol == HONEST else "white"
            looks: dict[str, Any] = {
                "color": colour,
                "marker": marker,
                "markerfacecolor": face,
                "linestyle": "",
            }
            axis.errorbar(row.value, place, xerr=bars(row), markersize=3, capsize=0, elinewidth=0.7, **looks)
    for place in range(len(names)):
        axis.axhline(place + 0.5, color="#eeeeee", linewidth=0.5, zorder=0)
    axis.grid(axis="x")


def _key(figure: Figure) -> None:
    marks = [
        Line2D(
            [], [], marker="o", linestyle="", color="#555555", markerfacecolor=face, label=f"{name} protocol"
        )
        for name, face in ((HONEST, "#555555"), (PUBLISHED, "white"))
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=2)
