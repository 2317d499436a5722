"""The step of the learning-rate curve: one study at every rate of a grid, joined into one table."""

from pathlib import Path
from typing import Any

from simbench.repro import joined
from simbench.repro.run import Run
from simbench.repro.studies import StudyFile
from simbench.study.config import StudyConfig

FILE = StudyFile(
    "learning-rate.yaml",
    quick={"replicates": 2},
    full={"worlds": [{"preset": "twin:helpsteer", "n_features": 4096}]},
)
STATED_RANGE = (1e-4, 2e-3)  # in which the paper searches, as its reviews state it
CLAIMED_BEST = 5e-6  # the best rate of the paper, as its reviews state it: below that range
CLAIMED_EDGE = 1e-4  # above about which they report a sharp fall of R²
CLAIMED_BAD = 1e-3  # at which they report R² below 0
RATES = (1e-6, CLAIMED_BEST, 1e-5, 3e-5, CLAIMED_EDGE, 3e-4, CLAIMED_BAD, 2e-3, 1e-2)
QUICK_RATES = (CLAIMED_BAD,)


def rates(run: Run) -> tuple[float, ...]:
    """Return the learning rates of the small form, or of the others."""
    return QUICK_RATES if run.quick else RATES


def config(rate: float, run: Run) -> StudyConfig:
    """Return the study at one learning rate."""
    base = FILE.config(run.form)
    parameters = {name: {**base.parameters.get(name, {}), "lr": rate} for name in base.estimators}
    return base.model_copy(update={"parameters": parameters})


def describe(run: Run) -> dict[str, Any]:
    """Return the settings that decide the results of the step."""
    return {f"{rate:g}": config(rate, run).model_dump(mode="json") for rate in rates(run)}


def measure(run: Run, folder: Path) -> None:
    """Run what is missing at every rate; ``lr`` becomes a column of the joined tables."""
    parts = {f"lr-{rate:g}": (config(rate, run), {"lr": rate}) for rate in rates(run)}
    joined.measure(parts, run, folder)
