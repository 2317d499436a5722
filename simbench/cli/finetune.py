"""Commands that train a language model on a log, and export reward models. A thin layer."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.language import Model
from simbench.cli.log import (
    ActionRate,
    Always,
    ClassPrior,
    Context,
    Feedback,
    Groups,
    Labels,
    LogArgument,
    Misclick,
    NegativeSignals,
    Parameter,
    Propensity,
    Seed,
    Signals,
)


class Pooling(StrEnum):
    """How one vector is made of a text's states."""

    native = "native"
    mean = "mean"
    cls = "cls"
    last = "last"


class Schedule(StrEnum):
    """Of the learning rate, after warm-up."""

    cosine = "cosine"
    constant = "constant"


class Precision(StrEnum):
    """Of the encoder's arithmetic; losses are always fp32."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class Target(StrEnum):
    """What is written."""

    hf = "hf"
    hf_code = "hf-code"


def finetune(
    log: LogArgument,
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of the model; a killed run goes on there.")],
    estimator: Annotated[
        str, typer.Option(help="One with a pointwise loss: `simbench list estimators`.")
    ] = "implicitrm",
    feedback: Feedback = "clicked",
    text_column: Annotated[str | None, typer.Option(help="Column of the response's text.")] = None,
    prompt_column: Annotated[
        str | None, typer.Option(help="Column of the prompt's text; `none`: the response alone.")
    ] = None,
    context: Context = None,
    groups: Groups = None,
    propensity: Propensity = None,
    class_prior: ClassPrior = None,
    labels: Labels = None,
    misclick: Misclick = None,
    action_rate: ActionRate = None,
    always_acts: Always = None,
    signals: Signals = None,
    negative_signals: NegativeSignals = None,
    lora: Annotated[
        int | None,
        typer.Option(help="Rank of the adapter; 0: train all [16 from 100M parameters on, else 0]."),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the log.")] = 2,
    initial_epochs: Annotated[int, typer.Option(help="Before, where the estimator's source has some.")] = 1,
    batch_size: Annotated[int, typer.Option(help="Responses a step.")] = 32,
    micro_batch_size: Annotated[
        int | None, typer.Option(help="Responses a forward pass: less memory, same gradient [batch size].")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak, of the encoder [5e-5; of an adapter 2e-4].")
    ] = None,
    head_learning_rate: Annotated[float, typer.Option(help="Peak, of the heads.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Of matrices.")] = 0.01,
    schedule: Annotated[Schedule, typer.Option(help="After warm-up.")] = Schedule.cosine,
    warmup: Annotated[float, typer.Option(help="Share of the steps.")] = 0.06,
    clip: Annotated[float, typer.Option(help="Largest norm of a gradient; 0: none.")] = 1.0,
    evaluations: Annotated[int, typer.Option(help="Held-out evaluations an epoch.")] = 2,
    patience: Annotated[int, typer.Option(help="Evaluations without a better one before it stops.")] = 4,
    checkpoint_steps: Annotated[
        int | None, typer.Option(help="Steps between checkpoints [evaluations only].")
    ] = None,
    pooling: Annotated[
        Pooling, typer.Option(help="native: the architecture's own classifier, which exports as plain.")
    ] = Pooling.native,
    max_tokens: Annotated[int | None, typer.Option(help="Longer texts are cut, and counted.")] = None,
    precision: Annotated[Precision, typer.Option(help="auto: bf16 on a GPU.")] = Precision.auto,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    parameter: Parameter = None,
    seed: Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a model or checkpoint there.")] = False,
) -> None:
    """Train a language model itself on your log's texts and feedback, with an estimator's own loss."""
    flags = dict(locals())
    from simbench.commands import finetune as commands

    commands.finetune(flags)


def export(
    model: Annotated[Path, typer.Argument(help="Folder that simbench fit or simbench finetune wrote.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
    to: Annotated[
        Target,
        typer.Option(help="hf: for plain transformers and TRL; hf-code: any model, with trust_remote_code."),
    ] = Target.hf,
    allow_shift: Annotated[
        bool, typer.Option("--allow-shift", help="Leave out a bias that the format cannot hold.")
    ] = False,
    diagnosis: Annotated[
        Path | None, typer.Option(help="What simbench diagnose printed: it goes into the model card.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that is there.")] = False,
) -> None:
    """Write a reward model as a folder that transformers loads, with tokenizer, template and model card."""
    from simbench.commands import finetune as commands

    commands.export(model, folder, to.value, allow_shift=allow_shift, diagnosis=diagnosis, force=force)
