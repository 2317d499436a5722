"""Builds the page of a study: from its results folder, or from what somebody sent."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from simbench.cli.page.render import link, rendered, sentence, svg_of
from simbench.cli.page.tables import table_of
from simbench.cli.report import OTHER_LEGEND, OTHER_METRICS
from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.study import figures
from simbench.study.config import StudyConfig
from simbench.study.folder import FILE, made_with
from simbench.study.notes import notes
from simbench.study.results import read
from simbench.study.submission import Sent, Submission
from simbench.study.summary import TRUTH_METRICS, Situation, caption, scope
from simbench.study.takeaways import takeaways

FIGURES = {
    "bias-variance": "Bias² and variance of every estimator against the bias level, with intervals.",
    "plane": "Bias² against variance of every estimator; down and to the left is better.",
}
LARGEST = 5_000_000  # bytes of CSV that a page carries
ELSEWHERE = (
    "This world reads files, runs code from outside, or is large: it is not built again here. What can be "
    "known in it is said by simbench report where the study ran."
)


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
    situations = [_situation(one, results.config) for one in results.situations]
    return _page(results.table, said, results.config, where, situations)


def page_of_submission(study: Submission, home: str) -> str:
    """The page of a study that somebody sent: nothing that it names is opened or run.

    Parameters
    ----------
    study : Submission
    home : str
        Address of the page that leads to it.
    """
    situations = [_sent(one) for one in study.situations()]
    return _page(study.table, study.said, study.config, study.folder, situations, home, study.sha256)


def _page(
    table: pd.DataFrame,
    said: dict[str, Any],
    config: StudyConfig,
    where: Location,
    situations: list[dict[str, Any]],
    home: str = "",
    sha256: str = "",
) -> str:
    settings, csv = json.dumps(said["config"], indent=2), table.to_csv(index=False).encode()
    worlds = ", ".join(dict.fromkeys(str(world["name"]) for world in said["config"]["worlds"]))
    return rendered(
        "page.html.jinja",
        title=f"Bias and variance of reward estimators: {worlds}",
        scope=sentence(scope(config)),
        seed=said.get("seed", config.seed),
        failed=", ".join(sorted(table[table.status == "failed"].estimator.unique())),
        situations=situations,
        figures=[figure for name in FIGURES if (figure := _figure(name, where)) is not None],
        link=link("text/csv", csv) if len(csv) <= LARGEST else "",
        size=f"{len(csv) / 1e6:.0f} MB",
        several=made_with(where),
        config=settings,
        config_link=link("application/yaml", settings.encode()),
        versions=_versions(said),
        home=home,
        sha256=sha256,
    )


def _versions(said: dict[str, Any]) -> dict[str, str]:
    own = {"simbench": said["simbench"], "Python": said.get("python", "unknown")}
    return own | said.get("versions", {})


def _situation(one: Situation, config: StudyConfig) -> dict[str, Any]:
    return {
        "title": one.title(config),
        "description": sentence(one.world.description),
        "notes": notes(one.rows, one.world, config),
        **_measured(one.rows, config),
    }


def _sent(one: Sent) -> dict[str, Any]:
    """A situation of somebody's study: what is said of its world and of estimators is of simbench's own."""
    config, world = one.study.config, one.rebuilt()
    outside = [name for name in map(str, one.rows.estimator.unique()) if one.study.code(name) is not None]
    said = [
        f"{name} comes from outside: nothing of it was run here, and whether the log identifies its reward "
        "is not known here."
        for name in outside
    ]
    if world is not None:
        said += notes(one.rows[~one.rows.estimator.isin(outside)], world, config)
    several = len(config.protocols) > 1
    return {
        "title": f"{one.title}, protocol {one.protocol}" if several else one.title,
        "description": ELSEWHERE if world is None else sentence(world.description),
        "notes": said,
        **_measured(one.rows, config),
    }


def _measured(rows: pd.DataFrame, config: StudyConfig) -> dict[str, Any]:
    return {
        "takeaways": takeaways(rows, config),
        "tables": [
            table_of("Against the true reward", rows, TRUTH_METRICS, caption(config), True),
            table_of("Ranking, calibration, decisions", rows, OTHER_METRICS, OTHER_LEGEND, False),
        ],
    }


def _figure(name: str, folder: Location) -> dict[str, Any] | None:
    """A figure as SVG; None where this study lacks what it shows."""
    try:
        drawing = figures.find(name).draw(folder)
    except BadInput:
        return None
    drawn, file = svg_of(drawing, name)
    return {"name": name, "about": FIGURES[name], "svg": drawn, "link": link("image/svg+xml", file)}
