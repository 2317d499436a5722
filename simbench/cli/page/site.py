"""Builds a site from studies that were sent: a leaderboard, and a page for each study."""

import json
import re
from dataclasses import replace
from typing import Any

import pandas as pd

from simbench.cli.page.build import page_of_submission
from simbench.cli.page.render import link, rendered, sentence
from simbench.cli.page.tables import Cell, columns, ending, metric_cell, table_with
from simbench.study.leaderboard import Board, Row, boards
from simbench.study.submission import Submission
from simbench.study.summary import BEST, TRUTH_METRICS, scope
from simbench.study.table import OF_A_STUDY
from simbench.worlds.presets import PRESETS

INDEX = "index.html"
SHORT = 10  # digits of a hash that are shown
WORDS = ("estimator", "group", "verdict")
NUMBERS = ("MSE", *(title for title in TRUTH_METRICS.values() if title != "MSE"))


def pages_of(studies: list[Submission], refused: list[str], title: str) -> dict[str, str]:
    """The pages of a site by their file names, the index last.

    Parameters
    ----------
    studies : list of Submission
    refused : list of str
        Why other folders are not among them, a sentence each.
    title : str

    Returns
    -------
    dict of str
    """
    found = {file_of(study): page_of_submission(study, INDEX) for study in studies}
    return {**found, INDEX: _index(studies, refused, title)}


def file_of(study: Submission) -> str:
    """The file name of a study's page: the same study has the same."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", study.name).strip("-")[:40]
    return f"study-{name or 'results'}-{study.sha256[:SHORT]}.html"


def _index(studies: list[Submission], refused: list[str], title: str) -> str:
    found = boards(studies)
    csv = _rows_of(found).to_csv(index=False).encode()
    return rendered(
        "site.html.jinja",
        title=title,
        n_rows=sum(len(board.rows) for board in found),
        n_studies=len(studies),
        refused=refused,
        boards=[_board(board) for board in found],
        studies=_studies(studies),
        link=link("text/csv", csv),
    )


def _board(board: Board) -> dict[str, Any]:
    settings, config = board.settings, board.first.study.config
    several = settings["protocol"]["name"] != "honest"
    protocol = f", protocol {settings['protocol']['name']}" if several else ""
    return {
        "id": board.sha256,
        "title": f"{board.first.title}{protocol}",
        "scope": f"{_scope(board)}, board {board.sha256[:SHORT]}",
        "conditional": _conditional(board),
        "warnings": _warnings(board),
        "tables": [_table(told, rows) for told, rows in board.told().items()],
        "legend": _legend(config.level, config.margin, config.draws),
        "settings": json.dumps(settings, indent=2),
    }


def _scope(board: Board) -> str:
    return scope(board.first.study.config.model_copy(update={"replicates": board.first.replicates}))


def _conditional(board: Board) -> str:
    """What the numbers of a board are conditional on."""
    settings, config = board.settings, board.first.study.config
    seed = f"seed {settings['seed']}" + (
        ", drawn in secret and published afterwards" if config.secret else ""
    )
    where = f"{settings['device']}, {settings['precision']}, simbench {settings['simbench']}"
    return (
        f"{sentence(_scope(board))}; {seed}; {where}. All that is said holds for worlds of this kind alone."
    )


def _warnings(board: Board) -> list[str]:
    first = board.first
    if first.world in PRESETS and not first.is_of_preset():
        return [
            f"This world is called {first.world}, and differs from the preset of that name in its settings."
        ]
    return []


def _legend(level: float, margin: float, draws: int) -> str:
    over = "worlds" if draws > 1 else "replicates"
    apart = (
        f"Group 1 cannot be told from the smallest MSE of its table ({level:.0%}, all at once), group 2 from "
        "the smallest of the rest, and so on."
        if draws > 2
        else "There are no groups: fewer than three draws tell nothing."
    )
    return (
        f"[low, high]: {level:.0%} intervals over {over}. {apart} distance²: mean squared difference of the "
        f"estimator's mean from the oracle's; the verdict compares it with {margin:g}²."
    )


def _table(told: str, ranked: list[tuple[Row, int]]) -> dict[str, Any]:
    titles = {title: metric for metric, title in TRUTH_METRICS.items()}
    rows = []
    for row, group in ranked:
        cells = [metric_cell(row.metrics, titles[title]) for title in NUMBERS]
        cells[0] = replace(cells[0], mark=BEST if group == 1 else "")
        number = Cell(str(group), sort=group) if group else Cell("–", sort="")
        by = tuple((study.name or str(study.folder), file_of(study)) for study in row.studies)
        named = Cell(row.estimator, note=_note(row))
        cells = [named, number, Cell(ending(row.metrics)), *cells, Cell("", links=by)]
        rows.append({"cells": cells, "best": group == 1})
    heads = [*columns(WORDS, NUMBERS), *columns(("study",), ())]
    heads[1]["numeric"] = True
    return table_with(f"Told: {told}", heads, rows, words=told)


def _note(row: Row) -> str:
    """What stands below an estimator's name: where it is from, and how it differs from the shipped one."""
    said = [f"{name} {value}" for name, value in row.parameters.items()]
    if row.code is not None:
        prints = [re.sub(r"(sha256:[0-9a-f]{10})[0-9a-f]+", r"\1", one) for one in row.code.values()]
        said.insert(0, f"from outside ({', '.join(prints) or 'its code is not known'})")
    return ", ".join(said)


def _studies(studies: list[Submission]) -> dict[str, Any]:
    rows = []
    for study in studies:
        names = [str(name) for name in study.table.estimator.unique() if study.code(str(name)) is not None]
        bad = sorted(set(study.table[study.table.status == "failed"].estimator))
        cells = [
            Cell("", links=((study.name or str(study.folder), file_of(study)),)),
            Cell(sentence(scope(study.config))),
            Cell(", ".join(names) or "none"),
            Cell(", ".join(bad) or "none"),
            Cell(study.sha256[:SHORT]),
        ]
        rows.append({"cells": cells, "best": False})
    words = ("study", "scope", "estimators from outside", "failed", "hash")
    return table_with("What was sent", columns(words, ()), rows)


def _rows_of(found: list[Board]) -> pd.DataFrame:
    """The rows of all boards as one long table."""
    rows = [
        row.metrics.reset_index()[OF_A_STUDY].assign(
            board=board.sha256,
            group=group or "",
            outside=row.code is not None,
            studies=" ".join(study.sha256[:SHORT] for study in row.studies),
        )
        for board in found
        for ranked in board.told().values()
        for row, group in ranked
    ]
    return pd.concat(rows, ignore_index=True)
