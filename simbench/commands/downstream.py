"""``simbench downstream``: what policies make of the fitted rewards of a finished study."""

import math
import sys

import pandas as pd
from pydantic import ValidationError

from simbench.commands.output import emit, print_table
from simbench.errors import BadInput
from simbench.files.location import Location


def downstream(folder: str, rewards: str, at: float, format: str) -> None:
    """``simbench downstream``: write ``downstream.parquet``; print every estimator at one KL."""
    from simbench.study.policies import FILE, write_downstream
    from simbench.study.policy_settings import Downstream

    names = [name.strip() for name in rewards.split(",")]
    try:
        kls = sorted({*Downstream().kls, at})
        settings = Downstream.model_validate({"rewards": names, "kls": kls})
    except ValidationError as error:
        first = error.errors()[0]
        flag = {"rewards": "--reward", "kls": "--at"}[str(first["loc"][0])]
        raise BadInput(f"{flag}: {first['msg']}, got {first['input']!r}.") from error
    where = Location(folder)
    table = write_downstream(where, settings)
    print(f"policies: {where / FILE}, simbench figure value-kl {folder}", file=sys.stderr)
    if format != "table":
        emit(table, format)
        return
    for (world, level, size), here in table.groupby(["world", "bias_level", "size"], sort=False):
        shown = _at_one_kl(here, at)
        if shown.empty:
            raise BadInput(f"--at {at:g}: no policy of world {world!r} can spend so many nats.")
        title = f"{world}, bias level {level:g}, {size:,} responses: policies at a KL of {at:g} nats"
        print_table(shown, format, title)


def _at_one_kl(here: pd.DataFrame, at: float) -> pd.DataFrame:
    """A row an estimator: value, and what it is beyond the oracle's; the trait where there is one."""
    titles = {
        "value": "value",
        "value_over_oracle": "beyond the oracle",
        "trait": "trait",
        "trait_over_oracle": "beyond the oracle's",
    }
    chosen = here[((here.policy == "tilted to KL") & (here.strength == at)) | (here.policy == "reference")]
    rows = []
    for (name, knows, reward), part in chosen.groupby(["estimator", "knows", "reward"], sort=False):
        values = part.set_index("metric")
        cells = {
            title: _interval(values.loc[metric]) if metric in values.index else "–"
            for metric, title in titles.items()
            if metric in set(here.metric)
        }
        rows.append({"estimator": name, "told": knows, "exponentiated": reward, **cells})
    return pd.DataFrame(rows) if (chosen.policy != "reference").any() else pd.DataFrame()


def _interval(row: pd.Series) -> str:
    if math.isnan(row.value):
        return "out of reach"
    if math.isnan(row.low):
        return f"{row.value:.4g}"
    return f"{row.value:.4g} \\[{row.low:.4g}, {row.high:.4g}]"
