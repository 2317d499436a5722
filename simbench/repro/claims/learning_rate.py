"""Claim 6: what the learning rate does to ImplicitRM, under both stopping rules."""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.learning_rate import CLAIMED_BAD, STATED_RANGE
from simbench.repro.quantities import Quantity, Table, by_share, mean_of

OURS = "implicitrm"
ESTIMATORS = (OURS, "naive")
METRICS = {"r2": "R²", "auroc": "AUROC"}
COMMAND = "simbench repro --only learning-rate"


def curves(evidence: Evidence) -> dict[str, Scores]:
    """Return the scores by protocol: a fit is stopped by held-out feedback, or by clean labels."""
    scores = evidence.replicates("learning-rate")
    return {name: scores.where(protocol=name) for name in scores.distinct("protocol")}


def _in_range(rate: float) -> bool:
    return STATED_RANGE[0] <= rate <= STATED_RANGE[1]


def _points(scores: Scores, protocol: str, level: float) -> dict[str, Quantity]:
    """Every point of the curves, as a quantity."""
    return {
        f"{metric} {name} {rate:g} {protocol}": mean_of(scores.where(lr=rate).of(name, metric), level)
        for rate in sorted(scores.distinct("lr"))
        for name in ESTIMATORS
        for metric in METRICS
    }


def _table(scores: Scores, protocol: str) -> Table:
    columns = [(name, metric) for name in ESTIMATORS for metric in METRICS]
    rows = [
        (
            f"{rate:g}{'' if _in_range(rate) else ' (outside)'}",
            *(f"{{{metric} {name} {rate:g} {protocol}}}" for name, metric in columns),
        )
        for rate in sorted(scores.distinct("lr"))
    ]
    world, level = scores.distinct("world")[0], scores.distinct("bias_level")[0]
    return Table(
        title=f"`{world}`, bias level {level:g}, {protocol}",
        columns=("learning rate", *(f"{name}, {METRICS[metric]}" for name, metric in columns)),
        rows=tuple(rows),
        note=f"Outside: of the stated search range, {STATED_RANGE[0]:g} to {STATED_RANGE[1]:g}.",
    )


@claim(
    "6",
    f"At a learning rate of {CLAIMED_BAD:g}, in the stated range, ImplicitRM has R² below 0 (reviews).",
    command=COMMAND,
    rule="Holds if the whole interval is below 0 under both stopping rules, under a condition if under one.",
)
def negative_r2(evidence: Evidence) -> Judgement:
    """Judge R² at the claimed rate, under both stopping rules."""
    runs = curves(evidence)
    quantities: dict[str, Quantity] = {}
    for protocol, scores in runs.items():
        quantities |= _points(scores, protocol, evidence.level)
    keys = {protocol: f"r2 {OURS} {CLAIMED_BAD:g} {protocol}" for protocol in runs}
    if not set(keys.values()) <= set(quantities):
        raise NotMeasured(f"the step `learning-rate` holds no rate of {CLAIMED_BAD:g}")
    highs = [quantities[key].high for key in keys.values()]
    slots = "; ".join(
        f"{protocol}: {{{key}}}, naive {{r2 naive {CLAIMED_BAD:g} {protocol}}}"
        for protocol, key in keys.items()
    )
    tables = tuple(_table(scores, protocol) for protocol, scores in runs.items())
    verdict = by_share([high is not None and high < 0 for high in highs])
    return Judgement(verdict, f"R² there, by what stops a fit. {slots}.", quantities, tables)


@claim(
    "6b",
    "The best learning rate of ImplicitRM lies outside the stated search range (reviews).",
    command=COMMAND,
    rule="Holds if the best rate by mean R² lies outside and is better, in pairs, than every rate inside "
    "(intervals simultaneous over those), under both stopping rules; under a condition if under one.",
)
def best_outside(evidence: Evidence) -> Judgement:
    """Compare the best rate with every rate of the stated range."""
    quantities: dict[str, Quantity] = {}
    holding, texts = [], []
    for protocol, scores in curves(evidence).items():
        r2 = {rate: scores.where(lr=rate).of(OURS, "r2") for rate in sorted(scores.distinct("lr"))}
        best = max(r2, key=lambda rate: r2[rate].mean())
        inside = [rate for rate in r2 if _in_range(rate) and rate != best]
        gains = {
            f"{best:g} less {rate:g} {protocol}": mean_of(r2[best] - r2[rate], evidence.level, len(inside))
            for rate in inside
        }
        quantities |= gains
        better = [gain.low is not None and gain.low > 0 for gain in gains.values()]
        holding.append(not _in_range(best) and all(better))
        slots = ", ".join(f"{{{best:g} less {rate:g} {protocol}}} at {rate:g}" for rate in inside)
        texts.append(f"{protocol}: the best of the grid is {best:g}; R² loses against it {slots}")
    return Judgement(by_share(holding), ". ".join(texts) + ".", quantities)
