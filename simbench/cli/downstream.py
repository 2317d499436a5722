"""``simbench downstream``: measures the policies that follow the fitted rewards of a finished study."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.cli.options import Format, FormatOption, split
from simbench.cli.printable import print
from simbench.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from simbench.study.policy_settings import Downstream

TITLES = {
    "value": "value",
    "value_over_oracle": "beyond the oracle",
    "trait": "trait",
    "trait_over_oracle": "beyond the oracle's",
}


@dataclass(frozen=True, kw_only=True)
class DownstreamOptions:
    """Arguments of ``simbench downstream``."""

    folder: Annotated[str, typer.Argument(help="A results folder of simbench run, or its URL.")]
    reward: Annotated[
        str, typer.Option(help="What policies exponentiate: probability, logit, or both with a comma.")
    ] = "probability"
    at: Annotated[
        float, typer.Option(help="KL, in nats, at which the printed table compares the policies.")
    ] = 1.0
    format: FormatOption = Format.table


def downstream(options: DownstreamOptions) -> None:
    """Measure what a policy gains from every fitted reward: its value under the true one, against its KL.

    The policies are exact, over each prompt's finite set of responses: tilting by exp(reward/β), and best of
    n. The table is kept as downstream.parquet in the results folder.
    """
    from simbench.cli.output import emit, print_table
    from simbench.files.location import Location
    from simbench.study.policies import FILE, downstream_table, keep

    folder, at = options.folder, options.at
    where, settings = Location(folder), _settings(options)
    table = downstream_table(where, settings)
    shown = dict(_shown(table, at)) if options.format is Format.table else {}
    keep(table, where)
    print(f"policies: {where / FILE}, simbench figure value-kl {folder}", file=sys.stderr)
    if options.format is not Format.table:
        emit(table, options.format)
    for title, rows in shown.items():
        print_table(rows, options.format, title)


def _settings(options: DownstreamOptions) -> "Downstream":
    from pydantic import ValidationError

    from simbench.study.policy_settings import Downstream

    try:
        kls = sorted({*Downstream().kls, options.at})
        return Downstream.model_validate({"rewards": split([options.reward]), "kls": kls})
    except ValidationError as error:
        first = error.errors()[0]
        flag = {"rewards": "--reward", "kls": "--at"}[str(first["loc"][0])]
        raise BadInput(f"{flag}: {first['msg']}, got {first['input']!r}.") from error


def _shown(table: "pd.DataFrame", at: float) -> "Iterator[tuple[str, pd.DataFrame]]":
    """The printed table of every situation, under its title."""
    for (world, level, size), here in table.groupby(["world", "bias_level", "size"], sort=False):
        rows = _at_one_kl(here, at)
        if rows.empty:
            raise BadInput(f"--at {at:g}: no policy of world {world!r} reaches that KL: give a smaller one.")
        yield f"{world}, bias level {level:g}, {size:,} responses: policies at a KL of {at:g} nats", rows


def _at_one_kl(here: "pd.DataFrame", at: float) -> "pd.DataFrame":
    """One row per estimator: its value, and that beyond the oracle's; the same of the trait, if any."""
    import pandas as pd

    chosen = here[((here.policy == "tilted to KL") & (here.strength == at)) | (here.policy == "reference")]
    rows = []
    for (name, knows, reward), part in chosen.groupby(["estimator", "knows", "reward"], sort=False):
        values = part.set_index("metric")
        cells = {
            title: _interval(values.loc[metric]) if metric in values.index else "–"
            for metric, title in TITLES.items()
            if metric in set(here.metric)
        }
        rows.append({"estimator": name, "told": knows, "exponentiated": reward, **cells})
    return pd.DataFrame(rows) if (chosen.policy != "reference").any() else pd.DataFrame()


def _interval(row: "pd.Series") -> str:
    if math.isnan(row.value):
        return "out of reach"
    if math.isnan(row.low):
        return f"{row.value:.4g}"
    return f"{row.value:.4g} [{row.low:.4g}, {row.high:.4g}]"
