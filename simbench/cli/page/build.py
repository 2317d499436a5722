"""Builds the page of a study from its results folder."""

import base64
import io
import json
import math
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from matplotlib import rc_context

from simbench.cli.report import OTHER_LEGEND, OTHER_METRICS
from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.study.draws import AMONG_BEST
from simbench.study.folder import FILE, made_with
from simbench.study.notes import notes
from simbench.study.results import Results, read
from simbench.study.summary import BEST, TRUTH_METRICS, Situation, caption, number, scope, verdict_of
from simbench.study.takeaways import takeaways

FIGURES = {
    "bias-variance": "Bias² and variance of every estimator against the bias level, with intervals.",
    "plane": "Bias² against variance of every estimator; down and to the left is better.",
}
LARGEST = 5_000_000  # bytes of CSV that a page carries


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, the number that sorts it, its interval and its mark."""

    text: str
    sort: float | str | None = None
    interval: str = ""
    mark: str = ""


def page_of(folder: str | Path) -> str:
    """The page of the study in a results folder.

    Parameters
    ----------
    folder : str or Path
        As ``simbench run --out`` wrote it; a URL too.

    Returns
    -------
    str
        HTML that contains its tables, figures and settings.

    Raises
    ------
    BadInput
        If there is no finished study, or it is damaged.
    """
    results, where = read(folder), Location(folder)
    said = read_mapping(where / FILE, "run the study again")
    config, csv = json.dumps(said["config"], indent=2), results.table.to_csv(index=False).encode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    failed = sorted(results.table[results.table.status == "failed"].estimator.unique())
    worlds = ", ".join(dict.fromkeys(world.name for world in results.config.worlds))
    return environment.from_string(_text("page.html.jinja")).render(
        title=f"Bias and variance of reward estimators: {worlds}",
        scope=_sentence(scope(results.config)),
        seed=said.get("seed", results.config.seed),
        failed=", ".join(failed),
        situations=[_situation(one, results) for one in results.situations],
        figures=[figure for name in FIGURES if (figure := _figure(name, results)) is not None],
        link=_link("text/csv", csv) if len(csv) <= LARGEST else "",
        size=f"{len(csv) / 1e6:.0f} MB",
        several=made_with(where),
        config=config,
        config_link=_link("application/yaml", config.encode()),
        versions=_versions(said),
        style=_text("page.css"),
        script=_text("page.js"),
    )


def _versions(said: dict[str, Any]) -> dict[str, str]:
    own = {"simbench": said["simbench"], "Python": said.get("python", "unknown")}
    return own | said.get("versions", {})


def _situation(one: Situation, results: Results) -> dict[str, Any]:
    return {
        "title": one.title(results.config),
        "description": _sentence(one.world.description),
        "takeaways": takeaways(one.rows, results.config),
        "tables": [
            _table("Against the true reward", one.rows, TRUTH_METRICS, caption(results.config), True),
            _table("Ranking, calibration, decisions", one.rows, OTHER_METRICS, OTHER_LEGEND, False),
        ],
        "notes": notes(one.rows, one.world, results.config),
    }


def _table(
    title: str, here: pd.DataFrame, metrics: dict[str, str], legend: str, with_verdict: bool
) -> dict[str, Any]:
    """A table with a row for every estimator and what it was told, which stands before any number."""
    rows = []
    for (name, knows), found in here.groupby(["estimator", "knows"], sort=False):
        found = found.set_index("metric")
        first = found.iloc[0]
        is_best = AMONG_BEST in found.index and found.loc[AMONG_BEST, "value"] == 1
        cells = [_cell(found, metric) for metric in metrics]
        if with_verdict:
            place, is_over = list(metrics).index("mse"), first.status == "ok"
            cells[place] = replace(cells[place], mark=BEST if is_best else "")
            cells.insert(0, Cell(verdict_of(found) if is_over else f"{first.status}: {first.reason}"))
        elif first.status != "ok":
            continue
        cells = [Cell(str(name)), Cell(str(knows)), *cells]
        rows.append({"cells": cells, "best": with_verdict and is_best})
    words = ("estimator", "told", "verdict") if with_verdict else ("estimator", "told")
    columns = [{"title": title, "numeric": False} for title in words]
    columns += [{"title": title, "numeric": True} for title in metrics.values()]
    return {"title": title, "columns": columns, "rows": rows, "legend": legend}


def _cell(found: pd.DataFrame, metric: str) -> Cell:
    if metric not in found.index or math.isnan(float(found.loc[metric, "value"])):
        return Cell("–", sort="")
    row = found.loc[metric]
    interval = "" if math.isnan(row.low) else f"[{number(row.low)}, {number(row.high)}]"
    return Cell(number(row.value), sort=float(row.value), interval=interval)


def _figure(name: str, results: Results) -> dict[str, Any] | None:
    """A figure as SVG; None where this study lacks what it shows."""
    try:
        drawing = results.figure(name)
    except BadInput:
        return None
    buffer = io.BytesIO()
    # names inside two drawings of one page must differ, and be the same whenever the page is built
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        drawing.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    text = buffer.getvalue().decode()
    drawn = text[text.index("<svg") :].replace('id="', f'id="{name}-').replace("url(#", f"url(#{name}-")
    drawn = drawn.replace('xlink:href="#', f'xlink:href="#{name}-')
    link = _link("image/svg+xml", buffer.getvalue())
    return {"name": name, "about": FIGURES[name], "svg": drawn, "link": link}


def _link(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _text(name: str) -> str:
    return files("simbench.cli.page").joinpath(name).read_text(encoding="utf-8")
