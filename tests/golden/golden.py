"""Golden numbers: what every world draws and what four estimators predict, small, on file.

``python tests/golden/golden.py`` measures them again and rewrites ``worlds.json`` and ``predictions.json``.
Whoever changes a number on purpose does that in a commit of its own, which says why.

Draws are hashed with their shape and type. What has been through a matrix product differs in the last
digits between processors, and is kept as a few values and moments, compared to a tolerance.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from simbench.estimator.registry import find
from simbench.study.cell import Cell, fit_cell
from simbench.study.config import StudyConfig, cells_of
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.responses import RatedFile, RatingLink
from simbench.worlds.world import World, build

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHARED = ROOT.parent / "shared" / "data"
REPLICATES = (0, 7)
BIAS_LEVEL = 0.8
WHO = ("oracle", "naive", "ips", "implicitrm")
SHORT = {"epochs": 3, "patience": 3, "batch_size": 64}
# relative: moments of float64 that went through products; absolute: predictions after three epochs in float32
TOLERANCE = {"worlds": 1e-9, "predictions": 2e-4}
REAL = {
    "alpacaeval2": {"features": "alpacaeval2.minilm128.safetensors"},
    "ultrafeedback1200": {},  # features of the text
}


def hashed(array: np.ndarray) -> dict[str, Any]:
    """Digest of shape, type and bytes, and the first values for a reader."""
    whole = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{whole.dtype.str} {whole.shape}".encode() + whole.tobytes()).hexdigest()
    first = [round(float(value), 6) for value in whole.ravel()[:3]]
    return {"sha256": digest[:24], "shape": list(whole.shape), "first": first}


def measured(array: np.ndarray) -> dict[str, Any]:
    """Shape, first values, and moments with weights that every entry and its place enter."""
    flat = np.asarray(array, dtype=float).ravel()
    weights = np.cos(np.arange(len(flat)) * 0.7371)
    moments = [flat.mean(), (flat**2).mean(), weights @ flat / len(flat)]
    return {"shape": list(np.shape(array)), "values": [float(value) for value in [*flat[:3], *moments]]}


def small(config: WorldConfig) -> WorldConfig:
    return config.changed(test_size=100) if config.responses.kind == "synthetic" else config


def real(name: str) -> WorldConfig:
    """A world on rated responses of ../shared, which is not part of the project."""
    files = {"path": f"{name}.jsonl.gz"} | REAL[name]
    where = RatedFile(**{key: str(SHARED / file) for key, file in files.items()})
    return WorldConfig(name=name, responses=where, reward=RatingLink(), behaviour=Logit(reads="features"))


def world_numbers(world: World, text_features: bool = False) -> dict[str, Any]:
    """What a world draws: features, context, reward, propensity, and the logs of two replicates."""
    train = world.train
    found = {
        "features": (measured if text_features else hashed)(np.asarray(train.features)),
        "test features": (measured if text_features else hashed)(np.asarray(world.test.features)),
        "groups": hashed(train.groups),
        "reward": measured(train.reward),
        "propensities": measured(getattr(train.law, "propensities", train.propensity[None])),
    }
    if train.context is not None:
        found["context"] = measured(train.context)  # a column is standardised: sums round differently
    if train.always_acts is not None:
        found["always acts"] = hashed(train.always_acts)
    for replicate in REPLICATES:
        log, truth = world.draw(range(replicate, replicate + 1))
        found[f"feedback {replicate}"] = hashed(log.feedback)
        found[f"preference {replicate}"] = hashed(truth.preference)
        if log.signals is not None:
            found[f"signals {replicate}"] = hashed(log.signals)
    return found


def predictions_of(config: StudyConfig) -> dict[str, Any]:
    """Predictions of every cell of a small study, by protocol, world and estimator."""
    found = {}
    for cell in cells_of(config):
        predictions, facts = fit_cell(cell, find(cell.estimator))
        found[_label(cell, facts["knows"])] = measured(predictions)
    return found


def _label(cell: Cell, knows: str) -> str:
    return f"{cell.world.name} | {cell.protocol.name} | {cell.estimator} | {knows}"


def small_study(worlds: list[WorldConfig], **changes: Any) -> StudyConfig:
    settings: dict[str, Any] = {
        "worlds": tuple(small(world) for world in worlds),
        "bias_levels": (BIAS_LEVEL,),
        "sizes": (300,),
        "replicates": 2,
        "estimators": WHO,
        "parameters": dict.fromkeys(WHO, SHORT),
    }
    return StudyConfig(**{**settings, **changes})


def twins_study(protocol: str) -> StudyConfig:
    """The twins under a protocol that ships, two replicates of 300 responses."""
    content = yaml.safe_load((ROOT / "benchmarks" / f"twins-{protocol}.yaml").read_text())
    who = ("oracle", "naive", "implicitrm", "ips" if protocol == "honest" else "ips@published")
    worlds = [small(PRESETS[w["preset"]].changed(n_features=16)) for w in content.pop("worlds")]
    given = {**content, "worlds": worlds, "sizes": (300,), "replicates": 2, "estimators": who}
    given["parameters"] = dict.fromkeys(who, SHORT)
    return StudyConfig.model_validate(given)


def all_worlds() -> dict[str, Any]:
    return {name: world_numbers(build(small(PRESETS[name]), BIAS_LEVEL, 300, 0)) for name in PRESETS}


def real_worlds() -> dict[str, Any]:
    return {
        name: world_numbers(build(real(name), BIAS_LEVEL, 300, 0), text_features="features" not in REAL[name])
        for name in REAL
    }


def all_predictions() -> dict[str, Any]:
    found = predictions_of(small_study(list(PRESETS.values())))
    for protocol in ("honest", "published"):
        found |= {f"twins-{protocol}: {key}": v for key, v in predictions_of(twins_study(protocol)).items()}
    return found


def real_predictions() -> dict[str, Any]:
    return predictions_of(small_study([real("alpacaeval2")]))


MEASURED = {
    "worlds": lambda: {**all_worlds(), **real_worlds()},
    "predictions": lambda: {**all_predictions(), **real_predictions()},
}


def read(name: str) -> dict[str, Any]:
    return json.loads((HERE / f"{name}.json").read_text())


def main() -> None:
    for name, measure in MEASURED.items():
        lines = [f"{json.dumps(key)}: {_lines(value)}" for key, value in measure().items()]
        (HERE / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _lines(value: dict[str, Any]) -> str:
    """A world's numbers one below the other; a prediction's on one line."""
    if "shape" in value:
        return json.dumps(value)
    inner = ",\n".join(f"  {json.dumps(key)}: {json.dumps(part)}" for key, part in value.items())
    return "{\n" + inner + "\n}"


if __name__ == "__main__":
    main()
