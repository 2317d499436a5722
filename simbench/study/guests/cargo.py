"""Logs, scenes, features and settings of a training as messages: what a guest is handed, and nothing else."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from simbench.files.matrix import MappedMatrix, Matrix, blocks
from simbench.files.tensor_file import write_blocks
from simbench.log.feedback import FeedbackLog
from simbench.study.guests.wire import Arrays, Message, decoded, encoded
from simbench.training.holdout import Holdout
from simbench.training.precision import Precision
from simbench.training.trainer import Execution
from simbench.worlds.ratings import Ratings
from simbench.worlds.scene import Scene

MATRICES = ("features", "context")  # which may be on disk
OF_RATINGS = ("exceeds", "levels", "shares")


def packed_log(log: FeedbackLog, folder: Path) -> tuple[Message, Arrays]:
    """A log as JSON and arrays; a matrix on disk is copied to ``folder``: no path tells where it is from."""
    told: Message = {}
    arrays: Arrays = {}
    for field in fields(log):
        value = getattr(log, field.name)
        if field.name in MATRICES and value is not None:
            told |= packed_matrix(field.name, value, folder, arrays)
        elif isinstance(value, np.ndarray):
            arrays[field.name] = value
        else:
            told[field.name] = encoded(value)
    return told, arrays


def unpacked_log(told: Message, arrays: Mapping[str, np.ndarray]) -> FeedbackLog:
    """The log that :func:`packed_log` packed."""
    own: dict[str, Any] = {field.name: decoded(told.get(field.name)) for field in fields(FeedbackLog)}
    own |= {name: value for name, value in arrays.items() if name in own}
    for name in MATRICES:
        own[name] = unpacked_matrix(name, told, arrays)
    return FeedbackLog(**own)


def packed_scene(scene: Scene, folder: Path) -> tuple[Message, Arrays]:
    """A scene as JSON and arrays, as :func:`packed_log` packs a log."""
    told: Message = {}
    arrays: Arrays = {}
    for field in fields(scene):
        value = getattr(scene, field.name)
        if field.name == "features":
            told |= packed_matrix(field.name, value, folder, arrays)
        elif isinstance(value, Ratings):
            arrays |= {f"ratings {name}": np.asarray(getattr(value, name)) for name in OF_RATINGS}
            told["threshold"] = float(value.threshold)
        elif isinstance(value, np.ndarray):
            arrays[field.name] = value
        else:
            told[field.name] = encoded(value)
    return told, arrays


def unpacked_scene(told: Message, arrays: Mapping[str, np.ndarray]) -> Scene:
    """The scene that :func:`packed_scene` packed."""
    own: dict[str, Any] = {field.name: decoded(told.get(field.name)) for field in fields(Scene)}
    own |= {name: value for name, value in arrays.items() if name in own}
    own["features"] = unpacked_matrix("features", told, arrays)
    if "threshold" in told:
        parts = {name: arrays[f"ratings {name}"] for name in OF_RATINGS}
        own["ratings"] = Ratings(**parts, threshold=told["threshold"])
    return Scene(**own)


def packed_matrix(name: str, matrix: Matrix, folder: Path, arrays: Arrays) -> Message:
    """Put a matrix among the arrays, or in a file of the folder if it is on disk; returns where it is."""
    if isinstance(matrix, np.ndarray):
        arrays[name] = matrix
        return {}
    path = folder / f"{name}.safetensors"
    write_blocks(path, "embeddings", (part for _, part in blocks(matrix)), matrix.shape)
    return {f"{name} in": path.name}


def unpacked_matrix(name: str, told: Message, arrays: Mapping[str, np.ndarray]) -> Matrix | None:
    """The matrix that :func:`packed_matrix` packed; None if there was none."""
    if f"{name} in" in told:
        return MappedMatrix.open(Path(told["folder"]) / told[f"{name} in"])
    return arrays.get(name)


def packed_training(holdout: Holdout | None, execution: Execution | None) -> tuple[Message, Arrays]:
    """How a protocol departs from the usual, as JSON and arrays."""
    told: Message = {}
    arrays: Arrays = {}
    if holdout is not None:
        told["hold out by"] = holdout.by
        if holdout.oracle_labels is not None:
            arrays["oracle_labels"] = holdout.oracle_labels
    if execution is not None:
        told["execution"] = {"precision": execution.precision, "memory_budget": execution.memory_budget}
    return told, arrays


def unpacked_training(
    told: Message, arrays: Mapping[str, np.ndarray], device: str
) -> tuple[Holdout | None, Execution | None]:
    """The holdout and the execution that :func:`packed_training` packed."""
    holdout = Holdout(told["hold out by"], arrays.get("oracle_labels")) if "hold out by" in told else None
    how = told.get("execution")
    if how is None:
        return holdout, None
    precision: Precision = how["precision"]
    return holdout, Execution.on(device, precision, how["memory_budget"])
