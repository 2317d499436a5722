"""The results of a study in Python: run or read one, and get its tables, notes and figures."""

import html
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from pydantic import ValidationError

from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.study import figures
from simbench.study.config import StudyConfig
from simbench.study.executors.local import Local
from simbench.study.file import Source, settings_of, study_from
from simbench.study.folder import config_digest, made_with
from simbench.study.notes import notes
from simbench.study.run import run as run_study
from simbench.study.summary import (
    Situation,
    caption,
    main_table,
    scope,
    situations,
    to_latex,
    to_markdown,
)
from simbench.study.table import read_draws, read_footer, read_table
from simbench.worlds.config import WorldConfig

_numbers = count()


class Results:
    """The results of a study.

    Parameters
    ----------
    table : DataFrame
        The long table, with a row for every situation, estimator and metric, a mean over the draws of a world
        if there are several; its columns are described under ``Results on disk`` in docs/results.md.
    config : StudyConfig
        The study.
    folder : str, Path or Location
        Where its shards lie: a folder, a URL, or this process's memory.
    """

    def __init__(self, table: pd.DataFrame, config: StudyConfig, folder: str | Path | Location):
        self.table: pd.DataFrame = table
        self.config: StudyConfig = config
        self.folder: Location = Location(folder)

    @cached_property
    def situations(self) -> list[Situation]:
        """Every situation of the study (protocol, world, bias level and size) with its rows of the table."""
        return list(situations(self.table, self.config))

    @cached_property
    def draws(self) -> pd.DataFrame:
        """The long table of every draw of the worlds, with a column ``draw``."""
        return read_draws(self.folder)

    def verdicts(self) -> pd.DataFrame:
        """The verdict on the bias of every estimator in every situation.

        Returns
        -------
        DataFrame
            Columns ``protocol, world, bias_level, size, estimator, told, n_worlds, distance2, low, high``
            (squared probability), ``verdict, reason``. Estimators that only rank, were skipped or failed have
            no row.
        """
        rows = self.table[self.table.metric == "distance2"]
        rows = rows.rename(columns={"knows": "told", "value": "distance2"})
        where = ["protocol", "world", "bias_level", "size", "estimator", "told", "n_worlds"]
        return rows[[*where, "distance2", "low", "high", "verdict", "reason"]].reset_index(drop=True)

    def figure(self, name: str) -> Figure:
        """Draw a figure of this study.

        Parameters
        ----------
        name : str
            An installed figure (``bias-variance``; ``simbench list figures`` prints all), or a Python file
            with a function ``draw(table)``.

        Raises
        ------
        BadInput
            If there is no such figure, or this study lacks what it shows.
        """
        return figures.find(name).draw(self.folder)

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the numbers, a line each; identification comes first."""
        several, stacks = len(self.situations) > 1, made_with(self.folder)
        of_situations = [
            f"{one.title(self.config)}: {line}" if several else line
            for one in self.situations
            for line in notes(one.rows, one.world, self.config)
        ]
        return of_situations if stacks is None else [*of_situations, stacks]

    def to_markdown(self) -> str:
        """The main table of every situation, in Markdown."""
        tables = [f"**{s.title(self.config)}**\n\n{to_markdown(main_table(s.rows))}" for s in self.situations]
        return "\n".join([*tables, f"{_below(self.config)}\n"])

    def to_latex(self) -> str:
        """The main table of every situation, in LaTeX; needs the package booktabs."""
        below = _below(self.config)
        return "\n".join(to_latex(main_table(s.rows), s.title(self.config), below) for s in self.situations)

    def _repr_html_(self) -> str:
        """The main table of every situation, for a notebook."""
        tables = [
            f"<h4>{html.escape(s.title(self.config))}</h4>{main_table(s.rows).to_html(index=False)}"
            for s in self.situations
        ]
        below = html.escape(_below(self.config))
        return "".join([*tables, f"<p>{below}</p>"])

    def __repr__(self) -> str:
        count = len(self.situations)
        return f"Results of {count} situations in {self.folder}: see .verdicts(), .table, .notes"


def _below(config: StudyConfig) -> str:
    """What stands below a table."""
    words = scope(config)
    return f"{words[0].upper()}{words[1:]}. {caption(config)}"


def run(
    study: Source | StudyConfig | None = None,
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    worlds: Sequence[str | Mapping[str, Any] | WorldConfig] | None = None,
    bias_levels: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    estimators: Sequence[str] | None = None,
    draws: int | None = None,
    replicates: int | None = None,
    seed: int | None = None,
    **settings: Any,
) -> Results:
    """Simulate logs, train every estimator on each, and compare the fitted rewards with the truth.

    Parameters
    ----------
    study : str, Path, mapping or StudyConfig, optional
        A YAML file, the name of a study that comes with simbench, or the settings themselves; by default the
        study of ``simbench run``.
    out : str or Path, optional
        A results folder or URL, from which a later call continues; by default results stay in memory.
    jobs : int
        Number of processes, each on one thread.
    worlds, bias_levels, sizes, estimators, draws, replicates, seed : optional
        In place of the study's own. Names are those of ``simbench list``.
    **settings
        Other settings of :class:`simbench.study.config.StudyConfig`, such as ``grant=["propensity"]``.

    Raises
    ------
    BadInput
        If the study cannot be read or run.
    """
    grid = {"worlds": worlds, "bias_levels": bias_levels, "sizes": sizes, "estimators": estimators}
    given = {**grid, "draws": draws, "replicates": replicates, "seed": seed, **settings}
    raw = settings_of(study.model_dump() if isinstance(study, StudyConfig) else study)
    config = study_from({**raw, **{name: value for name, value in given.items() if value is not None}})
    if out is not None:
        return Results(run_study(config, out, Local(jobs)), config, out)
    # processes share no memory: several write into a folder that goes with the results
    in_memory = f"memory://simbench/{next(_numbers)}"
    folder = Location(in_memory if jobs == 1 else tempfile.mkdtemp(prefix="simbench-"))
    results = Results(run_study(config, folder, Local(jobs)), config, folder)
    weakref.finalize(results, folder.remove)
    return results


def read(folder: str | Path) -> Results:
    """Read the results of a finished study from the folder or URL that ``simbench run --out`` wrote.

    Raises
    ------
    BadInput
        If there are none, or they are damaged.
    """
    where = Location(folder)
    table, footer = read_table(where), read_footer(where)
    path = where / "study.json"
    try:
        said = read_mapping(path, "run the study again")["config"]
        config = StudyConfig.model_validate(said)
    except (KeyError, ValidationError) as error:
        raise BadInput(f"{path} cannot be read ({type(error).__name__}): run the study again.") from error
    if footer is not None and footer.config != config_digest(said):
        raise BadInput(f"{where}: study.json and results.parquet are of two studies: run one of them again.")
    return Results(table, config, where)
