"""``simbench run``: runs a study, and prints its results."""

import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from simbench.cli.options import numbers, split
from simbench.cli.printable import print
from simbench.cli.world_options import RealOptions, WorldOptions, overrides
from simbench.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from simbench.files.location import Location
    from simbench.study.config import StudyConfig
    from simbench.study.executors.executor import Executor


SECRET = "secret"


class RunFormat(StrEnum):
    """How the results of a study are printed: for people, for programs, or for a document."""

    table = "table"
    json = "json"
    csv = "csv"
    latex = "latex"
    markdown = "markdown"


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Options for what is measured: which study, and what overrides it."""

    PANEL: ClassVar[str] = "Study"

    config: Annotated[
        str | None,
        typer.Option(
            "--study",
            "--config",
            metavar="NAME|FILE",
            help="A study to start from: a name of `simbench list studies`, or a YAML file; the other "
            "options override it (default: the defaults below).",
        ),
    ] = None
    world: Annotated[
        list[str] | None,
        typer.Option(
            help="Worlds, separated by commas: names of `simbench list worlds` (default exclusive)."
        ),
    ] = None
    bias_level: Annotated[
        list[str] | None,
        typer.Option(
            help="How unequally users act, from 0 (all alike); several separated by commas (default 0.8)."
        ),
    ] = None
    estimators: Annotated[
        list[str] | None,
        typer.Option(
            help="Estimators, separated by commas: names of `simbench list estimators`, or all (default: the "
            "oracle and nine others)."
        ),
    ] = None
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            help="One more estimator: a name, package.module:Class or path/to/file.py:Class; repeatable "
            "(default: none)."
        ),
    ] = None
    worlds: Annotated[
        int | None,
        typer.Option(
            help="Independent draws of each world; one says nothing of another (default 5; of a study in a "
            "file: what it says, else 1)."
        ),
    ] = None
    replicates: Annotated[
        int | None,
        typer.Option(
            help="How many logs of each draw are fitted (default 8; of a study in a file: what it says, else "
            "20)."
        ),
    ] = None
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Responses in a log; several separated by commas (default: the world's own, 10000 in most)."
        ),
    ] = None
    seed: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER|secret",
            help="Random seed; secret draws one, and publishes it in study.json after the last cell (default "
            "0).",
        ),
    ] = None
    grant: Annotated[
        str | None,
        typer.Option(
            help="What estimators that ask for it are told, separated by commas: names of `simbench list "
            "grants`, or none (default propensity,class-prior)."
        ),
    ] = None
    label_share: Annotated[
        float | None,
        typer.Option(help="Share of the responses whose label is told with --grant labels (default 0.05)."),
    ] = None
    margin: Annotated[
        float | None,
        typer.Option(
            help="Root-mean-square bias, in units of probability, below which an estimator counts as "
            "unbiased (default 0.05)."
        ),
    ] = None
    converged: Annotated[
        bool,
        typer.Option(
            "--converged",
            help="Also fit logistic heads of every estimator to the optimum of its own risk: what bias "
            "remains is owed neither to early stopping nor to the network (default: not).",
        ),
    ] = False
    downstream: Annotated[
        bool,
        typer.Option(
            "--downstream",
            help="Also measure the policies that follow each fitted reward: value against KL (default: not).",
        ),
    ] = False

    def given(self) -> dict[str, Any]:
        """The fields of :class:`simbench.study.file.Overrides` that these options set."""
        return {
            "worlds": split(self.world) or None,
            "bias_levels": numbers(self.bias_level, float, "--bias-level"),
            "sizes": numbers(self.size, int, "--size"),
            "estimators": split(self.estimators) or None,
            "more_estimators": self.estimator or (),
            "draws": self.worlds,
            "replicates": self.replicates,
            "seed": None if self.seed == SECRET else _number(self.seed),
            "grant": self.grant,
            "label_share": self.label_share,
            "margin": self.margin,
            "converged": self.converged,
            "downstream": self.downstream,
        }


@dataclass(frozen=True, kw_only=True)
class HowRun:
    """Options for where a study runs; only ``device`` and ``precision`` change any number."""

    PANEL: ClassVar[str] = "Where it runs"

    executor: Annotated[str, typer.Option(help="Where cells run: local, or ray (a cluster).")] = "local"
    jobs: Annotated[
        int | None,
        typer.Option(
            help="How many cells run at a time, each on one thread (default: 1 locally, as many as fit on "
            "Ray).",
            min=1,
        ),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the Ray cluster's head (default: RAY_ADDRESS, else a cluster on this machine)."
        ),
    ] = None
    cpus_per_cell: Annotated[
        float | None, typer.Option(help="CPUs that a cell takes on Ray (default 1).", min=0)
    ] = None
    gpus_per_cell: Annotated[
        float | None,
        typer.Option(help="GPUs that a cell takes on Ray; a share is allowed (default 0).", min=0),
    ] = None
    device: Annotated[str | None, typer.Option(help="cpu or cuda (default cpu).")] = None
    precision: Annotated[
        str | None,
        typer.Option(help="Precision of matrix products: fp32, tf32 (on cuda) or bf16 (default fp32)."),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory that the replicates training at once may take, such as 500MB (default 2GiB)."
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time that a cell of an estimator from outside may take (default: as long as it will).",
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """The fields of :class:`simbench.study.file.Overrides` that these options set."""
        own = {"device": self.device, "precision": self.precision, "memory_budget": self.memory}
        return {**own, "timeout": self.timeout}


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options for where results go, and how they are printed."""

    PANEL: ClassVar[str] = "Output"

    out: Annotated[
        str | None,
        typer.Option(
            help="Folder of the results, or a URL such as s3://bucket/study (default: results/ and a hash of "
            "the study)."
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only print the cells, and what they would take in time, memory and bytes (default: run).",
        ),
    ] = False
    format: Annotated[RunFormat, typer.Option(help="How to print the results.")] = RunFormat.table


def run(
    study: StudyOptions, world: WorldOptions, real: RealOptions, how: HowRun, output: OutputOptions
) -> None:
    """Simulate logs, train every estimator on them, and measure bias and variance against the truth.

    Running the same command again computes only what is missing.
    """
    from simbench.cli.progress import CellProgress
    from simbench.files.location import Location
    from simbench.study.file import study_from
    from simbench.study.memory import memory_statement
    from simbench.study.run import run as run_study
    from simbench.study.secret import seed_of_study

    config = study_from(study.config, overrides(world, real, **study.given(), **how.given()))
    name = f"{_short_hash(config)}-{SECRET}" if study.seed == SECRET else _short_hash(config)
    out = Location(output.out or Path("results") / name)
    if study.seed == SECRET:
        config = config.model_copy(update={"seed": seed_of_study(out), "secret": True})
    executor = _executor(how)
    if output.dry_run:
        _forecast(config, out, how.jobs, output.format)
        return
    with CellProgress(memory_statement(config)) as progress, _warnings_as_lines(progress.say):
        table = run_study(config, out, executor, progress, progress.phase)
    _print(table, config, out, output.format)
    _print_places(config, out)
    if (table.status == "failed").any():
        names = ", ".join(sorted(table[table.status == "failed"].estimator.unique()))
        print(f"simbench: failed: {names} (the reasons are in the table).", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _warnings_as_lines(say: Callable[[str], None]) -> Iterator[None]:
    """Print the warnings of a study as messages, without the line of code that they come from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"simbench: {message}")
        yield


def _executor(how: HowRun) -> "Executor":
    """The executor that the options name."""
    from simbench.study.executors.find import find_executor

    of_ray = ("ray_address", "cpus_per_cell", "gpus_per_cell")
    options = {name: value for name in ("jobs", *of_ray) if (value := getattr(how, name)) is not None}
    foreign = [name for name in of_ray if name in options and how.executor != "ray"]
    if foreign:
        raise BadInput(f"--{foreign[0].replace('_', '-')} belongs to --executor ray.")
    return find_executor(how.executor, **options)


def _number(seed: str | None) -> int | None:
    try:
        return None if seed is None else int(seed)
    except ValueError as error:
        raise BadInput(f"--seed takes a whole number, or {SECRET}, got {seed!r}.") from error


def _short_hash(config: "StudyConfig") -> str:
    described = config.model_dump_json(exclude={"memory_budget", "timeout"})
    return hashlib.sha256(described.encode()).hexdigest()[:10]


def _forecast(config: "StudyConfig", out: "Location", jobs: int | None, format: RunFormat) -> None:
    from simbench.cli.dry_run import dry_run

    if format in (RunFormat.latex, RunFormat.markdown):
        raise BadInput(f"--dry-run prints a table, json or csv, got --format {format}.")
    dry_run(config, out, jobs, format)


def _print(table: "pd.DataFrame", config: "StudyConfig", out: "Location", format: RunFormat) -> None:
    """Print the results on stdout."""
    from simbench.cli.output import console, emit
    from simbench.cli.report import print_study
    from simbench.study.table import read_draws

    if format is RunFormat.table:
        print_study(table, read_draws(out), config, console())
    elif format in (RunFormat.json, RunFormat.csv):
        emit(table, format)
    else:
        from simbench.study.results import Results

        found = Results(table, config, out)
        print(found.to_latex() if format is RunFormat.latex else found.to_markdown(), end="")


def _print_places(config: "StudyConfig", out: "Location") -> None:
    """Print on stderr where results lie, what to know of them, and what to do next."""
    from simbench.study.folder import made_with

    several = made_with(out)
    if several is not None:
        print(f"note: {several}", file=sys.stderr)
    print(f"results: {out / 'results.parquet'}", file=sys.stderr)
    print(f"picture: simbench figure bias-variance {out}", file=sys.stderr)
    if config.downstream is not None:
        print(f"policies: {out / 'downstream.parquet'}, simbench figure value-kl {out}", file=sys.stderr)
