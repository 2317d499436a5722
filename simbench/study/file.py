"""Reads a study from YAML and flags."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from simbench.errors import BadInput
from simbench.study.config import StudyConfig
from simbench.study.names import everyone, grants, preset
from simbench.worlds.config import RealResponses, WorldConfig

WORLD_FLAGS = (
    *("reward", "base_rate", "action_rate", "misclick", "confounding"),
    *("signals", "regenerate", "signal_dependence", "responses_per_prompt", "trait"),
)


REAL_FLAGS = (
    *("prompt_column", "text_column", "rating_column", "votes_column", "link", "slope", "threshold"),
)


def study_from(flags: dict[str, Any]) -> StudyConfig:
    """The study that the flags, over a YAML file where one is given, describe.

    Raises
    ------
    BadInput
        With what is wrong and where.
    """
    raw = _read_yaml(flags["config"]) if flags["config"] is not None else {}
    values: dict[str, Any] = {"memory_budget": flags["memory"]}
    values |= {
        name: flags[name] for name in ("replicates", "seed", "margin", "label_share", "device", "precision")
    }
    values["bias_levels"] = _numbers(flags["bias_level"], float, "--bias-level")
    values["sizes"] = _numbers(flags["size"], int, "--size")
    names = _split(flags["estimators"])
    extra = flags["estimator"] or []
    if names or extra:
        base = names or raw.get("estimators") or StudyConfig().estimators
        base = everyone() if list(base) == ["all"] else base
        values["estimators"] = list(dict.fromkeys([*base, *extra]))
    if flags["downstream"]:
        values["downstream"] = raw.get("downstream") or {}
    if flags["grant"] is not None:
        values["grant"] = grants(flags["grant"])
    raw |= {name: value for name, value in values.items() if value is not None}
    try:
        worlds = _worlds(flags, raw.pop("worlds", None))
        return StudyConfig.model_validate({**raw, "worlds": worlds})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{where or 'the study'}: {first['msg']}, got {first['input']!r}.") from error


def _worlds(flags: dict[str, Any], given: Any) -> list[WorldConfig]:
    """Presets by name or whole worlds, with the flags laid over them."""
    chosen = _split(flags["world"]) or given or ["exclusive"]
    changes = {name: flags[name] for name in WORLD_FLAGS if flags[name] is not None}
    if flags["trait"] is not None:
        changes["salience"] = "trait"
    if flags["features_dim"] is not None:
        changes["n_features"] = flags["features_dim"]
    real = _real(flags)
    worlds = []
    for world in chosen:
        config = preset(world) if isinstance(world, str) else described_world(world)
        described = {**config.model_dump(), **changes}
        if real is not None:
            stem = Path(real.path).name.split(".")[0]
            described |= {"real": real.model_dump(), "name": f"{config.name}:{stem}"}
        worlds.append(WorldConfig.model_validate(described))
    return worlds


def described_world(world: dict[str, Any]) -> WorldConfig:
    """A world in a study file: all of it, or a preset with changes (``preset: twin:helpsteer``)."""
    changes = dict(world)
    start = preset(changes.pop("preset")).model_dump() if "preset" in changes else {}
    return WorldConfig.model_validate({**start, **changes})


def _real(flags: dict[str, Any]) -> RealResponses | None:
    given = {name: flags[name] for name in REAL_FLAGS if flags[name] is not None}
    if flags["responses"] is None:
        if given or flags["features"] is not None:
            used = ", ".join(f"--{name.replace('_', '-')}" for name in given) or "--features"
            raise BadInput(f"{used} describes a file of responses: give it with --responses FILE.")
        return None
    features = None if flags["features"] is None else str(flags["features"])
    return RealResponses(path=str(flags["responses"]), features=features, **given)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} must hold a mapping of study settings, such as `replicates: 20`.")
    return value


def _split(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]


def _numbers(values: list[str] | None, kind: Callable[[str], Any], flag: str) -> list[Any] | None:
    try:
        return [kind(part) for part in _split(values)] or None
    except ValueError as error:
        raise BadInput(f"{flag} must be numbers, separated by commas, got {values}.") from error
