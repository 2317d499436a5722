"""Draws the worth of each leak, what an estimator loses when one leak of the published protocol is closed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.score.estimate import over_replicates
from simbench.score.labels import expected_r2
from simbench.score.ranking import expected_auroc
from simbench.study.finished import FinishedCell, read_study, situations
from simbench.study.guests.kinds import find
from simbench_figures.palette import on
from simbench_figures.paper import (
    DOUBLE,
    in_print,
    note,
    plain_ticks,
    replicates_of,
    require,
    sheet,
)

SHOWS = (
    "How much each thing that the published evaluation allows itself beyond the log flatters every estimator."
)
NEEDS = (
    "a study with a protocol published and others off: ..., with its shards: simbench run --study leaks "
    "--out DIR"
)
STEPS = ("leaks",)  # steps of the reproduction whose folders hold its data

PUBLISHED, OFF = "published", "off: "
METRICS = {"r2": "R²", "auroc": "AUROC"}
SHADES = colormaps["PuOr_r"]
STRONGEST, LINEAR = 1.0, 0.02  # of the colours: .02 is plainly seen, and 3 does not hide it


def read(folder: Path | Location) -> pd.DataFrame:
    """Compute the score under the published protocol less that with one leak closed, in pairs by replicate.

    Parameters
    ----------
    folder : Path or Location
        Results of a study with a protocol ``published``, and others named ``off: ...``.

    Returns
    -------
    DataFrame
        Columns ``world, estimator, leak, metric, value, low, high, n_replicates``; intervals are over
        replicates, which draw the same feedback under every protocol.

    Raises
    ------
    BadInput
        If one side of the comparison is missing.
    """
    level = read_study(folder).level
    scores: dict[tuple[Any, ...], dict[str, np.ndarray]] = {}
    for cells in situations(folder):
        for found in cells:
            cell = found.cell
            key = (cell.world.name, cell.size, cell.bias_level, cell.estimator, cell.protocol.name)
            scores.setdefault(key, _scores(found))
    if not any(key[-1] == PUBLISHED for key in scores):
        raise BadInput(f"{folder} has no finished cell of protocol {PUBLISHED!r} to measure leaks against.")
    rows = []
    for (*where, protocol), closed in scores.items():
        opened = scores.get((*where, PUBLISHED))
        if opened is None or not protocol.startswith(OFF):
            continue
        for metric in closed.keys() & opened.keys():
            change = over_replicates(opened[metric] - closed[metric], level=level)
            row = {"world": where[0], "estimator": where[3], "leak": protocol.removeprefix(OFF)}
            rows.append({**row, "metric": metric, **vars(change), "n_replicates": len(closed[metric])})
    if not rows:
        raise BadInput(f"{folder} has no finished cell of a protocol {OFF + '...'!r}: no leak was closed.")
    return pd.DataFrame(rows)


def _scores(found: FinishedCell) -> dict[str, np.ndarray]:
    reward = found.cell.built().test.reward
    scores = {"auroc": expected_auroc(found.predictions, reward)}
    if not find(found.cell.estimator).ranks_only:
        scores["r2"] = expected_r2(found.predictions, reward)
    return scores


@in_print
def draw(worth: pd.DataFrame) -> Figure:
    """Draw the figure from what :func:`read` returns.

    Returns
    -------
    Figure
        A panel per world and metric: rows are leaks, columns estimators. Colour and number are what the leak
        is worth, bold if the interval lies on one side of 0.
    """
    require(worth, "world", "estimator", "leak", "metric", "value", "low", "high")
    leaks, names = list(worth.leak.unique()), list(worth.estimator.unique())
    panels = [
        (world, metric)
        for world in worth.world.unique()
        for metric in METRICS
        if ((worth.world == world) & (worth.metric == metric)).any()
    ]
    figure = sheet(DOUBLE, min(9.2, (0.15 * len(leaks) + 0.2) * len(panels) + 1.6))
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    images = []
    for axis, (world, metric) in zip(axes, panels, strict=True):
        here = worth[(worth.world == world) & (worth.metric == metric)]
        images.append(_panel(axis, here, leaks, names))
        axis.set_title(f"{world}: {METRICS[metric]} with the leak, less without", pad=3)
    axes[-1].set_xticks(range(len(names)), [name.replace("@published", "*") for name in names], rotation=90)
    bar = figure.colorbar(images[-1], ax=list(axes), aspect=40, pad=0.01)
    plain_ticks(bar.ax, "y", [-1, -0.1, 0, 0.1, 1])
    note(
        figure,
        "Each leak closed alone, all others open; all: the honest protocol. Above 0 the leak flatters. "
        f"{replicates_of(worth, 'in pairs; bold: 0 is outside the')}. Empty: the estimator only ranks. "
        "*: the published variant.",
    )
    return figure


def _panel(axis: Axes, here: pd.DataFrame, leaks: list[str], names: list[str]) -> AxesImage:
    shade = np.full((len(leaks), len(names)), np.nan)
    norm = SymLogNorm(LINEAR, vmin=-STRONGEST, vmax=STRONGEST)
    for row in here.itertuples():
        place = leaks.index(row.leak), names.index(row.estimator)
        shade[place] = row.value
        sure = row.low > 0 or row.high < 0
        colour = on(to_hex(SHADES(norm(np.clip(row.value, -STRONGEST, STRONGEST)))))
        weight = "bold" if sure else "normal"
        text = _short(row.value)
        axis.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color=colour, weight=weight)
    axis.set_yticks(range(len(leaks)), leaks)
    axis.tick_params(length=0)
    return axis.imshow(shade, cmap=SHADES, norm=norm, aspect="auto")


def _short(value: float) -> str:
    """``0.123`` -> ``.12``; ``-2.34`` -> ``-2.3``: narrow enough for a cell."""
    text = f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
    text = text.replace("0.", ".", 1) if abs(value) < 1 else text
    return "0" if text.strip("-.0") == "" else text
