"""The step of the published protocol: at the published learning rates, and at several times them.

How far a step of a given rate moves a network grows with the number of its inputs. The twins have fewer than
the published embeddings, so that the published rates alone would be slower here than they were there.
"""

from pathlib import Path
from typing import Any

from simbench.repro import joined
from simbench.repro.published import DATA_SETS
from simbench.repro.run import Run
from simbench.repro.studies import StudyFile, twins_of
from simbench.study.config import StudyConfig

PUBLISHED = "published"
TIMES = 5  # the published rates
FASTER = f"published, {TIMES} x rate"
FACTORS = {PUBLISHED: 1, FASTER: TIMES}
COMPARED = tuple(DATA_SETS.values())  # the data sets that have committed numbers
FILE = StudyFile(
    "twins-published.yaml",
    quick={
        "worlds": [{"preset": "twin:helpsteer"}],
        "estimators": [
            "naive",
            "naive-sqrt",
            "balanced-naive",
            "ips@published",
            "upu@published",
            "implicitrm",
        ],
        "replicates": 2,
    },
    full={
        "worlds": [
            {"preset": f"twin:{name}", "n_features": 4096}
            for name in ("helpsteer", "ultrafeedback", "saferlhf")
        ],
        "sizes": [],
        "parameters": {"recrec@published": {"hidden": [512, 128]}},
    },
)


def config(run: Run, protocol: str) -> StudyConfig:
    """Return the study under the published protocol, with every learning rate times the protocol's factor.

    At several times the rates it is of the data sets that have committed numbers to compare with.
    """
    base = twins_of(run, FILE)
    if protocol == FASTER:
        worlds = tuple(world for world in base.worlds if world.name.partition(":")[2] in COMPARED)
        base = base.model_copy(update={"worlds": worlds or base.worlds})
    parameters = {
        name: {**given, "lr": given["lr"] * FACTORS[protocol]} for name, given in base.parameters.items()
    }
    (named,) = base.protocols
    named = named.model_copy(update={"name": protocol})
    return base.model_copy(update={"parameters": parameters, "protocols": (named,)})


def describe(run: Run) -> dict[str, Any]:
    """Return the settings that decide the results of the step."""
    return {protocol: config(run, protocol).model_dump(mode="json") for protocol in FACTORS}


def measure(run: Run, folder: Path) -> None:
    """Run what is missing at both rates; the protocol's name tells them apart."""
    parts = {f"rate-x{factor}": (config(run, name), {}) for name, factor in FACTORS.items()}
    joined.measure(parts, run, folder)
