"""``simbench fit``: fits a reward on the user's own log."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.log_options import FeaturesOption, TrainingLogOptions, say_left_out
from simbench.cli.options import ForceOption
from simbench.cli.premises import LeastPropensityOption
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
    bounds: Annotated[
        str | None,
        typer.Option(
            help="Table to write, a row for each of the log: the least and largest reward that "
            "--least-propensity leaves, and both with sampling error (default: none)."
        ),
    ] = None
    least_propensity: LeastPropensityOption = None
    force: ForceOption = False

    def check_bounds(self) -> None:
        """Raise unless bounds can be written, as far as that can be said before anything is read.

        Raises
        ------
        BadInput
            If one of the two options stands without the other, or is not possible.
        """
        from simbench.files.tables.kinds import kind_of
        from simbench.reward.bounds.bounds import require_least_propensity

        if (self.bounds is None) != (self.least_propensity is None):
            raise BadInput("--bounds needs --least-propensity, and the other way about: give both.")
        if self.bounds is None or self.least_propensity is None:
            return
        kind_of(self.bounds)
        require_least_propensity(self.least_propensity)
        if self.propensity is not None:
            raise BadInput("--propensity identifies the reward: leave out --bounds.")


def fit(options: FitOptions) -> None:
    """Fit a reward on your own log, and save it with a card that says what it was told."""
    from simbench.estimator.registry import configured
    from simbench.files.tables.write import require_elsewhere, write_frame
    from simbench.log.user_log import read_log
    from simbench.reward.bounds.bounds import bounds
    from simbench.reward.bounds.click_fits import network_parameters
    from simbench.reward.model import CARD, fit_read_log

    out = options.out
    if (out / CARD).exists() and not options.force:
        raise BadInput(f"{out} holds a model already: choose another --out, or say --force.")
    options.check_bounds()
    columns = options.columns(options.features)
    configured(options.estimator, options.parameters())  # said before anything is read
    table = options.table()
    if options.bounds is not None:
        require_elsewhere(table, options.bounds, "--bounds")
    user = read_log(table, columns)
    with said_by(options.estimator):
        model = fit_read_log(user, columns, options.estimator, options.parameters())
    if options.bounds is None or options.least_propensity is None:
        model.save(out)
    else:
        found = bounds(user.log, options.least_propensity, **network_parameters(options.parameters()))
        write_frame(found.table(), options.bounds, before=lambda: model.save(out))
        print(f"bounds: {options.bounds}", file=sys.stderr)
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
