"""``simbench finetune``: trains a language model itself on a log."""

import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from simbench.cli.log_options import TrainingLogOptions
from simbench.cli.options import ForceOption, Model, PromptTextColumn, Revision, TextColumn
from simbench.cli.printable import print
from simbench.errors import BadInput
from simbench.reward import DEFAULT_ESTIMATOR

if TYPE_CHECKING:
    from simbench.reward.language.settings import Settings


class Pooling(StrEnum):
    """How the states of a text's tokens are pooled into one vector."""

    native = "native"
    mean = "mean"
    cls = "cls"
    last = "last"


class Schedule(StrEnum):
    """How the learning rate goes on after warm-up."""

    cosine = "cosine"
    constant = "constant"


class Arithmetic(StrEnum):
    """The arithmetic of the encoder; losses are always computed in fp32."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the model is trained: the fields of :class:`simbench.reward.language.settings.Settings`."""

    PANEL: ClassVar[str] = "Training"

    model: Model
    lora: Annotated[
        int | None,
        typer.Option(
            help="Rank of the adapter, 0 to train every weight (default: 16 for a model of over 100 million "
            "parameters, else 0)."
        ),
    ] = None
    epochs: Annotated[int, typer.Option(help="Passes over the log.")] = 2
    initial_epochs: Annotated[
        int,
        typer.Option(help="Passes over the estimator's initial objective before that, if it has one."),
    ] = 1
    batch_size: Annotated[int, typer.Option(help="Responses in a step.")] = 32
    micro_batch_size: Annotated[
        int | None,
        typer.Option(
            help="Responses in a forward pass: fewer take less memory and give the same gradient (default: "
            "the batch size)."
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak learning rate of the encoder (default 5e-5, of an adapter 2e-4)."),
    ] = None
    head_learning_rate: Annotated[float, typer.Option(help="Peak learning rate of the heads.")] = 1e-3
    weight_decay: Annotated[float, typer.Option(help="Weight decay of matrices.")] = 0.01
    schedule: Annotated[Schedule, typer.Option(help="Learning rate after warm-up.")] = Schedule.cosine
    warmup: Annotated[float, typer.Option(help="Share of the steps in which the rate rises.")] = 0.06
    clip: Annotated[
        float, typer.Option(help="Largest norm of a step's gradient; 0 leaves gradients as they are.")
    ] = 1.0
    evaluations: Annotated[int, typer.Option(help="Evaluations on held-out feedback in each epoch.")] = 2
    patience: Annotated[
        int, typer.Option(help="Training stops after so many evaluations without a better one.")
    ] = 4
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(help="Steps between checkpoints (default: a checkpoint at every evaluation only)."),
    ] = None
    pooling: Annotated[
        Pooling,
        typer.Option(
            help="How one vector is made of a text; native uses the architecture's own classifier, which "
            "plain transformers can load."
        ),
    ] = Pooling.native
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Longer texts are cut to so many tokens, and counted (default: as the model was trained)."
        ),
    ] = None
    precision: Annotated[
        Arithmetic, typer.Option(help="Arithmetic of the encoder; auto is bf16 on a GPU, else fp32.")
    ] = Arithmetic.auto
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    revision: Revision = None

    def settings(self) -> "Settings":
        """These options as checked settings.

        Raises
        ------
        BadInput
            If an option has no valid value: says which.
        """
        from pydantic import ValidationError

        from simbench.reward.language.settings import Settings

        try:
            # older pydantic takes no member of an enum for the text that it is
            given = {name: str(v) if isinstance(v, StrEnum) else v for name, v in vars(self).items()}
            return Settings.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]).replace("_", "-")
            raise BadInput(f"--{name}: {first['msg'].lower()}, got {first['input']!r}.") from error


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(TrainingLogOptions):
    """Arguments of ``simbench finetune``, but for those of the training."""

    out: Annotated[
        Path, typer.Option(help="Folder to write the model to; a run that was killed goes on there.")
    ]
    estimator: Annotated[
        str,
        typer.Option(
            help="Estimator whose loss is trained; it needs a pointwise loss: see `simbench list estimators`."
        ),
    ] = DEFAULT_ESTIMATOR
    text_column: TextColumn = None
    prompt_column: PromptTextColumn = None
    force: ForceOption = False


def finetune(options: FinetuneOptions, training: TrainingOptions) -> None:
    """Train a language model itself on the texts and feedback of your log, with an estimator's own loss."""
    from simbench.reward.model import CARD

    out = options.out
    if options.force:
        (out / CARD).unlink(missing_ok=True)
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
    elif (out / CARD).exists():
        raise BadInput(f"{out} holds a model already: choose another --out, or say --force.")
    columns, parameters = options.columns("text"), options.parameters()
    settings = training.settings()
    # these import transformers, so they come after all that can be wrong with the arguments
    from simbench.cli.progress import TrainingProgress
    from simbench.cli.text_warnings import text_warnings
    from simbench.reward.language.finetune import finetune as train

    own = {"text_column": options.text_column, "prompt_column": options.prompt_column}
    with TrainingProgress() as progress:
        model = train(
            options.table(), columns, options.estimator, settings, out, **own, progress=progress, **parameters
        )
    print(_summary(model.card))
    for warning in text_warnings(model.card["log"]["texts"], model.card["encoder"]["max_tokens"]):
        print(f"simbench: {warning}", file=sys.stderr)
    print(f"model: {out}; for transformers and TRL: simbench export {out} --to hf FOLDER", file=sys.stderr)


def _summary(card: dict[str, Any]) -> str:
    log, made, steps = card["log"], card["encoder"], card["steps"]
    how = f"adapter of rank {made['lora']}" if made["lora"] else "all weights"
    return (
        f"{card['estimator']}, told {', '.join(card['told']) or 'nothing'}, on {log['rows']:,} responses to "
        f"{log['prompts']:,} prompts, feedback rate {log['feedback_rate']:.3f}; "
        f"{made['parameters'] / 1e6:,.1f}M parameters, {how}; "
        f"held-out loss {card['held_out_loss']:.4f} after {steps['of_best']:,} of {steps['planned']:,} steps"
    )
