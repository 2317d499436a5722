"""``simbench run``: from flags to a study, from results to a printed table."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from simbench.cell import Cell
from simbench.commands.names import everyone, grants, preset
from simbench.commands.output import console, emit
from simbench.commands.progress import CellProgress
from simbench.errors import BadInput
from simbench.executors import Executor, find_executor
from simbench.location import Location
from simbench.registry import find
from simbench.study import StudyConfig, plan
from simbench.study import run as run_study
from simbench.training import chunk_of_shape
from simbench.world import RealResponses, WorldConfig

WORLD_FLAGS = (
    *("reward", "base_rate", "action_rate", "misclick", "confounding"),
    *("signals", "regenerate", "signal_dependence", "responses_per_prompt", "trait"),
)
RAY_FLAGS = ("ray_address", "cpus_per_cell", "gpus_per_cell")
REAL_FLAGS = (
    *("prompt_column", "text_column", "rating_column", "votes_column", "link", "slope", "threshold"),
)


def run(flags: dict[str, Any]) -> None:
    """``simbench run``; ``flags`` as the command line gave them, None where it did not."""
    config = study_from(flags)
    out = Location(flags["out"] or Path("results") / _short_hash(config))
    executor = _executor(flags)
    if flags["dry_run"]:
        from simbench.commands.forecast import dry_run

        dry_run(config, out, flags["jobs"], flags["format"])
        return
    with CellProgress(memory_statement(config)) as progress:
        table = run_study(config, out, executor, progress)
    if flags["format"] == "table":
        _print_study(table, config)
    else:
        emit(table, flags["format"])
    print(f"results: {out / 'results.parquet'}", file=sys.stderr)
    print(f"picture: simbench figure bias-variance {out}", file=sys.stderr)
    if config.downstream is not None:
        print(f"policies: {out / 'downstream.parquet'}, simbench figure value-kl {out}", file=sys.stderr)
    if (table.status == "failed").any():
        names = ", ".join(sorted(table[table.status == "failed"].estimator.unique()))
        print(f"simbench: failed: {names} (the reasons are in the table).", file=sys.stderr)
        sys.exit(1)


def memory_statement(config: StudyConfig) -> str:
    """The budget of the replicates that train at once, and how many fit where not all do."""
    text = f"memory: replicates that train at once take at most {config.memory_budget.human_readable()}"
    least: dict[int, Cell] = {}
    for cell in plan(config):
        kind = find(cell.estimator)
        estimator = kind(**cell.parameters)
        if cell.world.real is None and hasattr(estimator, "hidden"):
            signals = len(cell.world.signal_names) if "signals" in kind.needs | kind.optional else 0
            shape = (cell.size, cell.world.n_features, len(estimator.networks), signals)
            fits = chunk_of_shape(estimator, *shape, config.memory_budget)
            least.setdefault(max(1, fits // getattr(estimator, "restarts", 1)), cell)
    if least and min(least) < config.replicates:
        cell = least[min(least)]
        text += f": {min(least)} of {config.replicates} for {cell.estimator} at {cell.size:,} responses"
    return f"{text} (--memory); features, feedback and predictions come on top"


def _executor(flags: dict[str, Any]) -> Executor:
    """Where cells are to run, by the flags."""
    name = flags["executor"]
    options = {option: flags[option] for option in ("jobs", *RAY_FLAGS) if flags[option] is not None}
    foreign = [option for option in RAY_FLAGS if option in options and name != "ray"]
    if foreign:
        raise BadInput(f"--{foreign[0].replace('_', '-')} is of --executor ray.")
    return find_executor(name, **options)


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


def _short_hash(config: StudyConfig) -> str:
    return hashlib.sha256(config.model_dump_json(exclude={"memory_budget"}).encode()).hexdigest()[:10]


def _print_study(table: pd.DataFrame, config: StudyConfig) -> None:
    from simbench.report import print_study

    cells = {(c.protocol.name, c.world, c.bias_level, c.size): c for c in plan(config)}.values()
    print_study(table, config, [(cell.protocol.name, cell.built()) for cell in cells], console())
