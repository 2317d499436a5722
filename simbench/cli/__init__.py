"""The command ``simbench``: a thin layer. Nothing heavy is imported before a command needs it."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from simbench import __version__
from simbench.cli import finetune, language, log, repro
from simbench.errors import BadInput

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Bias and variance of reward models learned from implicit feedback, against a known truth.",
)
list_app = typer.Typer(no_args_is_help=True, help="Print a catalogue.")
app.add_typer(list_app, name="list")
for command in (log.fit, log.score, log.diagnose, language.embed, finetune.finetune, finetune.export):
    app.command()(command)
app.command()(repro.repro)


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    json = "json"
    csv = "csv"


class CheckFormat(StrEnum):
    """How verdicts are printed: for people, for programs, or for a document."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


FormatOption = Annotated[Format, typer.Option(help="How to print the table.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"simbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = None,
) -> None:
    """Read by :func:`main`, which sees the arguments itself."""


@app.command()
def run(
    world: Annotated[
        list[str] | None, typer.Option(help="Preset(s), comma list: see `simbench list worlds`.")
    ] = None,
    bias_level: Annotated[
        list[str] | None, typer.Option(help="How unequally users act; comma list, repeatable.")
    ] = None,
    estimators: Annotated[
        list[str] | None, typer.Option(help="Comma list: see `simbench list estimators`.")
    ] = None,
    estimator: Annotated[
        list[str] | None, typer.Option(help="One more: a name, or package.module:Class.")
    ] = None,
    replicates: Annotated[int | None, typer.Option(help="Redrawn logs [20].")] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="Training responses, comma list [10000; a twin's own].")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random [0].")] = None,
    grant: Annotated[
        str | None,
        typer.Option(
            help="What those who ask are told: propensity, class-prior, labels, misclick or none; variants "
            "such as propensity:estimated."
        ),
    ] = None,
    label_share: Annotated[float | None, typer.Option(help="Share labelled, with labels.")] = None,
    margin: Annotated[float | None, typer.Option(help="RMS bias that counts as none [.05].")] = None,
    reward: Annotated[str | None, typer.Option(help="True reward: linear or mlp.")] = None,
    base_rate: Annotated[float | None, typer.Option(help="Share of good responses [.5].")] = None,
    action_rate: Annotated[float | None, typer.Option(help="Share acted on [.3].")] = None,
    misclick: Annotated[float | None, typer.Option(help="P(click | bad, active).")] = None,
    confounding: Annotated[float | None, typer.Option(help="ρ of salience and reward.")] = None,
    features_dim: Annotated[int | None, typer.Option(help="Width of synthetic features [32].")] = None,
    signals: Annotated[
        int | None, typer.Option(help="Positive signals logged: click, copy, upvote [1].")
    ] = None,
    regenerate: Annotated[
        bool | None, typer.Option("--regenerate", help="Log a signal of dissatisfaction as well.")
    ] = None,
    signal_dependence: Annotated[
        float | None, typer.Option(help="Copula correlation of the signals' actions [0].")
    ] = None,
    responses_per_prompt: Annotated[int | None, typer.Option(help="Of synthetic worlds [5].")] = None,
    trait: Annotated[
        str | None,
        typer.Option(help="Users act on it: feature:K; of real responses length or a numeric column."),
    ] = None,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Also measure policies: value against KL.")
    ] = False,
    responses: Annotated[
        Path | None, typer.Option(help="Real responses: jsonl(.gz), csv, parquet, or hub:OWNER/DATASET.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Their embeddings: safetensors or npy; else TF-IDF + SVD.")
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the prompt or its id.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the response's text.")] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column of the rating.")] = None,
    votes_column: Annotated[str | None, typer.Option(help="Column of vote counts by level.")] = None,
    link: Annotated[
        str | None, typer.Option(help="From rating to reward: auto, votes, logistic, threshold.")
    ] = None,
    slope: Annotated[float | None, typer.Option(help="Of the logistic link [1.5].")] = None,
    threshold: Annotated[float | None, typer.Option(help="Of the threshold or votes link.")] = None,
    out: Annotated[str | None, typer.Option(help="Results folder, or URL: s3://... [results/HASH].")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda [cpu].")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of matrix products: fp32, tf32 (cuda) or bf16 [fp32].")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Of the replicates that train at once, such as 500MB [2GiB].")
    ] = None,
    executor: Annotated[str, typer.Option(help="Where cells run: local, or ray (a cluster).")] = "local",
    jobs: Annotated[
        int | None, typer.Option(help="Cells at a time, each on one thread [local 1, ray all].", min=1)
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the cluster's head [RAY_ADDRESS, or this machine's].")
    ] = None,
    cpus_per_cell: Annotated[float | None, typer.Option(help="On Ray [1].", min=0)] = None,
    gpus_per_cell: Annotated[float | None, typer.Option(help="On Ray; shares allowed [0].", min=0)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, time, memory and bytes; write nothing.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "--study", help="A study in YAML; flags override it.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Simulate logs, train every estimator, and measure bias and variance against the truth.

    Running the same command again does only what is missing.
    """
    flags = dict(locals())  # before anything else is local
    from simbench.commands import study

    study.run(flags)


@app.command()
def check(
    estimators: Annotated[
        list[str] | None, typer.Argument(help="Names, or package.module:Class [all installed].")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random hypotheses.")] = 0,
    format: Annotated[CheckFormat, typer.Option(help="How to print the verdicts.")] = CheckFormat.table,
    conformance: Annotated[
        bool | None,
        typer.Option(help="Run the conformance kit [on estimators from outside].", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that keeps the verdicts, for a figure.")] = None,
) -> None:
    """Integrate every estimator's risk exactly over the feedback: is it unbiased?"""
    from simbench.commands import check

    check.check(estimators, seed, format, conformance, out)


@app.command()
def tune(
    estimators: Annotated[list[str], typer.Argument(help="Names, or `all`.")],
    world: Annotated[str, typer.Option(help="A preset.")] = "exclusive",
    bias_level: Annotated[float, typer.Option(help="How unequally users act.")] = 1.0,
    size: Annotated[int, typer.Option(help="Training responses.")] = 10_000,
    replicates: Annotated[int, typer.Option(help="Logs over which the criterion is averaged.")] = 8,
    trials: Annotated[int, typer.Option(help="Settings tried for each, the shipped ones first.")] = 20,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    grant: Annotated[str, typer.Option(help="As in `run`.")] = "propensity,class-prior,misclick",
    out: Annotated[Path | None, typer.Option(help="Database in which trials survive a kill.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Search hyper-parameters on held-out feedback, with the same budget for every estimator."""
    from simbench.commands import check

    cell = {"bias_level": bias_level, "size": size, "replicates": replicates, "seed": seed}
    check.tune(estimators, world, cell, grant, trials, out, format)


@app.command("plan")
def plan_size(
    target_rmse: Annotated[float, typer.Option(help="Of the reward, in units of probability.")],
    bias_level: Annotated[float, typer.Option(help="How unequally users act.")] = 1.0,
    world: Annotated[str, typer.Option(help="A preset with a logistic law.")] = "exclusive",
    replicates: Annotated[int, typer.Option(help="Of the simulation that checks the bound.")] = 8,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    format: FormatOption = Format.table,
) -> None:
    """How many logged responses does a target error need?"""
    from simbench.commands import plan

    plan.plan_size(world, bias_level, target_rmse, replicates, seed, format)


@app.command()
def downstream(
    folder: Annotated[str, typer.Argument(help="A results folder, or its URL.")],
    reward: Annotated[
        str, typer.Option(help="What policies exponentiate: probability, logit, or both by comma.")
    ] = "probability",
    at: Annotated[float, typer.Option(help="KL in nats at which the printed table compares.")] = 1.0,
    format: FormatOption = Format.table,
) -> None:
    """What a policy gains from every fitted reward: value under the true one, against KL.

    Exact, over each prompt's finite set of responses: tilting by exp(reward/β), and best of n.
    """
    from simbench.commands import downstream

    downstream.downstream(folder, reward, at, format)


@app.command()
def figure(
    name: Annotated[
        str,
        typer.Argument(
            help="Which: groups, bias-variance, risk, identification, efficiency, leaks, comparison, "
            "learning-rate, reliability, value-kl, throughput, plane."
        ),
    ],
    folder: Annotated[str, typer.Argument(help="A results folder, or its URL.")],
    to: Annotated[str | None, typer.Option(help="Path without suffix [OUT/NAME].")] = None,
) -> None:
    """Draw a figure from a results folder, as PNG and PDF."""
    from simbench.commands import figure

    figure.figure(name, folder, to)


@app.command()
def figures(
    folder: Annotated[Path, typer.Argument(help="A folder of results folders, named as the steps of repro.")],
    everything: Annotated[bool, typer.Option("--all", help="Draw all that the paper has.")] = False,
    only: Annotated[str | None, typer.Option(help="Draw these: names by comma, as in `figure`.")] = None,
    to: Annotated[Path | None, typer.Option(help="Where to [FOLDER/figures].")] = None,
) -> None:
    """Draw the figures of the paper, as PNG and PDF in its sizes; exit code 1 where some could not be."""
    from simbench.commands import figure

    figure.figures(folder, everything, only, to)


@list_app.command("estimators")
def list_estimators(format: FormatOption = Format.table) -> None:
    """Installed estimators: what each must be told, what it assumes, where it comes from."""
    from simbench.commands import catalogue

    catalogue.list_estimators(format)


@list_app.command("grants")
def list_grants(format: FormatOption = Format.table) -> None:
    """What a run can tell estimators, and how well."""
    from simbench.commands import catalogue

    catalogue.list_grants(format)


@list_app.command("worlds")
def list_worlds(format: FormatOption = Format.table) -> None:
    """Presets of ``--world``."""
    from simbench.commands import catalogue

    catalogue.list_worlds(format)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; bad input is one sentence on stderr and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments)
    except BadInput as error:
        if "--debug" in arguments:
            raise
        print(f"simbench: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as stop:  # typer makes an exit with 130 of Ctrl-C
        if isinstance(stop, SystemExit) and stop.code != 130:
            raise
        print("simbench: stopped; finished cells are kept, run the same command again.", file=sys.stderr)
        sys.exit(130)
