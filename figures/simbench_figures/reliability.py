"""Draws reliability diagrams, the true reward of responses against the reward that was fitted to them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.score.estimate import over_replicates
from simbench_figures.paper import (
    DOUBLE,
    bars,
    in_print,
    looks,
    note,
    replicates_of,
    require,
    sheet,
    with_told,
)

SHOWS = "Whether a fitted reward of .7 means that seven of ten responses are good, for every estimator."
NEEDS = (
    "any finished study with its shards: simbench run --bias-level 2 --out DIR; its first world at the "
    "highest bias level is drawn"
)
STEPS = ("bias-level",)  # steps of the reproduction whose folders hold its data

BINS = 10  # of equal mass, in every replicate
COLUMNS = 4
MOST_PANELS = 24  # on a page


def read(folder: Path | Location) -> pd.DataFrame:
    """Compute the bins of every finished cell of a study's first world, at its highest bias level.

    Returns
    -------
    DataFrame
        A row per estimator, what it was told, and bin: ``predicted`` (mean γ̂), ``value`` with ``low`` and
        ``high`` (mean γ there, with its interval over replicates).
    """
    from simbench.study.finished import read_study, situations
    from simbench.study.guests.kinds import find

    level = read_study(folder).level
    every = list(situations(folder))
    first = every[0][0].cell.world
    chosen = max(
        (cells for cells in every if cells[0].cell.world == first), key=lambda cells: cells[0].cell.bias_level
    )
    rows = []
    reward = chosen[0].cell.built().test.reward
    for found in chosen:
        cell = found.cell
        if find(cell.estimator).ranks_only:
            continue
        who = cell.columns | {"knows": found.facts["knows"], "n_replicates": cell.replicates}
        rows += [who | row for row in binned(found.predictions, reward, level)]
    return pd.DataFrame(rows)


def binned(predictions: np.ndarray, reward: np.ndarray, level: float) -> list[dict[str, float]]:
    """Return the mean prediction and the mean true reward in bins of equal mass.

    Parameters
    ----------
    predictions : ndarray, shape (R, m)
        ``γ̂``; every replicate is binned by its own order.
    reward : ndarray, shape (m,)
        ``γ``.
    level : float in (0, 1)
        Coverage of the intervals over replicates.
    """
    order = np.argsort(predictions, axis=1, kind="stable")
    edges = np.linspace(0, len(reward), BINS + 1).astype(int)
    rows = []
    for number, (start, stop) in enumerate(pairwise(edges)):
        members = order[:, start:stop]
        predicted = np.take_along_axis(predictions, members, axis=1).mean()
        estimate = over_replicates(reward[members].mean(1), level=level)
        rows.append({"bin": number, "predicted": float(predicted), **vars(estimate)})
    return rows


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from what :func:`read` returns, a panel per estimator.

    Raises
    ------
    BadInput
        If no estimator's reward is a probability.
    """
    if table.empty:
        raise BadInput("no estimator of this study fits a probability: there is no calibration to draw.")
    require(table, "estimator", "knows", "bin", "predicted", "value", "low", "high")
    table = with_told(table)
    names = list(table.who.unique())[:MOST_PANELS]
    rows = -(-len(names) // COLUMNS)
    figure = sheet(DOUBLE, 1.5 * rows + 0.7)
    axes = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, who in zip(axes.flat, names, strict=False):
        _panel(axis, table, who)
    for axis in axes[:, 0]:
        axis.set_ylabel("true reward γ")
    for place, axis in enumerate(axes.flat):
        if len(names) - COLUMNS <= place < len(names):
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("fitted reward γ̂")
    first = table.iloc[0]
    note(
        figure,
        f"World {first.world}, bias level {first.bias_level:g}, {int(first['size']):,} responses; held-out "
        f"responses in ten bins of equal mass; {replicates_of(table)}. On the line: calibrated; "
        f"below it: "
        "rewards too high.",
    )
    return figure


def _panel(axis: Axes, table: pd.DataFrame, who: str) -> None:
    part = table[table.who == who].sort_values("bin")
    axis.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
    axis.errorbar(part.predicted, part.value, yerr=bars(part), **looks(table, who))
    axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
    name, told = part.estimator.iloc[0], part.knows.iloc[0]
    axis.set_title(f"{name}\n({told})", fontsize=7)
    axis.grid()
