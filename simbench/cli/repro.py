"""``simbench repro``: reproduces the paper and writes the document, or checks it."""

import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.cli.printable import print
from simbench.errors import BadInput

if TYPE_CHECKING:
    from simbench.repro.real import RealData
    from simbench.repro.run import Form
    from simbench.repro.steps import Step

DOCUMENT = "paper_repro.md"
VALUES = "paper_repro.json"
FIGURES = "docs/img"  # seen from the document of the repository


class Data(StrEnum):
    """The data on which the main comparison runs."""

    twin = "twin"
    hub = "hub"


@dataclass(frozen=True, kw_only=True)
class ReproOptions:
    """Arguments of ``simbench repro``."""

    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results (default: results/repro; of another form, results/repro-quick or "
            "results/repro-full)."
        ),
    ] = None
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Run a small form: part of the cells, fewer replicates (default: the whole)."
        ),
    ] = False
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Run the published protocol at the published sizes: many hours (default: as near as half an "
            "hour allows).",
        ),
    ] = False
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Run the small form again and exit with 1 where the document disagrees with it (default: "
            "write the document).",
        ),
    ] = False
    only: Annotated[
        str | None,
        typer.Option(help="Steps to run, separated by commas (default: all)."),
    ] = None
    data: Annotated[
        Data, typer.Option(help="Run the main comparison on synthetic twins, or on real data from the hub.")
    ] = Data.twin
    responses: Annotated[
        list[str] | None,
        typer.Option(
            help="With --data hub: where a data set lies, NAME=FILE or NAME=hub:FOLDER; repeatable "
            "(default: the hub)."
        ),
    ] = None
    embeddings: Annotated[
        list[str] | None,
        typer.Option(
            help="With --data hub: its embeddings by simbench embed, NAME=FILE; repeatable (default: text "
            "features)."
        ),
    ] = None
    document: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the document (default: paper_repro.md of the repository if the whole is "
            "run in one, else paper_repro.md in the results folder)."
        ),
    ] = None
    jobs: Annotated[
        int, typer.Option(help="How many processes work at a time; they share the cores.", min=1)
    ] = 1

    def form(self) -> "Form":
        """How much is run; one of --quick, --full and --check at most."""
        from simbench.repro.run import Form

        given = [name for name in ("quick", "full", "check") if getattr(self, name)]
        if "full" in given and len(given) > 1:
            raise BadInput(
                f"--full and --{next(n for n in given if n != 'full')} exclude each other: give one."
            )
        return Form.full if self.full else Form.quick if self.quick else Form.default

    def real_data(self) -> "RealData | None":
        """Where the real data is; None if the comparison runs on twins."""
        from simbench.repro.real import RealData

        if self.data is Data.hub:
            return RealData.parse(self.responses, self.embeddings)
        for name in ("responses", "embeddings"):
            if getattr(self, name):
                raise BadInput(f"--{name} says where the real data is: give it with --data hub.")
        return None


def repro(options: ReproOptions) -> None:
    """Reproduce the paper: measure every claim, judge it by a rule, and write paper_repro.md.

    Running the same command again computes only what is missing.
    """
    from simbench.repro.steps import chosen

    options.form()
    steps = chosen(options.only)
    if options.check:
        _check(options, steps)
    else:
        _reproduce(options, steps)


def _reproduce(options: ReproOptions, steps: "list[Step]") -> None:
    """Run what is missing, and write the document with its values."""
    from simbench.cli.progress import CellProgress
    from simbench.repro import reproduce
    from simbench.repro.document import write
    from simbench.repro.run import Form, Run
    from simbench.repro.steps import STEPS
    from simbench.study import library

    form = options.form()
    suffix = "" if form is Form.default else f"-{form}"
    out = options.out or Path("results") / f"repro{suffix}"
    is_whole = form is Form.default and len(steps) == len(STEPS) and options.data is Data.twin
    belongs_to_repository = is_whole and library.checkout() is not None
    document, values = _places(options.document, None if belongs_to_repository else out)
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file: choose a folder.")
    with CellProgress() as progress:
        run = Run(out, form, options.jobs, options.real_data(), progress, progress.phase)
        reproduce.measure(run, steps, _tell)
    found = reproduce.reproduction(run, FIGURES if belongs_to_repository else "")
    write(found, document, values)
    for finding in found.findings:
        print(f"{finding.key:>3}  {finding.verdict:<30}  {finding.claim}")
    print(f"document: {document}", file=sys.stderr)
    print(f"values: {values}", file=sys.stderr)
    failed = reproduce.failed_cells(run)
    if failed:
        print(f"simbench: {len(failed)} cells failed: {'; '.join(failed)}.", file=sys.stderr)
        sys.exit(1)


def _check(options: ReproOptions, steps: "list[Step]") -> None:
    """Rerun the small form in a folder of its own, and exit with 1 where it disagrees with the document."""
    from simbench.cli.progress import CellProgress
    from simbench.repro import reproduce
    from simbench.repro.run import Form, Run

    if options.data is not Data.twin:
        raise BadInput("--check reruns the document that comes with simbench, which is on --data twin.")
    document, values = _places(options.document, None)
    out = options.out or reproduce.scratch()
    try:
        with CellProgress() as progress:
            run = Run(out, Form.quick, options.jobs, None, progress, progress.phase)
            outcome = reproduce.rerun_and_compare(document, values, run, steps, _tell)
    finally:
        if options.out is None:
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


def _places(document: Path | None, folder: Path | None) -> tuple[Path, Path]:
    """Where the document and its values lie: as given, in a results folder, or in the repository.

    Without a repository, they lie with the studies that came with the wheel.
    """
    from simbench.study import library

    if document is not None:
        if document.is_dir() or document.suffix == ".json" or not document.name:
            raise BadInput(f"--document {document} must be a file such as paper.md: its values go beside it.")
        for above in document.parents:
            if above.exists() and not above.is_dir():
                raise BadInput(f"--document {document}: {above} is a file: choose a folder.")
        return document, document.with_suffix(".json")
    if folder is not None:
        return folder / DOCUMENT, folder / VALUES
    return (library.checkout() or library.folder()) / DOCUMENT, library.folder() / VALUES


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
