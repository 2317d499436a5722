"""The text of a figure of policies, which says in words what its table shows."""

import numpy as np
import pandas as pd

from simbench.study.policies import REFERENCE, TRUTH

TILTED = "tilted to KL"
USUAL_KL = 1.0  # nats, at which policies are compared
NOTICED = 0.1  # of the largest shift of the trait by an estimator's policy: the truth's own shift
MOST_NAMED = 3
LIKES, DISLIKES, IGNORES = "prefers more of it", "prefers less of it", "hardly reads it"
OF_TRAIT = {
    LIKES: "users act on {}, and the true reward prefers more of it, too",
    DISLIKES: "users act on {}, and the true reward prefers less of it",
    IGNORES: "users act on {}, which the true reward hardly reads",
}


def explained(here: pd.DataFrame, world: str) -> str:
    """Say what the true reward makes of the trait, and why an estimator passes the oracle.

    The text is empty if there is neither a trait nor such an estimator.

    Parameters
    ----------
    here : DataFrame
        Rows of one situation of :func:`simbench.study.policies.downstream_table`.
    world : str
        What the situation is called.
    """
    kl = comparison_kl(here)
    passing = passes_oracle(here, kl)
    parts = [_of_trait(here, kl), _of_passing(here, kl, passing)]
    words = " ".join(part for part in parts if part)
    return f"{world}, at a KL of {kl:g}: {words}" if words else ""


def comparison_kl(here: pd.DataFrame) -> float:
    """Return the measured KL that is nearest to 1 nat."""
    there = here.strength[(here.policy == TILTED) & (here.estimator == TRUTH)].tolist()
    return min(there, key=lambda kl: (abs(kl - USUAL_KL), kl))


def attitude(here: pd.DataFrame, kl: float) -> str | None:
    """Say what the true reward makes of the trait, judged by its own policy; None if there is no trait.

    That policy's shift of the trait from the reference is compared with the largest of any estimator's.
    """
    shift = _shifts(here, kl)
    if TRUTH not in shift or not np.isfinite(shift[TRUTH]):
        return None
    others = shift.drop([TRUTH, "oracle"], errors="ignore").dropna()
    most = others[others.abs().idxmax()] if len(others) else shift[TRUTH]
    share = shift[TRUTH] / most if most else 0.0
    if abs(share) < NOTICED:
        return IGNORES
    return LIKES if shift[TRUTH] > 0 else DISLIKES


def passes_oracle(here: pd.DataFrame, kl: float) -> pd.DataFrame:
    """Return the rows of the estimators whose value is above the oracle's by a whole interval.

    The comparison is in pairs on the same logs.
    """
    rows = _at(here, "value_over_oracle", kl)
    return rows[(rows.estimator != "oracle") & (rows.low > 0)].sort_values("value", ascending=False)


def _of_trait(here: pd.DataFrame, kl: float) -> str:
    how = attitude(here, kl)
    if how is None:
        return ""
    shift, reference = _shifts(here, kl), _reference(here, "trait")
    moved = f"its own policy moves it from {_spelled(reference)} to {_spelled(reference + shift[TRUTH])}"
    others = shift.drop([TRUTH, "oracle"], errors="ignore").dropna()
    if len(others):
        most = str(others.abs().idxmax())
        moved += f", {most}'s to {_spelled(reference + others[most])}"
    return f"{OF_TRAIT[how].format(_name(here))} ({moved}{_unit(here)})."


def _of_passing(here: pd.DataFrame, kl: float, passing: pd.DataFrame) -> str:
    if passing.empty:
        return ""
    named = [
        f"{row.estimator} by {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
        for row in passing.head(MOST_NAMED).itertuples()
    ]
    more = len(passing) - len(named)
    who = ", ".join(named) + (f" and {more} more" if more > 0 else "")
    verb = "passes" if len(passing) == 1 else "pass"
    if attitude(here, kl) in (LIKES, DISLIKES) and _go_with_truth(here, kl, passing):
        why = (
            f"more of the KL goes to {_name(here)}, as with the truth itself, than under the oracle "
            f"({_compared(here, kl, str(passing.estimator.iloc[0]))}), and here that is worth more than what "
            "the oracle spends it on; it is no sign of an unbiased reward."
        )
    else:
        why = "the oracle is fitted as well, and so no ceiling; only the dashed curve is one."
    return f"{who} {verb} the oracle in value: {why}"


def _compared(here: pd.DataFrame, kl: float, first: str) -> str:
    """The trait under the policies of one estimator that passes the oracle, and under the oracle's."""
    trait = _shifts(here, kl) + _reference(here, "trait")
    return f"{first} {_spelled(trait[first])}, oracle {_spelled(trait['oracle'])}{_unit(here)}"


def _name(here: pd.DataFrame) -> str:
    return str(here.trait[here.trait != ""].iloc[0])


def _unit(here: pd.DataFrame) -> str:
    return " characters" if _name(here) == "length" else ""


def _go_with_truth(here: pd.DataFrame, kl: float, passing: pd.DataFrame) -> bool:
    """Whether all of these shift the trait further than the oracle, in the direction of the truth."""
    shift = _shifts(here, kl)
    if "oracle" not in shift:
        return False
    side = np.sign(shift[TRUTH])
    return bool((side * shift[passing.estimator] > side * shift["oracle"]).all())


def _shifts(here: pd.DataFrame, kl: float) -> pd.Series:
    """Mean trait under every estimator's policy less the reference's; empty if there is no trait."""
    rows = _at(here, "trait", kl).drop_duplicates("estimator").set_index("estimator").value
    return rows - _reference(here, "trait") if len(rows) else rows


def _reference(here: pd.DataFrame, metric: str) -> float:
    return float(here[(here.estimator == REFERENCE) & (here.metric == metric)].value.iloc[0])


def _at(here: pd.DataFrame, metric: str, kl: float) -> pd.DataFrame:
    return here[(here.policy == TILTED) & (here.metric == metric) & np.isclose(here.strength, kl)]


def _spelled(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 2) + 0.0:.2f}"  # no -0.00
