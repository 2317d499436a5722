"""``simbench tune``: tunes hyper-parameters on held-out feedback, with the same budget for everyone."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.options import MOST_REPLICATES, Format, FormatOption, SeedOption
from simbench.cli.printable import print
from simbench.cli.spoken import said_by
from simbench.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Arguments of ``simbench tune``."""

    estimators: Annotated[
        list[str], typer.Argument(help="Estimators: names of `simbench list estimators`, or all.")
    ]
    world: Annotated[str, typer.Option(help="A world of `simbench list worlds`.")] = "exclusive"
    bias_level: Annotated[float, typer.Option(help="How unequally users act, from 0 (all alike).")] = 1.0
    size: Annotated[int, typer.Option(help="Responses in a log.", min=10)] = 10_000
    replicates: Annotated[
        int, typer.Option(help="Logs over which the criterion is averaged.", min=1, max=MOST_REPLICATES)
    ] = 8
    trials: Annotated[
        int, typer.Option(help="Settings that are tried for each estimator, the shipped ones first.", min=1)
    ] = 20
    seed: SeedOption = 0
    grant: Annotated[
        str, typer.Option(help="What estimators that ask for it are told, separated by commas.")
    ] = "propensity,class-prior,misclick"
    out: Annotated[
        Path | None,
        typer.Option(
            help="Database file that keeps finished trials, so that a killed search goes on (default: none)."
        ),
    ] = None
    format: FormatOption = Format.table


def tune(options: TuneOptions) -> None:
    """Search hyper-parameters on held-out feedback, with the same budget for every estimator.

    An estimator that cannot be tuned is named, and the others go on.
    """
    import pandas as pd

    from simbench.cli.output import print_table
    from simbench.study.names import everyone, grants
    from simbench.study.tune import tune as search
    from simbench.study.tune import tuning_cell
    from simbench.worlds.presets import preset

    common = {name: getattr(options, name) for name in ("bias_level", "size", "replicates", "seed")}
    common |= {"world": preset(options.world), "label_share": 0.05, "device": "cpu"}
    names = everyone() if options.estimators == ["all"] else options.estimators
    rows = []
    for name in names:
        try:
            with said_by(name):
                found = search(tuning_cell(name, common, grants(options.grant)), options.trials, options.out)
        except BadInput as error:
            if len(options.estimators) == 1 and options.estimators != ["all"]:
                raise
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            continue
        chosen = {key: f"{v:.2g}" if isinstance(v, float) else v for key, v in found.parameters.items()}
        rows.append({"estimator": name, "trials": found.trials, "at shipped": f"{found.default:.5f}"})
        rows[-1] |= {"at best": f"{found.best:.5f}", **chosen}
        print(f"{name}: {found.default:.5f} -> {found.best:.5f} {chosen}", file=sys.stderr, flush=True)
    print_table(pd.DataFrame(rows), options.format, "Held-out selection loss, lower is better")
