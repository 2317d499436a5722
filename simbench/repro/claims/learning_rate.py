"""Claim 6: what the learning rate does to ImplicitRM, with the stated search range marked."""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.learning_rate import CLAIMED_BAD, STATED_RANGE
from simbench.repro.quantities import Quantity, Table, Verdict, by_share, mean_of

ESTIMATORS = ("implicitrm", "naive")
METRICS = {"r2": "R²", "auroc": "AUROC"}
COMMAND = "simbench repro --only learning-rate"


def _curve(evidence: Evidence) -> tuple[Scores, list[float], dict[str, Quantity]]:
    """Scores, the rates, and every point of the curve."""
    scores = evidence.replicates("learning-rate")
    rates = sorted(scores.distinct("lr"))
    points = {
        f"{metric} {name} {rate:g}": mean_of(scores.where(lr=rate).of(name, metric), evidence.level)
        for rate in rates
        for name in ESTIMATORS
        for metric in METRICS
    }
    return scores, rates, points


def _table(scores: Scores, rates: list[float]) -> Table:
    columns = [(name, metric) for name in ESTIMATORS for metric in METRICS]
    rows = [
        (
            f"{rate:g}{'' if _in_range(rate) else ' (outside)'}",
            *(f"{{{m} {name} {rate:g}}}" for name, m in columns),
        )
        for rate in rates
    ]
    world, level = scores.distinct("world")[0], scores.distinct("bias_level")[0]
    return Table(
        title=f"The curve in `{world}`, bias level {level:g}",
        columns=("learning rate", *(f"{name}, {METRICS[m]}" for name, m in columns)),
        rows=tuple(rows),
        note=f"Outside: of the stated search range, {STATED_RANGE[0]:g} to {STATED_RANGE[1]:g}.",
    )


def _in_range(rate: float) -> bool:
    return STATED_RANGE[0] <= rate <= STATED_RANGE[1]


@claim(
    "6",
    f"At a learning rate of {CLAIMED_BAD:g}, in the stated range, ImplicitRM has R² below 0 (reviews).",
    command=COMMAND,
    rule="Holds if the whole interval lies below 0.",
)
def negative_r2(evidence: Evidence) -> Judgement:
    """R² at that rate."""
    scores, rates, points = _curve(evidence)
    key = f"r2 implicitrm {CLAIMED_BAD:g}"
    if key not in points:
        raise NotMeasured(f"the step `learning-rate` holds no rate of {CLAIMED_BAD:g}")
    high = points[key].high
    verdict = Verdict.holds if high is not None and high < 0 else Verdict.fails
    because = f"There it is {{{key}}}; naive's is {{r2 naive {CLAIMED_BAD:g}}}."
    return Judgement(verdict, because, points, (_table(scores, rates),))


@claim(
    "6b",
    "The best learning rate of ImplicitRM lies outside the stated search range (reviews).",
    command=COMMAND,
    rule="Holds if the best rate by mean R² lies outside and is better, in pairs, than every rate inside "
    "(intervals simultaneous over those).",
)
def best_outside(evidence: Evidence) -> Judgement:
    """The best rate against every rate of the range."""
    scores, rates, _ = _curve(evidence)
    inside = [rate for rate in rates if _in_range(rate)]
    best = max(rates, key=lambda rate: scores.where(lr=rate).of("implicitrm", "r2").mean())
    at_best = scores.where(lr=best).of("implicitrm", "r2")
    gains = {
        f"best less {rate:g}": mean_of(
            at_best - scores.where(lr=rate).of("implicitrm", "r2"), evidence.level, len(inside)
        )
        for rate in inside
        if rate != best
    }
    better = [gain.low is not None and gain.low > 0 for gain in gains.values()]
    verdict = by_share([not _in_range(best) and all(better)])
    slots = ", ".join(f"{{best less {rate:g}}} at {rate:g}" for rate in inside if rate != best)
    because = f"The best of the grid is {best:g}. What R² loses against it inside the range: {slots}."
    return Judgement(verdict, because, gains)
