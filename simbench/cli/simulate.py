"""``simbench simulate``: draws one log, and writes its truth to a second file."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.cli.options import ForceOption, SeedOption
from simbench.cli.printable import print
from simbench.cli.world_options import RealOptions, WorldOptions, overrides
from simbench.errors import BadInput

if TYPE_CHECKING:
    from simbench.worlds.config import WorldConfig


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Arguments of ``simbench simulate``, but for the settings of the world."""

    out: Annotated[Path, typer.Option(help="File to write the log to: .parquet, .csv or .jsonl.")]
    truth: Annotated[
        Path | None,
        typer.Option(
            help="File to write the truth to (default: beside the log, log.truth.parquet for log.parquet)."
        ),
    ] = None
    world: Annotated[str, typer.Option(help="A world of `simbench list worlds`.")] = "exclusive"
    bias_level: Annotated[float, typer.Option(help="How unequally users act, from 0 (all alike).")] = 0.8
    size: Annotated[
        int | None,
        typer.Option(help="Responses in the log (default: the world's own, 10000 in most).", min=10),
    ] = None
    seed: SeedOption = 0
    replicate: Annotated[
        int,
        typer.Option(
            help="Which of the logs that a run with this seed would draw on these responses.", min=0
        ),
    ] = 0
    force: ForceOption = False

    @property
    def places(self) -> tuple[Path, Path]:
        """The files to which log and truth are written.

        Raises
        ------
        BadInput
            If ``--out`` ends in no name of a file.
        """
        if not self.out.name:
            raise BadInput(f"--out {self.out} is a folder: give the file to write, such as log.parquet.")
        beside = self.out.with_name(f"{self.out.stem}.truth{self.out.suffix}")
        return self.out, beside if self.truth is None else self.truth


def simulate(options: SimulateOptions, world: WorldOptions, real: RealOptions) -> None:
    """Draw one log of biased feedback, as a practitioner would have it, and write its truth to a second file.

    The log has an identifier for each response, its prompt, the feedback, the context if there is any, and
    the features; simbench fit and simbench diagnose read it. The truth has the reward, the propensity and
    the preference of the same responses.
    """
    from simbench.cli.output import write_tables
    from simbench.study.simulated import log_table, truth_table
    from simbench.worlds.world import build

    log_file, truth_file = options.places
    _check_places(log_file, truth_file, options.force)
    config = _world(options, world, real)
    size = config.default_size if options.size is None else options.size
    built = build(config, options.bias_level, size, options.seed)
    log, truth = built.draw(range(options.replicate, options.replicate + 1))
    table = log_table(log, config)
    write_tables({log_file: table, truth_file: truth_table(truth, log.rows_shown(0))})
    facts = built.realised()
    print(
        f"{log.n_shown[0]:,} responses of world {config.name} at bias level {options.bias_level:g}: "
        f"{log.feedback_rate[0]:.3f} have feedback, {facts['positive_rate']:.3f} are good"
    )
    print(f"log: {log_file}; truth: {truth_file}", file=sys.stderr)
    print(f"fit it with: {_fit_command(log_file, list(table.columns))}", file=sys.stderr)


def _check_places(log: Path, truth: Path, force: bool) -> None:
    """Raise :class:`BadInput` if log and truth cannot be written to these files."""
    from simbench.files.tables.kinds import kind_of

    if log.absolute() == truth.absolute():
        raise BadInput(f"{log} cannot hold both the log and its truth: choose another --truth.")
    for path in (log, truth):
        kind_of(str(path))
        if path.exists() and not force:
            raise BadInput(f"{path} is there already: choose another name, or say --force.")


def _world(options: SimulateOptions, world: WorldOptions, real: RealOptions) -> "WorldConfig":
    from simbench.study.file import study_from

    return study_from(None, overrides(world, real, worlds=[options.world])).worlds[0]


def _fit_command(path: Path, columns: list[str]) -> str:
    from simbench.study.simulated import columns_of_context

    context = ",".join(columns_of_context(columns))
    flags = f" --context {context}" if context else ""
    return f"simbench fit {path} --features col:emb_{flags} --groups prompt_id --out model"
