"""The command line ``simbench``, one file per command. Nothing heavy is imported before it is needed."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from simbench import __version__
from simbench.cli import (
    catalogue,
    check,
    diagnose,
    downstream,
    embed,
    export,
    figure,
    finetune,
    fit,
    label,
    pages,
    plan,
    repro,
    run,
    score,
    simulate,
    tune,
)
from simbench.cli.ending import print_anywhere, run_command, say
from simbench.cli.options import parsed
from simbench.cli.stopped import stopped
from simbench.stops import exit_code

BENCH, OWN = "Measure estimators in simulated worlds", "Work on your own log"
COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    BENCH: (
        *(run.run, simulate.simulate, check.check, tune.tune, downstream.downstream),
        *(pages.report, figure.figure, figure.figures, repro.repro),
    ),
    OWN: (
        *(fit.fit, score.score, diagnose.diagnose, label.label, plan.plan),
        *(embed.embed, finetune.finetune, export.export),
    ),
}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure the bias and variance of reward models learned from implicit feedback, against a known "
    "truth.",
)
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(parsed(command))
app.add_typer(catalogue.app, name="list", rich_help_panel=BENCH)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"simbench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop."),
    ] = None,
) -> None:
    """Declare the options of ``simbench`` itself; :func:`main` reads ``--debug`` from the arguments."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line, and exit.

    Bad input is printed on stderr as one sentence, with exit code 2. Ctrl-C exits with 130; in the process of
    a command (:mod:`simbench.__main__`), SIGTERM exits with 143 and SIGHUP with 129.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    print_anywhere()
    try:
        code = run_command(app, arguments)
    except KeyboardInterrupt:
        code = 130
    if code == 130:  # typer makes an exit with 130 of Ctrl-C
        say(stopped(arguments))
        code = exit_code()
    sys.exit(code)
