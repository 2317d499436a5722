"""The steps of the reproduction: each measures one thing into its own folder, and can be resumed."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.files.write import write_json
from simbench.repro import downstream, learning_rate, measurements, rates
from simbench.repro.run import FINISHED, REMEDY, Run
from simbench.repro.studies import StudyFile, twins_of
from simbench.study.config import StudyConfig


@dataclass(frozen=True)
class Step:
    """One step of the reproduction.

    Parameters
    ----------
    name : str
        Name of the step and of its folder.
    title : str
        What it measures, in words.
    measure : callable
        ``measure(run, folder)`` writes ``results.parquet``.
    describe : callable
        ``describe(run)`` returns the settings that decide the results.
    """

    name: str
    title: str
    measure: Callable[[Run, Path], None]
    describe: Callable[[Run], Any]

    def fingerprint(self, run: Run) -> str:
        """Return a hash of everything that the results depend on; another one means another reproduction."""
        text = json.dumps([VERSION, self.name, self.describe(run)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def execute(self, run: Run) -> bool:
        """Measure unless the step is finished, and return whether anything was measured.

        Raises
        ------
        BadInput
            If the folder holds results of other settings or of another version.
        """
        folder, fingerprint = run.out / self.name, self.fingerprint(run)
        done = folder / FINISHED
        if done.exists():
            found = read_mapping(done, REMEDY).get("fingerprint")
            if found != fingerprint:
                raise BadInput(
                    f"{folder} holds results of other settings or of another version: choose another --out, "
                    "or delete that folder."
                )
            return False
        start = time.perf_counter()
        self.measure(run, folder)
        seconds = round(time.perf_counter() - start, 1)
        write_json(done, {"fingerprint": fingerprint, "quick": run.quick, "seconds": seconds})
        return True


def study(name: str, title: str, file: str, *, quick: dict[str, Any]) -> Step:
    """Return a step that runs one study.

    Parameters
    ----------
    name, title : str
        As in :class:`Step`.
    file : str
        Name of the study file.
    quick : dict of str
        Settings that replace those of the file in the small form.
    """
    described = StudyFile(file, quick)

    def config(run: Run) -> StudyConfig:
        return twins_of(run, described)

    return Step(
        name,
        title,
        lambda run, folder: measurements.run_study(config(run), folder, run),
        lambda run: config(run).model_dump(mode="json"),
    )


FEW = 8  # replicates of the small form: one block of stacked networks, so that fewer would cost the same
FEWER = 2  # where the network is wide, and a block holds one

STEPS: tuple[Step, ...] = (
    Step(
        "risk",
        "exact bias of every risk",
        lambda run, folder: measurements.measure_risk(folder),
        lambda run: ["all", measurements.IDENTITY_NAMES],
    ),
    study(
        "bias-level",
        "bias and variance against the bias level",
        "bias-level.yaml",
        quick={
            "bias_levels": [0, 2],  # every estimator, so that a wrong loss of any family shows
            "replicates": FEW,
        },
    ),
    study(
        "rating",
        "the rating law",
        "rating.yaml",
        quick={
            "bias_levels": [0.5],
            "estimators": ["oracle", "naive", "naive-sqrt", "implicitrm", "implicitrm@printed"],
            "replicates": FEW,
        },
    ),
    study(
        "identification",
        "what identifies the reward",
        "identification.yaml",
        quick={
            "worlds": ["exclusive", "shared"],
            "bias_levels": [3],
            "estimators": ["oracle", "implicitrm", "implicitrm-known"],
            "estimators_in": {},
            "alternatives": [[], ["propensity"]],
        },
    ),
    study(
        "efficiency",
        "efficiency against the Cramér-Rao bound",
        "efficiency.yaml",
        quick={"bias_levels": [1], "estimators": ["oracle", "implicitrm-known"], "replicates": 16},
    ),
    Step(
        "learning-rate",
        "sensitivity to the learning rate",
        learning_rate.measure,
        learning_rate.describe,
    ),
    Step(
        "twins-published",
        "the twins under the published protocol",
        rates.measure,
        rates.describe,
    ),
    study(
        "twins-honest",
        "the twins under the honest protocol",
        "twins-honest.yaml",
        quick={
            "worlds": [{"preset": "twin:helpsteer", "n_features": 64}],
            "estimators": ["naive", "naive-sqrt", "ips", "recrec", "implicitrm"],
            "replicates": 4,
        },
    ),
    study(
        "leaks",
        "what each leak is worth",
        "leaks.yaml",
        quick={
            "worlds": [{"preset": "twin:helpsteer"}],
            "estimators": ["naive", "implicitrm"],
            "protocols": ["published", "off: oracle stopping", "off: all"],
            "replicates": FEWER,
        },
    ),
    Step("downstream", "policies on the fitted rewards", downstream.measure, downstream.describe),
    Step(
        "throughput",
        "speed of stacked training",
        lambda run, folder: measurements.measure_throughput(folder, run.quick),
        lambda run: run.quick,
    ),
)


def chosen(names: str | None) -> list[Step]:
    """Return the steps of a comma-separated list in the order in which they run, or all of them for None.

    Raises
    ------
    BadInput
        If a name is unknown.
    """
    if names is None:
        return list(STEPS)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [step.name for step in STEPS]
    for name in wanted:
        if name not in known:
            raise BadInput(f"the reproduction has no step {name!r}: choose from {', '.join(known)}.")
    return [step for step in STEPS if step.name in wanted]
