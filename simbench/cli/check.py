"""``simbench check``: exact verdicts on the risk of estimators, and the conformance kit."""

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.cli.options import SeedOption
from simbench.cli.printable import print

if TYPE_CHECKING:
    import pandas as pd

    from simbench.study.conformance import Finding


class CheckFormat(StrEnum):
    """How verdicts are printed: for people, for programs, or for a document."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Arguments of ``simbench check``."""

    estimators: Annotated[
        list[str] | None,
        typer.Argument(
            help="Estimators or behaviours: names, package.module:Class or path/to/file.py:Class (default: "
            "all installed estimators)."
        ),
    ] = None
    seed: SeedOption = 0
    format: Annotated[CheckFormat, typer.Option(help="How to print the verdicts.")] = CheckFormat.table
    conformance: Annotated[
        bool | None,
        typer.Option(
            help="Whether to run the conformance kit (default: on estimators that do not come with simbench)."
        ),
    ] = None
    timeout: Annotated[
        float,
        typer.Option(
            help="Seconds that the conformance kit gives the code of each plug-in from outside.",
            min=0.1,
        ),
    ] = 600.0
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to keep the verdicts in, for a figure (default: only print them)."),
    ] = None


def check(options: CheckOptions) -> None:
    """Integrate the risk of every estimator exactly over the feedback: is it unbiased?

    Estimators from outside are also put through the conformance kit, which tests that they keep to the
    contract; behaviours through one that compares what they draw with what they declare.
    """
    from simbench.estimator import registry
    from simbench.score.risk_table import states_a_loss
    from simbench.study.names import everyone

    given = options.estimators or []
    behaviours = [name for name in given if _is_behaviour(name)]
    if given and len(behaviours) == len(given):
        _end(_examine_behaviours(behaviours, options.timeout))
        return
    names = [name for name in given if name not in behaviours] or None
    kinds = {name: registry.find(name) for name in names or []}
    outside = [name for name in kinds if registry.is_from_outside(name)]
    examined = {None: outside, True: list(kinds) or everyone(), False: []}[options.conformance]
    is_table = names is None or options.format is CheckFormat.markdown
    if is_table or any(states_a_loss(kind) for kind in kinds.values()):
        _print_verdicts(names and [name for name in names if states_a_loss(kinds[name])], options)
    for name, kind in kinds.items():
        if not states_a_loss(kind):
            print(f"{name} states no risk that could be integrated: see --conformance.", file=sys.stderr)
    failed = _examine(examined, options.timeout)
    for name in outside:
        if name not in failed:
            print(f"run it with: simbench run --estimator {name}", file=sys.stderr)
    _end(failed + _examine_behaviours(behaviours, options.timeout))


def _end(failed: list[str]) -> None:
    if failed:
        print(f"simbench: does not conform: {', '.join(failed)}.", file=sys.stderr)
        sys.exit(1)


def _examine(names: list[str], seconds: float) -> list[str]:
    """Print the findings of the conformance kit on stderr; returns the names of those that fail."""
    from simbench.study.conformance import examine
    from simbench.study.guests.kinds import find
    from simbench.study.guests.process import limited

    failed = []
    for name in names:
        with limited(seconds):
            failed += [] if _print_findings(examine(find(name), name)) else [name]
    return failed


def _is_behaviour(name: str) -> bool:
    """Whether a name is that of a behaviour; an estimator of the same name comes first."""
    from simbench.estimator import registry
    from simbench.study.guests.behaviours import behaviours_as_guests
    from simbench.worlds.registry import names_a_behaviour

    with behaviours_as_guests():
        return name not in registry.names() and names_a_behaviour(name)


def _examine_behaviours(names: list[str], seconds: float) -> list[str]:
    """Print the findings of the kit of behaviours on stderr; returns the names of those that fail."""
    from simbench.study.behaviour_kit import examine_behaviour
    from simbench.study.guests.process import limited

    failed = []
    for name in names:
        with limited(seconds):
            failed += [] if _print_findings(examine_behaviour(name)) else [name]
    for name in names:
        if name not in failed:
            print(f"run it with: simbench run --behaviour {name}", file=sys.stderr)
    return failed


def _print_findings(findings: "list[Finding]") -> bool:
    """Print findings on stderr; returns whether all requirements are met."""
    for finding in findings:
        mark = "ok  " if finding.passed else "FAIL"
        detail = "" if finding.passed else f": {finding.detail}"
        print(f"{mark} {finding.subject}: {finding.requirement}{detail}", file=sys.stderr, flush=True)
    return all(finding.passed for finding in findings)


def _print_verdicts(names: list[str] | None, options: CheckOptions) -> None:
    """Print the verdicts on stdout, and keep them in a folder if one is given."""
    import pandas as pd

    from simbench.cli.output import emit, print_table
    from simbench.score import risk_table

    rows = risk_table.collect(names, options.seed)
    verdicts = pd.DataFrame([vars(verdict) for verdict, _ in rows])
    if options.out is not None:
        _keep(verdicts, options.out)
    if options.format is CheckFormat.markdown:
        print(risk_table.as_markdown(rows), end="")
    elif options.format is not CheckFormat.table:
        emit(verdicts, options.format)
    else:
        shown = risk_table.as_table(rows).drop(columns="unbiased if")
        print_table(shown, options.format, "Is the risk unbiased?")
        print("\n".join(risk_table.legend()))


def _keep(verdicts: "pd.DataFrame", folder: Path) -> None:
    from simbench.study.table import write_table

    write_table(folder / "results.parquet", verdicts)
    print(f"picture: simbench figure risk {folder}", file=sys.stderr)
