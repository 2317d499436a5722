"""Options that describe the user's own log, for the commands that read one."""

import ast
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simbench.cli.options import EncodingOption, SeedOption, SeparatorOption, split
from simbench.cli.printable import print
from simbench.errors import BadInput

if TYPE_CHECKING:
    from simbench.files.tables.table import Table
    from simbench.log.user_log import LogColumns

LogArgument = Annotated[
    str,
    typer.Argument(
        help="Your log: a .parquet, .csv, .tsv, .jsonl (these also with .gz) or .feather file, a folder of "
        "parquet files, or a URL."
    ),
]
FeaturesOption = Annotated[
    str,
    typer.Option(
        help="Embeddings of the responses: a .safetensors or .npy file with one row a response, or "
        "col:PREFIX for the columns of the log named PREFIX and a number, or its one column PREFIX of lists."
    ),
]


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """Options for the user's own log: which column holds what, and what else is known."""

    log: LogArgument
    feedback: Annotated[str, typer.Option(help="Column of clicks: 0 or 1, true or false, yes or no.")] = (
        "clicked"
    )
    context: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns that move only whether users act, such as activity or position; separated by "
            "commas (default: none). NAME:hour and NAME:weekday read a timestamp, NAME:missing makes empty "
            "cells a level, NAME:activity reads user ids (click rate on other prompts), NAME:levels and "
            "NAME:number say how a column is meant."
        ),
    ] = None
    groups: Annotated[
        str | None,
        typer.Option(help="Column of the prompt (default: every row is a prompt of its own)."),
    ] = None
    class_prior: Annotated[
        float | None, typer.Option(help="Share of good responses, if you know it (default: unknown).")
    ] = None
    labels: Annotated[
        str | None,
        typer.Option(
            help="Column of explicit labels, 0 or 1, empty where there is none (default: no labels)."
        ),
    ] = None
    misclick: Annotated[
        float | None,
        typer.Option(
            help="Probability that an active user clicks a bad response, if you know it (default: unknown)."
        ),
    ] = None
    action_rate: Annotated[
        float | None, typer.Option(help="Mean propensity to act, if you know it (default: unknown).")
    ] = None
    always_acts: Annotated[
        str | None,
        typer.Option(
            help="Column that marks responses shown to users who act on every good response (default: none)."
        ),
    ] = None
    encoding: EncodingOption = None
    separator: SeparatorOption = None
    seed: SeedOption = 0
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            help="A parameter of the estimator as NAME=VALUE; repeatable (default: the estimator's own)."
        ),
    ] = None

    def table(self) -> "Table":
        """The log as a table."""
        from simbench.log.source import open_table

        return open_table(self.log, encoding=self.encoding, separator=self.separator)

    def columns(self, features: str) -> "LogColumns":
        """The columns of the log, as these options describe them."""
        from simbench.log.user_log import LogColumns

        several = ("context", "signals", "negative_signals")
        given = {name: getattr(self, name) for name in LogColumns.__dataclass_fields__ if hasattr(self, name)}
        given |= {name: tuple(split(given[name])) for name in several if name in given}
        return LogColumns(**{**given, "features": features})

    def parameters(self) -> dict[str, Any]:
        """Hyper-parameters of the estimator: the seed, and every ``--parameter``."""
        return {"seed": self.seed, **parameters_of(self.parameter)}


@dataclass(frozen=True, kw_only=True)
class TrainingLogOptions(LogOptions):
    """Options for a log to train any estimator on: it may tell the propensity, and hold several signals."""

    propensity: Annotated[
        str | None,
        typer.Option(help="Column of the propensity to act, if you know it (default: unknown)."),
    ] = None
    signals: Annotated[
        list[str] | None,
        typer.Option(help="Columns of further feedback, separated by commas (default: none)."),
    ] = None
    negative_signals: Annotated[
        list[str] | None,
        typer.Option(help="Those of --signals that show dissatisfaction (default: none)."),
    ] = None


def parameters_of(given: Iterable[str] | None) -> dict[str, Any]:
    """The values of ``--parameter``: ``["epochs=50"]`` -> ``{"epochs": 50}``.

    A value that is no Python literal stays a string.

    Raises
    ------
    BadInput
        If one is not NAME=VALUE.
    """
    parameters = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--parameter must be NAME=VALUE, got {text!r}.")
        try:
            parameters[name.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parameters[name.strip()] = value
    return parameters


def say_left_out(features: str, names: Sequence[str]) -> None:
    """Say on stderr which columns begin as ``--features col:PREFIX`` does and are no features."""
    if names:
        few = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
        print(
            f"simbench: not read as features, since no number follows {features!r} in their names: {few}.",
            file=sys.stderr,
        )
