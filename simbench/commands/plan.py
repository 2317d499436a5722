"""``simbench plan``: how many responses a target error needs."""

import pandas as pd

from simbench.commands.output import print_table
from simbench.errors import BadInput
from simbench.study.names import preset


def plan_size(
    world: str, bias_level: float, target_rmse: float, replicates: int, seed: int, format: str
) -> None:
    """``simbench plan``."""
    from simbench.reward.planning import plan

    if not 0 < target_rmse < 0.5:
        raise BadInput(f"--target-rmse must lie between 0 and .5, got {target_rmse:g}.")
    rows = [vars(row) for row in plan(preset(world), bias_level, target_rmse, replicates, seed)]
    table = pd.DataFrame(rows)
    if format == "table":
        table["rmse_there"] = [f"{value:.4f}" for value in table.rmse_there]
        table = table.rename(
            columns={
                "by_bound": "responses by the bound",
                "rmse_there": "RMSE measured there",
                "needed": "responses needed",
            }
        )
    print_table(table, format, f"{world}, bias level {bias_level:g}, target RMSE {target_rmse:g}")
