"""``simbench fit``: fits a reward on the user's own log."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.log_options import FeaturesOption, TrainingLogOptions, say_left_out
from simbench.cli.options import ForceOption
from simbench.cli.printable import print
from simbench.cli.spoken import said_by
from simbench.errors import BadInput
from simbench.reward import DEFAULT_ESTIMATOR


@dataclass(frozen=True, kw_only=True)
class FitOptions(TrainingLogOptions):
    """Arguments of ``simbench fit``."""

    features: FeaturesOption
    out: Annotated[Path, typer.Option(help="Folder to write the model to.")]
    estimator: Annotated[str, typer.Option(help="Estimator to train: see `simbench list estimators`.")] = (
        DEFAULT_ESTIMATOR
    )
    force: ForceOption = False


def fit(options: FitOptions) -> None:
    """Fit a reward on your own log, and save it with a card that says what it was told."""
    from simbench.estimator.registry import configured
    from simbench.reward.model import CARD, fit_log

    out = options.out
    if (out / CARD).exists() and not options.force:
        raise BadInput(f"{out} holds a model already: choose another --out, or say --force.")
    columns = options.columns(options.features)
    configured(options.estimator, options.parameters())  # said before anything is read
    with said_by(options.estimator):
        model = fit_log(options.table(), columns, options.estimator, **options.parameters())
    model.save(out)
    facts, told = model.card["log"], ", ".join(model.card["told"]) or "nothing"
    print(
        f"{options.estimator}, told {told}: {facts['rows']:,} responses to {facts['prompts']:,} prompts, "
        f"feedback rate {facts['feedback_rate']:.3f}; held-out loss {model.card['held_out_loss']:.4f} "
        f"after {model.card['epochs']} epochs"
    )
    print(f"features: {model.standard}", file=sys.stderr)
    if columns.context and not model.card["context"]:
        print(
            f"simbench: {options.estimator} does not read the context ({', '.join(columns.context)}): it was "
            "not told.",
            file=sys.stderr,
        )
    say_left_out(options.features, model.card["features"]["left_out"])
    if model.card["warning"]:
        print(f"simbench: {model.card['warning']}", file=sys.stderr)
    print(f"model: {out}", file=sys.stderr)
    print("can it be believed? simbench diagnose", options.log, "...", file=sys.stderr)
