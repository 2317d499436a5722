"""What a reader should take away from one situation of a study, in two or three sentences."""

from collections.abc import Sequence

import pandas as pd

from simbench.study.config import StudyConfig
from simbench.study.draws import AMONG_BEST
from simbench.study.summary import number

NOTHING = ("nothing", "context")  # what a log holds of itself
MOST = 4  # names in a list


def takeaways(here: pd.DataFrame, config: StudyConfig) -> list[str]:
    """The sentences for one situation, from its measured rows alone.

    Parameters
    ----------
    here : DataFrame
        Rows of the long table that belong to the situation.
    config : StudyConfig

    Returns
    -------
    list of str
        Empty if no estimator finished beside the oracle.
    """
    rows = here[(here.status == "ok") & (here.knows != "truth")]
    mse = rows[rows.metric == "mse"].sort_values("value", kind="stable")
    if mse.empty:
        return []
    return [line for line in (_verdicts(rows, config), _best(rows, mse), _least_told(mse)) if line]


def _verdicts(rows: pd.DataFrame, config: StudyConfig) -> str:
    """Who is unbiased, and what that is conditional on."""
    found = rows[rows.metric == "distance2"]
    verdicts = found[found.verdict != ""]
    if verdicts.empty:
        return ""
    where = f"In {config.draws} drawn worlds of this kind" if config.draws > 1 else "In this one drawn world"
    unbiased = verdicts[verdicts.verdict == "unbiased"]
    others = verdicts.verdict.value_counts()
    rest = ", ".join(
        f"{others[name]} {name}" for name in ("biased", "nearer than oracle", "undecided") if name in others
    )
    verb = "is" if len(unbiased) == 1 else "are"
    return (
        f"{where}, {len(unbiased)} of {len(verdicts)} estimators {verb} unbiased within ±{config.margin:g}"
        f"{f' ({_names(unbiased)})' if len(unbiased) else ''}{f'; {rest}' if rest else ''}."
    )


def _best(rows: pd.DataFrame, mse: pd.DataFrame) -> str:
    """The smallest error, and who cannot be told from it."""
    first = mse.iloc[0]
    line = f"Smallest MSE: {_who(first)}, {number(first.value)}"
    among = rows[(rows.metric == AMONG_BEST) & (rows.value == 1)]
    ties = among[~((among.estimator == first.estimator) & (among.knows == first.knows))]
    return line + (f"; not to be told from it: {_names(ties)}." if len(ties) else ".")


def _least_told(mse: pd.DataFrame) -> str:
    """The smallest error of those who were told nothing, where the best was told something."""
    own = mse[mse.knows.isin(NOTHING)]
    if own.empty or mse.iloc[0].knows in NOTHING:
        return ""
    first, naive = own.iloc[0], own[own.estimator == "naive"]
    line = f"Of those told nothing but the log: {first.estimator}, {number(first.value)}"
    if len(naive) and first.estimator != "naive":
        line += f" (naive {number(naive.iloc[0].value)})"
    return line + "."


def _who(row: pd.Series) -> str:
    return f"{row.estimator} (told {row.knows})"


def _names(rows: pd.DataFrame) -> str:
    """Names of estimators, with what they were told where one name stands twice."""
    twice = set(rows.estimator[rows.estimator.duplicated()])
    names: Sequence[str] = [
        f"{row.estimator} told {row.knows}" if row.estimator in twice else str(row.estimator)
        for row in rows.itertuples()
    ]
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
