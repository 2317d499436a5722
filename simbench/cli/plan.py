"""``simbench plan``: says how many responses a target error needs."""

from dataclasses import dataclass
from typing import Annotated

import typer

from simbench.cli.options import MOST_REPLICATES, Format, FormatOption, SeedOption
from simbench.errors import BadInput

TITLES = {
    "by_bound": "responses by the bound",
    "rmse_there": "RMSE measured there",
    "needed": "responses needed",
}


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Arguments of ``simbench plan``."""

    target_rmse: Annotated[
        float,
        typer.Option(help="Root-mean-square error of the reward to reach, in units of probability."),
    ]
    bias_level: Annotated[float, typer.Option(help="How unequally users act, from 0 (all alike).")] = 1.0
    world: Annotated[
        str, typer.Option(help="A world of `simbench list worlds` in which users act by the logistic law.")
    ] = "exclusive"
    replicates: Annotated[
        int, typer.Option(help="Logs of the simulation that checks the bound.", min=1, max=MOST_REPLICATES)
    ] = 8
    seed: SeedOption = 0
    format: FormatOption = Format.table


def plan(options: PlanOptions) -> None:
    """Say how many logged responses a target error needs, by a bound and by a simulation that checks it."""
    import pandas as pd

    from simbench.cli.output import print_table
    from simbench.reward import planning
    from simbench.worlds.presets import preset

    target, level = options.target_rmse, options.bias_level
    if not 1e-6 <= target < 0.5:
        raise BadInput(f"--target-rmse must lie between 1e-6 and .5, got {target:g}.")
    rows = planning.plan(preset(options.world), level, target, options.replicates, options.seed)
    table = pd.DataFrame([vars(row) for row in rows])
    if options.format is Format.table:
        table["rmse_there"] = [f"{value:.4f}" for value in table.rmse_there]
        table = table.rename(columns=TITLES)
    title = f"{options.world}, bias level {level:g}, target RMSE {target:g}"
    print_table(table, options.format, title)
