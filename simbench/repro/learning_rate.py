"""The step of the learning-rate curve: one study at every rate of a grid, joined into one table."""

from pathlib import Path
from typing import Any

import pandas as pd

from simbench.repro import measurements, replicates
from simbench.repro.run import Run
from simbench.repro.studies import StudyFile
from simbench.study.config import StudyConfig
from simbench.study.table import read_table, write_table

FILE = StudyFile("learning-rate.yaml", {"replicates": 8})
STATED_RANGE = (1e-5, 2e-3)  # in which the paper searches
CLAIMED_BAD = 1e-3  # at which reviews of the paper report R² below 0
RATES = (1e-5, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 1e-2)
QUICK_RATES = (1e-3,)


def rates(quick: bool) -> tuple[float, ...]:
    """Return the learning rates of the small or the full form."""
    return QUICK_RATES if quick else RATES


def config(rate: float, quick: bool) -> StudyConfig:
    """Return the study at one learning rate."""
    base = FILE.config(quick)
    parameters = {name: {**base.parameters.get(name, {}), "lr": rate} for name in base.estimators}
    return base.model_copy(update={"parameters": parameters})


def describe(run: Run) -> dict[str, Any]:
    """Return the settings that decide the results of the step."""
    return {f"{rate:g}": config(rate, run.quick).model_dump(mode="json") for rate in rates(run.quick)}


def measure(run: Run, folder: Path) -> None:
    """Run what is missing at every rate; ``lr`` becomes a column of the joined tables."""
    results, scores = [], []
    for rate in rates(run.quick):
        own = folder / f"lr-{rate:g}"
        measurements.run_study(config(rate, run.quick), own, run)
        results.append(read_table(own).assign(lr=rate))
        scores.append(pd.read_parquet(own / replicates.FILE).assign(lr=rate))
    replicates.write(folder / replicates.FILE, pd.concat(scores, ignore_index=True))
    write_table(folder / "results.parquet", pd.concat(results, ignore_index=True))
