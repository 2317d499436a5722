"""``simbench label``: says which responses to label next."""

from dataclasses import dataclass
from typing import Annotated

import typer

from simbench.cli.log_options import FeaturesOption, LogOptions, say_left_out
from simbench.cli.printable import print
from simbench.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class LabelOptions(LogOptions):
    """Arguments of ``simbench label``."""

    features: FeaturesOption
    count: Annotated[int, typer.Option(help="Number of labels to expect; the draw varies around it.", min=1)]
    out: Annotated[
        str,
        typer.Option(
            help="Table to write, a row for each of the log: its probability of being labelled, and whether "
            "it was drawn. Never the log."
        ),
    ]
    mixed: Annotated[
        float,
        typer.Option(help="Share of the labels that is spread evenly, above 0; 1 draws all responses alike."),
    ] = 0.3


def label(options: LabelOptions) -> None:
    """Draw responses to label: at random, more often where the fitted reward is unsure.

    The estimates stay unbiased, as every probability is written down: give them to
    `simbench diagnose --labels --label-probability`.
    """
    import pandas as pd

    from simbench.files.tables.kinds import kind_of
    from simbench.files.tables.write import require_elsewhere, write_frame
    from simbench.log.user_log import read_log
    from simbench.reward.diagnosis.diagnose import estimator_with
    from simbench.reward.labels.choose import draw_labels, label_probabilities
    from simbench.reward.labels.predict import unseen_rewards

    estimator_with(**options.parameters())  # said before anything is read
    kind_of(options.out)
    if not 0 < options.mixed <= 1:
        raise BadInput(f"--mixed must lie in (0, 1], got {options.mixed:g}.")
    table = options.table()
    require_elsewhere(table, options.out, "--out")
    if options.count > len(table):
        raise BadInput(f"--count {options.count:,} exceeds the {len(table):,} responses of {table.name}.")
    user = read_log(table, options.columns(options.features))
    say_left_out(options.features, user.left_out)
    _, posterior = unseen_rewards(user.log, **options.parameters())
    chance = label_probabilities(posterior, options.count, options.mixed)
    drawn = draw_labels(chance, options.seed)
    columns = {"row": range(len(chance)), "label_probability": chance, "to_label": drawn}
    write_frame(pd.DataFrame(columns), options.out)
    print(
        f"{int(drawn.sum()):,} responses to label, drawn with probabilities {chance.min():.4f} to "
        f"{chance.max():.4f}: {options.out}"
    )
