"""``simbench run --dry-run``: prints what a study would run, and what it would cost."""

import sys
from collections.abc import Hashable

import pandas as pd

from simbench.cli.output import duration, print_table
from simbench.cli.printable import print
from simbench.files.location import Location
from simbench.study.config import StudyConfig
from simbench.study.folder import is_of
from simbench.study.forecast import CellForecast, Forecast, Span, forecast
from simbench.study.grants import in_words
from simbench.study.shards import Shards

STATUSES = ("to run", "finished", "skipped", "fails")


def dry_run(config: StudyConfig, out: Location, jobs: int | None, format: str) -> None:
    """Print the cells of a study and what they would cost; run and write nothing.

    Parameters
    ----------
    config : StudyConfig
    out : Location
        Results folder, whose finished cells count as such.
    jobs : int or None
        Number of cells at a time, 1 by default.
    format : {"table", "json", "csv"}
    """
    is_of(out, config)
    found = forecast(config, Shards(out / "shards"), _tell)
    print_table(_grouped(found), format, f"{len(found.cells)} cells, nothing is run")
    if format == "table":
        print("\n".join(_totals(found, jobs or 1, out)))


def _tell(estimator: str, done: int, total: int) -> None:
    print(f"calibrating [{done + 1}/{total}] {estimator}", file=sys.stderr, flush=True)


def _grouped(found: Forecast) -> pd.DataFrame:
    """A table with one row for cells that differ only in the bias level."""
    groups: dict[tuple[Hashable, ...], list[CellForecast]] = {}
    for one in found.cells:
        cell = one.cell
        key = (cell.world.name, cell.size, cell.estimator, cell.grant, one.status, one.reason)
        groups.setdefault(key, []).append(one)
    return pd.DataFrame([_row(members) for members in groups.values()])


def _row(members: list[CellForecast]) -> dict[str, str | int]:
    first = members[0]
    cell, runs = first.cell, first.status == "to run"
    return {
        "world": cell.world.name,
        "bias level": ", ".join(f"{one.cell.bias_level:g}" for one in members),
        "size": cell.size,
        "estimator": cell.estimator,
        "told": ", ".join(in_words(name) for name in cell.grant),
        "cells": len(members),
        "status": f"{first.status}: {first.reason}" if first.reason else first.status,
        "time": _span(sum((one.seconds for one in members), Span())) if runs else "",
        "memory": _bytes(max(one.memory for one in members)) if runs else "",
    }


def _totals(found: Forecast, jobs: int, out: Location) -> list[str]:
    counts = {name: sum(one.status == name for one in found.cells) for name in STATUSES}
    counted = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    lines = [
        "",
        f"cells: {counted}",
        f"time: about {_span(found.wall(1))} one after another on cores like these"
        + (f", {_span(found.wall(jobs))} with --jobs {jobs}" if jobs > 1 else ""),
        f"  an estimate, from {found.calibration:.0f} s of calibration: pilots of few replicates, by rows x "
        "epochs x replicates; epochs are those after which the pilots stopped early",
    ]
    if found.work.high > found.work.low:
        lines.append("  a range: some pilots did not stop in their time; at most, they take all their epochs")
    return [
        *lines,
        f"memory: about {_bytes(found.memory)} a process" + (f", {jobs} of them" if jobs > 1 else ""),
        f"disk: about {_bytes(found.disk)} in {out}",
    ]


def _span(seconds: Span) -> str:
    low, high = duration(seconds.low), duration(seconds.high)
    return low if low == high else f"{low} to {high}"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
