"""Draws the speed of stacked training against a plain loop and the machine's own matrix product."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench_figures.paper import DOUBLE, in_print, note, plain_ticks, require, sheet

SHOWS = "How much faster many replicates train at once than one after another in a plain loop."
NEEDS = "its benchmark, no study: python benchmarks/throughput.py --out DIR"
STEPS = ("throughput",)  # steps of the reproduction whose folders hold its data

FILE = "throughput.parquet"
COLUMNS = ("rows", "features", "hidden", "replicates", "ms", "loop_ms", "share_of_sgemm", "sgemm_gflops")
OURS, LOOP, GOAL = "#0072B2", "#E69F00", "#000000"


def read(folder: Path | Location) -> pd.DataFrame:
    """Read the table that ``python benchmarks/throughput.py --out FOLDER`` wrote.

    Raises
    ------
    BadInput
        If there is no such table.
    """
    path = folder / FILE
    if not path.exists():
        raise BadInput(f"{path} does not exist: python benchmarks/throughput.py --out {folder} writes it.")
    return pd.read_parquet(io.BytesIO(path.read_bytes()))


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from the benchmark's table: a pair of bars per shape, and the share of sgemm's rate."""
    require(table, *COLUMNS, "ratio_goal", "share_goal", "device", "threads")
    figure = sheet(DOUBLE, 2.5)
    time, share = figure.subplots(1, 2, width_ratios=[1.3, 1])
    shapes = [
        f"{row.rows:,} x {row.features:,}\n{row.hidden}\n{row.replicates} replicates"
        for row in table.itertuples()
    ]
    _times(time, table, shapes)
    _shares(share, table, shapes)
    first = table.iloc[0]
    note(
        figure,
        f"Rows x features, hidden widths, replicates trained at once. Device {first.device}, "
        f"{int(first.threads)} "
        f"threads, sgemm {first.sgemm_gflops:.0f} GFLOP/s in the same run. Minima over repetitions: on a "
        f"shared "
        "machine the minimum is the program's. Lines: goals.",
    )
    return figure


def _times(axis: Axes, table: pd.DataFrame, shapes: list[str]) -> None:
    place = np.arange(len(table))
    axis.bar(place - 0.2, table.loop_ms, 0.4, color=LOOP, label="DataLoader loop, one replicate at a time")
    axis.bar(place + 0.2, table.ms, 0.4, color=OURS, label="stacked")
    for x, row in enumerate(table.itertuples()):
        axis.text(
            x, row.loop_ms * 1.15, f"{row.loop_ms / row.ms:.1f} times", ha="center", va="bottom", fontsize=7
        )
        if np.isfinite(row.ratio_goal):
            axis.plot([x, x + 0.4], [row.loop_ms / row.ratio_goal] * 2, color=GOAL)
    axis.set_yscale("log")
    low, high = float(table.ms.min()), float(table.loop_ms.max())
    axis.set_ylim(low / 2, high * 8)
    plain_ticks(axis, "y", [tick for tick in (0.01, 0.1, 1, 10, 100, 1000) if low / 2 <= tick <= high * 8])
    axis.set_xticks(place, shapes)
    axis.set_ylabel("ms an epoch and replicate")
    axis.legend(loc="upper left")


def _shares(axis: Axes, table: pd.DataFrame, shapes: list[str]) -> None:
    place = np.arange(len(table))
    axis.bar(place, 100 * table.share_of_sgemm, 0.6, color=OURS)
    for x, row in enumerate(table.itertuples()):
        inside = 100 * row.share_of_sgemm - 2
        axis.text(x, inside, f"{row.share_of_sgemm:.0%}", ha="center", va="top", color="white")
        if np.isfinite(row.share_goal):
            axis.plot([x - 0.4, x + 0.4], [100 * row.share_goal] * 2, color=GOAL)
    axis.set_ylim(0, 112)
    axis.set_xticks(place, shapes)
    axis.set_ylabel("% of the machine's sgemm rate")
