"""Commands on the user's own log: fit, score, diagnose. A thin layer, like :mod:`simbench.cli`."""

from pathlib import Path
from typing import Annotated, Any

import typer

LogArgument = Annotated[Path, typer.Argument(help="Your log: parquet, csv, jsonl or jsonl.gz.")]
Feedback = Annotated[str, typer.Option(help="Column of clicks, 0 or 1.")]
Features = Annotated[str, typer.Option(help="Embeddings (.safetensors, .npy), or col:PREFIX.")]
Context = Annotated[
    list[str] | None, typer.Option(help="Columns that move only whether users act; comma list.")
]
Groups = Annotated[str | None, typer.Option(help="Column of the prompt.")]
ClassPrior = Annotated[float | None, typer.Option(help="Known share of good responses.")]
Labels = Annotated[str | None, typer.Option(help="Column of explicit labels, empty where unknown.")]
Misclick = Annotated[float | None, typer.Option(help="Known P(click | bad, active).")]
ActionRate = Annotated[float | None, typer.Option(help="Known mean propensity.")]
Always = Annotated[str | None, typer.Option(help="Column that marks users who always act.")]
Propensity = Annotated[str | None, typer.Option(help="Column of known propensities.")]
Signals = Annotated[list[str] | None, typer.Option(help="Further feedback columns.")]
NegativeSignals = Annotated[list[str] | None, typer.Option(help="Which of them fire on dissatisfaction.")]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Parameter = Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the estimator, repeatable.")]


def fit(
    log: LogArgument,
    out: Annotated[Path, typer.Option(help="Folder of the model.")],
    features: Features,
    feedback: Feedback = "clicked",
    context: Context = None,
    groups: Groups = None,
    estimator: Annotated[str, typer.Option(help="See `simbench list estimators`.")] = "implicitrm",
    propensity: Propensity = None,
    class_prior: ClassPrior = None,
    labels: Labels = None,
    misclick: Misclick = None,
    action_rate: ActionRate = None,
    always_acts: Always = None,
    signals: Signals = None,
    negative_signals: NegativeSignals = None,
    parameter: Parameter = None,
    seed: Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is there.")] = False,
) -> None:
    """Fit a reward on your own log, and save it with a card of what it was told."""
    flags = dict(locals())
    from simbench.commands import log as commands

    commands.fit(flags)


def score(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted model.")],
    responses: Annotated[Path, typer.Argument(help="Responses: parquet, csv, jsonl or jsonl.gz.")],
    out: Annotated[Path, typer.Option(help="Where to: .parquet, .csv or .jsonl.")],
    features: Annotated[
        str | None, typer.Option(help="Embeddings, or col:PREFIX; none for a fine-tuned language model.")
    ] = None,
) -> None:
    """Write the reward of every response, in a column `reward` beside what the file holds."""
    from simbench.commands import log as commands

    commands.score(model, responses, features, out)


def diagnose(
    log: LogArgument,
    features: Features,
    feedback: Feedback = "clicked",
    context: Context = None,
    groups: Groups = None,
    class_prior: ClassPrior = None,
    labels: Labels = None,
    misclick: Misclick = None,
    action_rate: ActionRate = None,
    always_acts: Always = None,
    parameter: Parameter = None,
    seed: Seed = 0,
    report: Annotated[Path | None, typer.Option(help="Write a one-page HTML report there.")] = None,
) -> None:
    """Say, without any truth, whether a reward fitted on your log can be believed."""
    flags: dict[str, Any] = dict(locals())
    from simbench.commands import log as commands

    commands.diagnose(flags)
