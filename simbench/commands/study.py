"""``simbench run``: from flags to a study, from results to a printed table."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from simbench.commands.output import console, emit
from simbench.commands.progress import CellProgress
from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.files.location import Location
from simbench.study.cell import Cell
from simbench.study.config import StudyConfig, plan
from simbench.study.executors.executor import Executor, find_executor
from simbench.study.file import study_from
from simbench.study.run import run as run_study
from simbench.training.train import chunk_of_shape

RAY_FLAGS = ("ray_address", "cpus_per_cell", "gpus_per_cell")


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


def _short_hash(config: StudyConfig) -> str:
    return hashlib.sha256(config.model_dump_json(exclude={"memory_budget"}).encode()).hexdigest()[:10]


def _print_study(table: pd.DataFrame, config: StudyConfig) -> None:
    from simbench.cli.report import print_study

    cells = {(c.protocol.name, c.world, c.bias_level, c.size): c for c in plan(config)}.values()
    print_study(table, config, [(cell.protocol.name, cell.built()) for cell in cells], console())
