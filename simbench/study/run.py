"""Runs a study: computes the cells that its folder lacks, and scores them into one long table."""

from itertools import chain
from pathlib import Path

import pandas as pd

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.stops import remembered
from simbench.study import policies, secret
from simbench.study.cell import Cell, Outcome, ended
from simbench.study.config import StudyConfig, cells_of, validate, validate_worlds
from simbench.study.draws import over_draws
from simbench.study.executors.executor import Executor
from simbench.study.executors.local import Local
from simbench.study.folder import config_digest, describe, described, is_described, is_of
from simbench.study.observers import CellObserver, PhaseObserver, unseen
from simbench.study.scoring import Scorer
from simbench.study.shards import Shards
from simbench.study.table import DRAWS, FILE, Footer, earlier_rows, footer_of, write_table
from simbench.training.threads import fixed_threads


def run(
    config: StudyConfig,
    out: str | Path | Location,
    executor: Executor | None = None,
    progress: CellObserver | None = None,
    phase: PhaseObserver = unseen,
) -> pd.DataFrame:
    """Run the cells that ``out`` lacks, then write ``results.parquet`` and ``draws.parquet``.

    ``study.json`` describes the study.

    Parameters
    ----------
    config : StudyConfig
    out : str, Path or Location
        A new folder, or one in which a study began: what it holds of this one is not computed again. A path,
        or a URL such as ``s3://bucket/study``.
    executor : Executor, optional
        Where cells run; by default one after another in this process. It changes no number.
    progress : CellObserver, optional
    phase : callable, optional
        Told what the study is at before, between and after its cells.

    Returns
    -------
    DataFrame
        The long table of :func:`simbench.study.draws.over_draws`, of this study alone: cells that the folder
        holds besides stay there, without rows.

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
        finished = _finished(cells, shards, phase)
        left = [cell for cell in cells if cell.key not in finished]
        validate_worlds(left, phase)
        runner.check(config.device, shards)
        if not is_there:
            describe(out, config, is_over=False)
        if left and config.secret and secret.is_published(out):
            raise BadInput(
                f"the seed of {out} is published, and {len(left)} cells are left: choose another --out, or "
                f"run them with --seed {config.seed}, which is no secret."
            )
        phase("cells", len(finished), len(cells))
        with remembered() as stopped:
            outcomes = chain(finished.values(), runner.run(left, shards) if left else ())
            for done, outcome in enumerate(outcomes, 1):
                with fixed_threads():
                    scorer.take(outcome)
                if progress is not None:
                    progress(outcome, done, len(cells))
                if stopped.is_set():
                    raise KeyboardInterrupt
    return _write(out, config, scorer, before, phase)


def _finished(cells: list[Cell], shards: Shards, phase: PhaseObserver) -> dict[str, Outcome]:
    """The outcomes of the cells whose shards hold all their replicates, by their keys."""
    there, found = set(shards.folder.names() or ()), {}
    for number, cell in enumerate(cells):
        phase("reading finished cells", number, len(cells))
        key = cell.key
        shard = shards.finished(key, cell.replicates) if shards.path(key).name in there else None
        if shard is not None:
            found[key] = ended(cell, shard)
    return found


def _write(
    out: Location, config: StudyConfig, scorer: Scorer, before: Footer | None, phase: PhaseObserver
) -> pd.DataFrame:
    """Write what the folder does not say already: first the table, then what it is of."""
    of_draws, footer = scorer.table(), Footer(config_digest(described(config)), scorer.cells)
    table = over_draws(of_draws, config)
    if footer != before or footer_of(out) != footer:
        write_table(out / FILE, table, footer)
        write_table(out / DRAWS, of_draws, footer)  # last: what it says is what was written
        if before is not None and config.downstream is None:
            (out / policies.FILE).remove()  # it is of other cells
    if not is_described(out, config, scorer.stacks):
        describe(out, config, scorer.stacks)
    if config.downstream is not None:
        of = scorer.n_situations
        policies.write_downstream(out, config.downstream, lambda number: phase("policies", number, of))
    return table
