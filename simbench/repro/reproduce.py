"""From steps to a document: run what is missing, judge the claims, and collect the findings."""

import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.repro import check
from simbench.repro.claims import findings
from simbench.repro.document import Reproduction, read
from simbench.repro.evidence import Evidence
from simbench.repro.run import FINISHED, REMEDY, Run
from simbench.repro.steps import STEPS, Step

LEVEL = 0.95
CELL = ("world", "bias_level", "size", "protocol", "estimator", "knows")


def measure(run: Run, steps: Sequence[Step], tell: Callable[[str], None]) -> None:
    """Run the steps that are not finished, in order; ``tell`` is called with a line about each."""
    for number, step in enumerate(steps, 1):
        tell(f"[step {number}/{len(steps)}] {step.name}: {step.title}")
        if not step.execute(run):
            tell(f"{step.name}: finished before")


def reproduction(run: Run, figures: str = "") -> Reproduction:
    """Judge every claim on the finished steps of a folder.

    Parameters
    ----------
    run : Run
    figures : str
        Folder of the figures, as the document refers to it; empty if it shows none.
    """
    return Reproduction(
        environment=_environment(run) | {"figures": figures},
        level=LEVEL,
        findings=tuple(findings(Evidence(run.out, LEVEL))),
    )


def _environment(run: Run) -> dict[str, Any]:
    evidence = Evidence(run.out)
    done = [step.name for step in STEPS if evidence.has(step.name)]
    return {
        "simbench": VERSION,
        "torch": version("torch"),
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores ({platform.machine()})",
        "form": str(run.form),
        "data": run.data,
        "seconds": {name: _seconds(run, evidence.table(name), name) for name in done},
    }


def _seconds(run: Run, table: pd.DataFrame, step: str) -> float:
    """Seconds of all cells of a study together, in whichever session they ran, or else of the step."""
    if "seconds" not in table:
        return float(read_mapping(run.out / step / FINISHED, REMEDY).get("seconds", "nan"))
    cell = [name for name in (*CELL, "lr") if name in table]
    return float(table.groupby(cell, dropna=False).seconds.first().sum())


def failed_cells(run: Run) -> list[str]:
    """Return one line about each cell that failed."""
    evidence = Evidence(run.out)
    tables = {step.name: evidence.table(step.name) for step in STEPS if evidence.has(step.name)}
    return [
        f"{name}, {row.world}: {row.estimator} ({row.reason})"
        for name, table in tables.items()
        if "status" in table
        for row in table[table.status == "failed"].itertuples()
    ]


def rerun_and_compare(
    document: Path, values: Path, run: Run, steps: Sequence[Step], tell: Callable[[str], None]
) -> check.Comparison:
    """Compare a document with its stored values and with a rerun of the small form.

    Parameters
    ----------
    document, values : Path
        ``paper_repro.md`` and ``paper_repro.json``.
    run : Run
        Where and how to rerun.
    steps : sequence of Step
        Steps to rerun.
    tell : callable
        Called with a line about each step.

    Raises
    ------
    BadInput
        If the document or its values cannot be read.
    """
    stored = read(values)
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{document} cannot be read ({error.strerror}): run simbench repro first.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{document} is no text in UTF-8: run simbench repro first.") from error
    wrong = [*check.compare_document(text, stored), *check.compare_verdicts(stored)]
    measure(run, steps, tell)
    outcome = check.compare(stored, reproduction(run))
    return check.Comparison(outcome.compared, outcome.stored, (*wrong, *outcome.disagreements))


def scratch() -> Path:
    """Make a temporary folder for a rerun whose results are not kept."""
    return Path(tempfile.mkdtemp(prefix="simbench-repro-"))
