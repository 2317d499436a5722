"""``simbench fit``: fits a reward on the user's own log."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.log_options import FeaturesOption, TrainingLogOptions
from simbench.cli.options import ForceOption
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
    from simbench.reward.model import CARD, fit_log

    out, log = options.out, options.log
    if (out / CARD).exists() and not options.force:
        raise BadInput(f"{out} holds a model already: choose another --out, or say --force.")
    columns = options.columns(options.features)
    model = fit_log(log, columns, options.estimator, **options.parameters())
    model.save(out)
    facts, told = model.card["log"], ", ".join(model.card["told"]) or "nothing"
    print(
        f"{options.estimator}, told {told}: {facts['rows']:,} responses to {facts['prompts']:,} prompts, "
        f"feedback rate {facts['feedback_rate']:.3f}; held-out loss {model.card['held_out_loss']:.4f} "
        f"after {model.card['epochs']} epochs"
    )
    if model.card["warning"]:
        print(f"simbench: {model.card['warning']}", file=sys.stderr)
    print(f"model: {out}", file=sys.stderr)
    print("can it be believed? simbench diagnose", log, "...", file=sys.stderr)
