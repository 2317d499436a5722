"""Claims that enumeration decides: the bias of naive training, Theorem 3.2, and Eq. (6) as printed."""

import pandas as pd

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity, exact, mean_of
from simbench.repro.verdicts import Condition, Place
from simbench.score.risk import EXACT

CHECK = "simbench check naive implicitrm implicitrm@printed"
IMPLICITRM, PRINTED = "implicitrm", "implicitrm@printed"


@claim(
    "1",
    "No definite negatives: naive training is biased, by exactly γ(1-α)[ℓ(h,0) - ℓ(h,1)].",
    command="simbench repro --only risk,bias-level",
    rule=f"Holds if the formula and the enumeration agree to {EXACT:g} at every point.",
    is_exact=True,
)
def naive_bias(evidence: Evidence) -> Judgement:
    """Compare the paper's formula with enumeration, and report where naive training ends."""
    rows = evidence.identities()
    rows = rows[rows.identity == "naive bias"]
    quantities = {
        "points": exact(int(rows.points.sum()), digits=0),
        "error": exact(float(rows.error.max()), digits=-1),
    }
    because = (
        "The expectation over the feedback, enumerated in float64 at {points} arbitrary hypotheses, rewards "
        "and propensities, differs from the formula by at most {error}."
    )
    try:
        trained = _trained_bias(evidence)
    except NotMeasured:
        trained = {}
    if trained:
        because += (
            " Trained on clicks (world `exclusive`, bias level 2), naive ends {naive shift} below the mean "
            "reward (negative: too low), with excess bias² {naive bias2}."
        )
    return Judgement([exactly("error")], because, quantities | trained)


def exactly(key: str, tolerance: float = EXACT) -> Place:
    """Return a place that holds where an error is no more than rounding."""
    condition = Condition(key=key, bound="value", above=False, threshold=tolerance)
    return Place(name="at every point that was enumerated", conditions=(condition,))


def _trained_bias(evidence: Evidence) -> dict[str, Quantity]:
    scores = evidence.replicates("bias-level").where(world="exclusive", bias_level=2.0)
    return {
        "naive shift": mean_of(scores.of("naive", "shift"), evidence.level),
        "naive bias2": mean_of(scores.less("naive", "oracle", "bias2"), evidence.level, digits=3),
    }


@claim(
    "3",
    "Theorem 3.2: the objective of ImplicitRM is unbiased when the stratification is the true posterior.",
    command=CHECK,
    rule=f"Holds if the expected loss at the true posteriors is the ideal loss, to {EXACT:g}. Claim 4 asks "
    "whether the stratification is learned.",
    is_exact=True,
)
def theorem(evidence: Evidence) -> Judgement:
    """Check that the risk is unbiased at the true posteriors, and report what it is at others."""
    rows = evidence.table("risk")
    given, fitted = (_bias(rows, IMPLICITRM, case) for case in ("true posteriors", "unknown α"))
    because = (
        "Stratified by the true γ and α, the expected loss is the ideal loss to {given}; at an arbitrary "
        "fit of them it is off by up to {fitted} nats. The theorem presupposes what has to be learned."
    )
    return Judgement([exactly("given")], because, {"given": given, "fitted": fitted})


@claim(
    "3b",
    "Eq. (6) as printed is that objective.",
    command="simbench repro --only risk,bias-level,rating",
    rule="Holds if the printed form is exact at the true posteriors.",
    is_exact=True,
)
def printed_equation(evidence: Evidence) -> Judgement:
    """Report the exact bias of the printed risk, and what training with it leads to."""
    rows = evidence.table("risk")
    quantities = {"printed": _bias(rows, PRINTED, "true posteriors")}
    because = (
        "With the numerators as printed (φNA ∝ γ̂(1-α̂), φPP ∝ γ̂α̂) the expected loss is off by up to "
        "{printed} even at the true γ and α; the paper's group table and proof use those of claim 3."
    )
    tables = []
    try:
        table, more = _trained_with_it(evidence)
        tables, quantities = [table], quantities | more
    except NotMeasured:
        pass
    return Judgement([exactly("printed")], because, quantities, tuple(tables))


def _trained_with_it(evidence: Evidence) -> tuple[Table, dict[str, Quantity]]:
    """MSE to γ when trained as defined and as printed, in pairs on the same logs."""
    lines, quantities = [], {}
    for step in ("bias-level", "rating"):
        try:
            scores = evidence.replicates(step)
        except NotMeasured:
            continue
        for world in scores.distinct("world"):
            for level in scores.where(world=world).distinct("bias_level"):
                here = scores.where(world=world, bias_level=level)
                if not (here.has(PRINTED) and here.has(IMPLICITRM)):
                    continue
                at = f"{world} {level:g}"
                quantities |= {
                    f"defined {at}": mean_of(here.of(IMPLICITRM, "mse"), evidence.level, digits=3),
                    f"printed {at}": mean_of(here.of(PRINTED, "mse"), evidence.level, digits=3),
                    f"worse {at}": mean_of(here.less(PRINTED, IMPLICITRM, "mse"), evidence.level, digits=3),
                }
                slots = (f"{{{name} {at}}}" for name in ("defined", "printed", "worse"))
                lines.append((world, f"{level:g}", *slots))
    if not lines:
        raise NotMeasured("neither `bias-level` nor `rating` has been run")
    columns = ("world", "bias level", "as defined", "as printed", "printed less defined")
    title = "Training with either: mean squared error to γ"
    return Table(title=title, columns=columns, rows=tuple(lines), long=True), quantities


def _row(rows: pd.DataFrame, estimator: str, case: str) -> pd.Series:
    found = rows[(rows.estimator == estimator) & (rows.case == case)]
    if found.empty:
        raise NotMeasured(f"the step `risk` holds no {estimator} in the case of {case}")
    return found.iloc[0]


def _bias(rows: pd.DataFrame, estimator: str, case: str) -> Quantity:
    return exact(float(_row(rows, estimator, case).bias), digits=-2)
