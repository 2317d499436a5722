"""``simbench check`` and ``simbench tune``: what is said of estimators one by one."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from simbench.commands.output import emit, print_table
from simbench.errors import BadInput
from simbench.estimator import registry
from simbench.study.names import everyone, grants, preset


def check(
    names: list[str] | None, seed: int, format: str, conformance: bool | None, out: Path | None
) -> None:
    """``simbench check``: exact verdicts on the risk of each estimator, and does it keep to the rules?

    Estimators from outside are put through the conformance kit unless told otherwise. The verdicts are kept
    as ``results.parquet`` of the folder ``out``.
    """
    from simbench.score import risk_table as verdicts

    kinds = {name: registry.find(name) for name in names or []}
    outside = [name for name, kind in kinds.items() if not kind.__module__.startswith("simbench_estimators.")]
    examined = {None: outside, True: list(kinds) or everyone(), False: []}[conformance]
    if names is None or format == "markdown" or any(verdicts.states_a_loss(k) for k in kinds.values()):
        stated = names and [name for name in names if verdicts.states_a_loss(kinds[name])]
        _print_verdicts(stated, seed, format, out)
    failed = _examine(examined)
    if failed:
        print(f"simbench: does not conform: {', '.join(failed)}.", file=sys.stderr)
        sys.exit(1)


def _examine(names: list[str]) -> list[str]:
    """Print the findings of the conformance kit on stderr; return who failed."""
    from simbench.study.conformance import examine

    failed = []
    for name in names:
        findings = examine(registry.find(name), name)
        for finding in findings:
            mark = "ok  " if finding.passed else "FAIL"
            detail = "" if finding.passed else f": {finding.detail}"
            print(f"{mark} {finding.estimator}: {finding.requirement}{detail}", file=sys.stderr, flush=True)
        if not all(finding.passed for finding in findings):
            failed.append(name)
    return failed


def _print_verdicts(names: list[str] | None, seed: int, format: str, out: Path | None) -> None:
    from simbench.score import risk_table as verdicts

    rows = verdicts.collect(names, seed)
    if out is not None:
        from simbench.study.table import write_table

        write_table(out / "results.parquet", pd.DataFrame([vars(verdict) for verdict, _ in rows]))
        print(f"picture: simbench figure risk {out}", file=sys.stderr)
    if format == "markdown":
        print(verdicts.as_markdown(rows), end="")
    elif format != "table":
        emit(pd.DataFrame([vars(verdict) for verdict, _ in rows]), format)
    else:
        shown = verdicts.as_table(rows).drop(columns="unbiased if")
        print_table(shown, format, "Is the risk unbiased?")
        print("\n".join(verdicts.legend()))


def tune(
    names: list[str],
    world: str,
    cell: dict[str, Any],
    grant: str,
    trials: int,
    out: Path | None,
    format: str,
) -> None:
    """``simbench tune``: a row an estimator; who cannot be tuned is told so and the others go on."""
    from simbench.study.tune import situation
    from simbench.study.tune import tune as search

    common = {**cell, "world": preset(world), "label_share": 0.05, "device": "cpu"}
    rows = []
    for name in everyone() if names == ["all"] else names:
        try:
            found = search(situation(name, common, grants(grant)), trials, out)
        except BadInput as error:
            if len(names) == 1 and names != ["all"]:
                raise
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            continue
        chosen = {key: f"{v:.2g}" if isinstance(v, float) else v for key, v in found.parameters.items()}
        rows.append({"estimator": name, "trials": found.trials, "at shipped": f"{found.default:.5f}"})
        rows[-1] |= {"at best": f"{found.best:.5f}", **chosen}
        print(f"{name}: {found.default:.5f} -> {found.best:.5f} {chosen}", file=sys.stderr, flush=True)
    print_table(pd.DataFrame(rows), format, "Held-out selection loss, lower is better")
