"""Runs a study: computes the cells that its folder lacks, then scores all into one long table."""

import json
import platform
import typing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.write import write_json
from simbench.study.cell import Outcome
from simbench.study.config import StudyConfig, cells_of, validate
from simbench.study.executors.executor import Executor
from simbench.study.executors.local import Local
from simbench.study.executors.worker import THREADS, fixed_threads
from simbench.study.interrupt import remembered
from simbench.study.policies import write_downstream
from simbench.study.shards import Shards
from simbench.study.table import table, write_table


class CellObserver(typing.Protocol):
    """A callable that is told of every cell as it ends, to show progress."""

    def __call__(self, outcome: Outcome, done: int, total: int) -> None:
        """Take the outcome of a cell, the number of cells that have ended, and that of all."""
        ...


def run(
    config: StudyConfig,
    out: str | Path | Location,
    executor: Executor | None = None,
    progress: CellObserver | None = None,
) -> pd.DataFrame:
    """Run the cells that ``out`` lacks, then write ``results.parquet``; ``study.json`` describes the study.

    Parameters
    ----------
    config : StudyConfig
    out : str, Path or Location
        A new folder, or one in which this very study began; a path, or a URL such as ``s3://bucket/study``.
    executor : Executor, optional
        Where cells run; by default one after another in this process. It changes no number.
    progress : CellObserver, optional

    Returns
    -------
    DataFrame
        The long table of :func:`simbench.study.table.table`.

    Raises
    ------
    BadInput
        If the configuration cannot be run, or ``out`` holds another study.
    """
    out, cells = Location(out), cells_of(config)
    shards = Shards(out / "shards")
    with executor or Local() as runner:
        validate(config, cells)
        runner.check(config.device, shards)
        _claim(out, config)
        outcomes = {}
        with remembered() as stopped:
            for outcome in runner.run(cells, shards):
                outcomes[outcome.cell.key] = outcome
                if progress is not None:
                    progress(outcome, len(outcomes), len(cells))
                if stopped.is_set():
                    raise KeyboardInterrupt
    with fixed_threads():
        result = table(config, [outcomes[cell.key] for cell in cells], shards)
    write_table(out / "results.parquet", result)
    if config.downstream is not None:
        write_downstream(out, config.downstream)
    return result


def is_of(out: Location, config: StudyConfig) -> bool:
    """Whether this very study began in the folder; False if nothing is there.

    Raises
    ------
    BadInput
        If the folder holds another study, or something else.
    """
    path, there = out / "study.json", out.names()
    if path.name not in (there or ()):
        # what a kill in the middle of the very first write leaves behind is no one's result
        if there is None or any(not name.endswith(".tmp") for name in there):
            raise BadInput(f"{out} exists and holds no study of simbench: choose another --out.")
        return False
    try:
        content = json.loads(path.read_text())
        found, made_by = content["config"], content["simbench"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged ({error}): choose another --out.") from error
    if made_by != VERSION:
        raise BadInput(
            f"{out} holds a study of simbench {made_by}, and this is {VERSION}: choose another --out, or "
            "delete that folder."
        )
    description = _described(config)
    if found != description:
        different = sorted(k for k in description if found.get(k) != description[k])
        raise BadInput(
            f"{out} holds another study (it differs in: {', '.join(different)}): choose another "
            "--out, or delete that folder."
        )
    return True


def _described(config: StudyConfig) -> dict[str, Any]:
    """The settings that identify a study: with more or less memory, it is the same one."""
    return json.loads(config.model_dump_json(exclude={"memory_budget"}))


def _claim(out: Location, config: StudyConfig) -> None:
    """Write ``study.json``, or make sure that the one in the folder describes this study."""
    if not is_of(out, config):
        description = _described(config)
        write_json(out / "study.json", {"config": description, **environment(config)})


def environment(config: StudyConfig) -> dict[str, Any]:
    """Versions, device, threads and seed: what a reader needs to run the study again elsewhere."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "pandas")
    return {
        "simbench": VERSION,
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "device": config.device,
        "memory_budget": config.memory_budget,
        "threads": THREADS,
        "seed": config.seed,
    }
