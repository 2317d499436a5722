"""Claims that enumeration decides: the bias of naive training, Theorem 3.2, and Eq. (6) as printed."""

import pandas as pd

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured
from simbench.repro.quantities import ClaimVerdict, Quantity, Table, exact, mean_of
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
    right = bool((rows.error <= EXACT).all())
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
    return Judgement(ClaimVerdict.holds if right else ClaimVerdict.fails, because, quantities | trained)


def _trained_bias(evidence: Evidence) -> dict[str, Quantity]:
    scores = evidence.replicates("bias-level").where(world="exclusive", bias_level=2.0)
    return {
        "naive shift": mean_of(scores.of("naive", "shift"), evidence.level),
        "naive bias2": mean_of(scores.less("naive", "oracle", "bias2"), evidence.level, digits=4),
    }


@claim(
    "3",
    "Theorem 3.2: the objective of ImplicitRM is unbiased.",
    command=CHECK,
    rule="Holds if exact at true posteriors and at arbitrary fitted ones; under a condition if only at the "
    "true ones; else not.",
    is_exact=True,
)
def theorem(evidence: Evidence) -> Judgement:
    """Check that the risk is unbiased at the true posteriors, and at others."""
    rows = evidence.table("risk")
    given, fitted = (_bias(rows, IMPLICITRM, case) for case in ("true posteriors", "unknown α"))
    exact_given = _is_exact(rows, IMPLICITRM, "true posteriors")
    exact_fitted = _is_exact(rows, IMPLICITRM, "unknown α")
    verdict = ClaimVerdict.fails
    if exact_given:
        verdict = ClaimVerdict.holds if exact_fitted else ClaimVerdict.condition
    because = (
        "Stratified by the true γ and α, the expected loss is the ideal loss to {given}; at an arbitrary "
        "fit of them it is off by up to {fitted}. The theorem presupposes the stratification that has to be "
        "learned."
    )
    return Judgement(verdict, because, {"given": given, "fitted": fitted})


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
    is_exact = _is_exact(rows, PRINTED, "true posteriors")
    return Judgement(
        ClaimVerdict.holds if is_exact else ClaimVerdict.fails, because, quantities, tuple(tables)
    )


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
                    f"defined {at}": mean_of(here.of(IMPLICITRM, "mse"), evidence.level, digits=4),
                    f"printed {at}": mean_of(here.of(PRINTED, "mse"), evidence.level, digits=4),
                    f"worse {at}": mean_of(here.less(PRINTED, IMPLICITRM, "mse"), evidence.level, digits=4),
                }
                slots = (f"{{{name} {at}}}" for name in ("defined", "printed", "worse"))
                lines.append((world, f"{level:g}", *slots))
    if not lines:
        raise NotMeasured("neither `bias-level` nor `rating` has been run")
    columns = ("world", "bias level", "as defined", "as printed", "printed less defined")
    title = "Training with either: mean squared error to γ"
    return Table(title=title, columns=columns, rows=tuple(lines)), quantities


def _row(rows: pd.DataFrame, estimator: str, case: str) -> pd.Series:
    found = rows[(rows.estimator == estimator) & (rows.case == case)]
    if found.empty:
        raise NotMeasured(f"the step `risk` holds no {estimator} in the case of {case}")
    return found.iloc[0]


def _bias(rows: pd.DataFrame, estimator: str, case: str) -> Quantity:
    return exact(float(_row(rows, estimator, case).bias), digits=-2)


def _is_exact(rows: pd.DataFrame, estimator: str, case: str) -> bool:
    return _row(rows, estimator, case).verdict == "exactly unbiased"
