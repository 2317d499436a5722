"""Runs a study: computes the cells that its folder lacks, and scores them into one long table."""

import typing
from itertools import chain
from pathlib import Path

import pandas as pd

from simbench.files.location import Location
from simbench.study import policies
from simbench.study.cell import Cell, Outcome, ended
from simbench.study.config import StudyConfig, cells_of, validate, validate_worlds
from simbench.study.executors.executor import Executor
from simbench.study.executors.local import Local
from simbench.study.folder import config_digest, describe, described, is_described, is_of
from simbench.study.interrupt import remembered
from simbench.study.scoring import Scorer
from simbench.study.shards import Shards
from simbench.study.table import FILE, Footer, earlier_rows, write_table
from simbench.training.threads import fixed_threads


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
        A new folder, or one in which a study began: what it holds of this one is not computed again. A path,
        or a URL such as ``s3://bucket/study``.
    executor : Executor, optional
        Where cells run; by default one after another in this process. It changes no number.
    progress : CellObserver, optional

    Returns
    -------
    DataFrame
        The long table of :meth:`simbench.study.scoring.Scorer.table`, of this study alone: cells that the
        folder holds besides stay there, without rows.

    Raises
    ------
    BadInput
        If the configuration cannot be run, or ``out`` holds another study.
    """
    out, cells = Location(out), cells_of(config)
    shards = Shards(out / "shards")
    before, rows = earlier_rows(out)
    scorer = Scorer(config, cells, shards, rows)
    with executor or Local() as runner:
        is_there = is_of(out, config)
        validate(config, cells)
        finished = _finished(cells, shards)
        left = [cell for cell in cells if cell.key not in finished]
        validate_worlds(left)
        runner.check(config.device, shards)
        if not is_there:
            describe(out, config)
        with remembered() as stopped:
            outcomes = chain(finished.values(), runner.run(left, shards) if left else ())
            for done, outcome in enumerate(outcomes, 1):
                with fixed_threads():
                    scorer.take(outcome)
                if progress is not None:
                    progress(outcome, done, len(cells))
                if stopped.is_set():
                    raise KeyboardInterrupt
    return _write(out, config, scorer, before)


def _finished(cells: list[Cell], shards: Shards) -> dict[str, Outcome]:
    """The outcomes of the cells whose shards hold all their replicates, by their keys."""
    there, found = set(shards.folder.names() or ()), {}
    for cell in cells:
        is_there = shards.path(cell.key).name in there
        shard = shards.finished(cell.key, cell.replicates) if is_there else None
        if shard is not None:
            found[cell.key] = ended(cell, shard)
    return found


def _write(out: Location, config: StudyConfig, scorer: Scorer, before: Footer | None) -> pd.DataFrame:
    """Write what the folder does not say already: first the table, then what it is of."""
    table, footer = scorer.table(), Footer(config_digest(described(config)), scorer.cells)
    if footer != before:
        write_table(out / FILE, table, footer)
        if before is not None and config.downstream is None:
            (out / policies.FILE).remove()  # it is of other cells
    if not is_described(out, config, scorer.stacks):
        describe(out, config, scorer.stacks)
    if config.downstream is not None:
        policies.write_downstream(out, config.downstream)
    return table
