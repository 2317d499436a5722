"""``simbench repro``: reproduce the paper, write the document, or check it."""

import shutil
import sys
from pathlib import Path
from typing import Any

from simbench.commands.progress import CellProgress
from simbench.errors import BadInput
from simbench.repro import reproduce
from simbench.repro.document import write
from simbench.repro.real import RealData
from simbench.repro.run import Run
from simbench.repro.steps import STEPS, Step, chosen
from simbench.repro.studies import ROOT, benchmarks

DOCUMENT = "paper_repro.md"
VALUES = "paper_repro.json"


def repro(flags: dict[str, Any]) -> None:
    """``simbench repro``; ``flags`` as the command line gave them."""
    steps = chosen(flags["only"])
    if flags["check"]:
        _check(flags, steps)
    else:
        _reproduce(flags, steps)


def _reproduce(flags: dict[str, Any], steps: list[Step]) -> None:
    form = "-quick" if flags["quick"] else ""
    out = flags["out"] or Path("results") / f"repro{form}"
    is_whole = not flags["quick"] and len(steps) == len(STEPS) and flags["data"] == "twin"
    document, values = _places(flags["document"], None if is_whole else out)
    with CellProgress() as progress:
        run = Run(out, flags["quick"], flags["jobs"], _real(flags), progress)
        reproduce.measure(run, steps, _tell)
    found = reproduce.reproduction(run)
    write(found, document, values)
    for finding in found.findings:
        print(f"{finding.key:>3}  {finding.verdict:<30}  {finding.claim}")
    print(f"document: {document}", file=sys.stderr)
    print(f"values: {values}", file=sys.stderr)
    failed = reproduce.failed_cells(run)
    if failed:
        print(f"simbench: {len(failed)} cells failed: {'; '.join(failed)}.", file=sys.stderr)
        sys.exit(1)


def _check(flags: dict[str, Any], steps: list[Step]) -> None:
    """Rerun the small form in a folder of its own, and exit with 1 where it disagrees with the document."""
    if flags["data"] != "twin":
        raise BadInput("--check reruns the document of the repository, which is on --data twin.")
    document, values = _places(flags["document"], None)
    out = flags["out"] or reproduce.scratch()
    try:
        with CellProgress() as progress:
            run = Run(out, True, flags["jobs"], None, progress)
            outcome = reproduce.rerun_and_compare(document, values, run, steps, _tell)
    finally:
        if flags["out"] is None:
            shutil.rmtree(out, ignore_errors=True)
    for disagreement in outcome.disagreements:
        print(disagreement)
    print(
        f"{outcome.compared} of the {outcome.stored} values of {document.name} measured again: "
        f"{len(outcome.disagreements)} disagreements"
    )
    if outcome.compared == 0:
        raise BadInput(f"the rerun measured nothing of what {values} holds: nothing was checked.")
    if outcome.disagreements:
        sys.exit(1)


def _real(flags: dict[str, Any]) -> RealData | None:
    """Where the real data is, if the comparison runs on it."""
    if flags["data"] == "hub":
        return RealData.parse(flags["responses"], flags["embeddings"])
    for name in ("responses", "embeddings"):
        if flags[name]:
            raise BadInput(f"--{name} says where the real data is: give it with --data hub.")
    return None


def _places(document: Path | None, folder: Path | None) -> tuple[Path, Path]:
    """Where document and values go: as said, into a results folder, or to their place in the repository."""
    if document is not None:
        return document, document.with_suffix(".json")
    if folder is not None:
        return folder / DOCUMENT, folder / VALUES
    return ROOT / DOCUMENT, benchmarks() / VALUES


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
