"""Tables of pages: cells with their numbers, intervals and marks."""

import math
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from simbench.study.draws import AMONG_BEST
from simbench.study.summary import BEST, number, verdict_of


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Parameters
    ----------
    text : str
    sort : float or str, optional
        The number that sorts it, empty for none; None if its text does.
    interval : str
        Below a number.
    mark : str
        Behind it.
    note : str
        Below a text.
    links : tuple of (str, str)
        Texts and their addresses, in place of a text.
    """

    text: str
    sort: float | str | None = None
    interval: str = ""
    mark: str = ""
    note: str = ""
    links: tuple[tuple[str, str], ...] = ()


def columns(words: tuple[str, ...], numbers: tuple[str, ...]) -> list[dict[str, Any]]:
    """The heads of a table: first those of words, then those of numbers."""
    return [{"title": title, "numeric": title in numbers} for title in (*words, *numbers)]


def table_of(
    title: str, here: pd.DataFrame, metrics: dict[str, str], legend: str, with_verdict: bool
) -> dict[str, Any]:
    """A table with a row for every estimator and what it was told, which stands before any number."""
    rows = []
    for (name, knows), found in here.groupby(["estimator", "knows"], sort=False):
        found = found.set_index("metric")
        first = found.iloc[0]
        is_best = AMONG_BEST in found.index and found.loc[AMONG_BEST, "value"] == 1
        cells = [metric_cell(found, metric) for metric in metrics]
        if with_verdict:
            place = list(metrics).index("mse")
            cells[place] = replace(cells[place], mark=BEST if is_best else "")
            cells.insert(0, Cell(ending(found)))
        elif first.status != "ok":
            continue
        cells = [Cell(str(name)), Cell(str(knows)), *cells]
        rows.append({"cells": cells, "best": with_verdict and is_best})
    words = ("estimator", "told", "verdict") if with_verdict else ("estimator", "told")
    return table_with(title, columns(words, tuple(metrics.values())), rows, legend=legend)


def table_with(
    title: str, heads: list[dict[str, Any]], rows: list[dict[str, Any]], legend: str = "", words: str = ""
) -> dict[str, Any]:
    """A table as the template takes it.

    Parameters
    ----------
    title : str
    heads : list of dict
        Of :func:`columns`.
    rows : list of dict
        ``cells``: list of Cell; ``best``: whether the row is shaded.
    legend : str
        Below it.
    words : str
        By which its rows are found besides their own words.
    """
    return {"title": title, "columns": heads, "rows": rows, "legend": legend, "words": words}


def ending(found: pd.DataFrame) -> str:
    """The verdict on an estimator, or why there is none, from its rows indexed by metric."""
    first = found.iloc[0]
    return verdict_of(found) if first.status == "ok" else f"{first.status}: {first.reason}"


def metric_cell(found: pd.DataFrame, metric: str) -> Cell:
    """A metric with its interval, from rows indexed by metric; a dash if there is none."""
    if metric not in found.index or math.isnan(float(found.loc[metric, "value"])):
        return Cell("–", sort="")
    row = found.loc[metric]
    interval = "" if math.isnan(row.low) else f"[{number(row.low)}, {number(row.high)}]"
    return Cell(number(row.value), sort=float(row.value), interval=interval)
