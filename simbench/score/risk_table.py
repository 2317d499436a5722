"""The verdicts of ``simbench check`` as one table: a row per estimator, a column per case."""

from collections.abc import Sequence

import pandas as pd

from simbench.errors import BadInput
from simbench.estimator import registry
from simbench.estimator.estimator import Estimator
from simbench.score import risk

Rows = list[tuple[risk.RiskVerdict, type[Estimator]]]


def check(*estimators: str | type[Estimator], seed: int = 0) -> pd.DataFrame:
    """Check whether the risk of each estimator is unbiased, by exact integration over the feedback.

    A risk that is no sum over samples cannot be integrated exactly; it is checked by Monte Carlo.

    Parameters
    ----------
    *estimators : str or type of Estimator
        Names or classes; by default all installed estimators that train a loss of their own.
    seed : int
        Seed of the random hypotheses, rewards and propensities.

    Returns
    -------
    DataFrame
        One row per estimator and case: ``estimator, case, verdict, bias, low, high, average``. The numbers
        are in units of the loss, nats per response for cross-entropy; if the expectation is exact, ``bias``,
        ``low`` and ``high`` are the largest error over arbitrary hypotheses, and ``average`` the mean one.

    Raises
    ------
    BadInput
        If there is no such estimator, or it has no loss of its own.
    """
    rows = collect(list(estimators) or None, seed)
    return pd.DataFrame([vars(verdict) for verdict, _ in rows])


def collect(names: Sequence[str | type[Estimator]] | None, seed: int) -> Rows:
    """Verdicts on the named estimators, each with its class; arguments and errors as for :func:`check`.

    By default they are all installed estimators that train a loss of their own.
    """
    chosen = names or [name for name in registry.names() if name != "sklearn"]
    kinds = [registry.find(one) if isinstance(one, str) else one for one in chosen]
    if not names:
        kinds = [kind for kind in kinds if states_a_loss(kind)]
    for kind in kinds:
        if not states_a_loss(kind):
            raise BadInput(f"{kind.name} states no loss of its own: there is nothing to integrate.")
    return [(verdict, kind) for kind in kinds for verdict in risk.check(kind(), seed)]


def states_a_loss(kind: type[Estimator]) -> bool:
    """Whether the class has a risk that can be integrated; a scikit-learn classifier has none."""
    return kind.reward_loss is not Estimator.reward_loss or kind.risk is not Estimator.risk


def as_table(rows: Rows) -> pd.DataFrame:
    """The verdicts with one row per estimator; a cell says "exact", or by how much the risk is off."""
    table: dict[str, dict[str, str]] = {}
    for verdict, kind in rows:
        told = ", ".join(sorted(kind.needs)) or "nothing"
        line = table.setdefault(verdict.estimator, {"estimator": verdict.estimator, "must be told": told})
        line[verdict.case] = _cell(verdict)
    for verdict, kind in rows:
        table[verdict.estimator]["unbiased if"] = kind.assumption
    columns = ["estimator", "must be told", *risk.CASES, "unbiased if"]
    return pd.DataFrame(list(table.values())).reindex(columns=columns).astype(object).fillna("")


def _cell(verdict: risk.RiskVerdict) -> str:
    if verdict.low == verdict.high:
        off = f"off by {verdict.bias:.2g}, mean {verdict.average:.2g}"
        return "exact" if verdict.verdict == "exactly unbiased" else off
    if verdict.verdict.endswith("no bias found"):
        return f"MC: none found (±{(verdict.high - verdict.low) / 2:.1g})"
    return f"MC: off by {verdict.bias:.2g} ({verdict.low:.2g} to {verdict.high:.2g})"


def legend() -> list[str]:
    """Lines that explain the columns and cells of the table."""
    cases = [f"{case}: {meaning}." for case, meaning in risk.CASES.items()]
    return [
        *cases,
        "exact: the expectation of the loss over the feedback equals the ideal loss, to "
        f"{risk.EXACT:g}, at 4,096 arbitrary hypotheses, rewards, propensities and imputations, by "
        "enumeration in float64 (two terms a sample, four a pair). off by: the largest error, and the mean "
        "absolute one, in nats per response.",
        "MC: the risk is no sum over samples; 4,000 batches of 512, interval at 99.9 %.",
    ]


def as_markdown(rows: Rows) -> str:
    """The table as a Markdown document."""
    table = as_table(rows)
    lines = ["# Is the risk unbiased?", "", "Written by `simbench check --format markdown`.", ""]
    lines += ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(row) + " |" for row in table.itertuples(index=False)]
    return "\n".join([*lines, "", *(f"* {line}" for line in legend()), ""])
