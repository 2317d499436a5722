"""Claims 6 and 6b: what the learning rate does to ImplicitRM, under both stopping rules."""

import numpy as np

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.findings import Table
from simbench.repro.learning_rate import CLAIMED_BAD, CLAIMED_BEST, CLAIMED_EDGE, STATED_RANGE
from simbench.repro.quantities import Quantity, mean_of
from simbench.repro.verdicts import Place, above
from simbench.training.trained import UNCONVERGED

OURS = "implicitrm"
METRICS = {"r2": "R²", "auroc": "AUROC"}
COMMAND = "simbench repro --only learning-rate"
SHARP = 0.1  # fall of R² that counts as sharp
RANGE = f"[{STATED_RANGE[0]:g}, {STATED_RANGE[1]:g}]"


def curves(evidence: Evidence) -> dict[str, Scores]:
    """Return the scores by protocol: a fit is stopped by held-out feedback, or by clean labels."""
    scores = evidence.replicates("learning-rate")
    return {name: scores.where(protocol=name) for name in scores.distinct("protocol")}


def _in_range(rate: float) -> bool:
    return STATED_RANGE[0] <= rate <= STATED_RANGE[1]


def _cut_short(evidence: Evidence) -> dict[tuple[str, float], float]:
    """By protocol and rate, the share of the fits that were improving when their epochs ran out."""
    table = evidence.table("learning-rate")
    rows = table[(table.metric == UNCONVERGED) & (table.estimator == OURS)]
    return {(row.protocol, row.lr): float(row.value) for row in rows.itertuples()}


def _points(scores: Scores, protocol: str, level: float) -> dict[str, Quantity]:
    """Every point of a curve, as a quantity."""
    return {
        f"{metric} {rate:g} {protocol}": mean_of(scores.where(lr=rate).of(OURS, metric), level)
        for rate in sorted(scores.distinct("lr"))
        for metric in METRICS
    }


def _table(runs: dict[str, Scores], cut_short: dict[tuple[str, float], float]) -> Table:
    rates = sorted({rate for scores in runs.values() for rate in scores.distinct("lr")})
    rows = []
    for rate in rates:
        line = [f"{rate:g}{'' if _in_range(rate) else ' (outside)'}"]
        for protocol in runs:
            share = cut_short.get((protocol, rate), 0.0)
            mark = f" ({share:.0%} cut short)" if share > 0 else ""
            line += [f"{{{metric} {rate:g} {protocol}}}{mark}" for metric in METRICS]
        rows.append(tuple(line))
    first = next(iter(runs.values()))
    world, level = first.distinct("world")[0], first.distinct("bias_level")[0]
    return Table(
        title=f"ImplicitRM on `{world}`, bias level {level:g}, by what stops a fit",
        columns=("learning rate", *(f"{name}, {protocol}" for protocol in runs for name in METRICS.values())),
        rows=tuple(rows),
        note=f"Outside: of the stated search range, {RANGE}. Cut short: these fits were improving when their "
        "epochs ran out, and have not converged.",
    )


@claim(
    "6",
    f"R² of ImplicitRM falls sharply above a learning rate of about {CLAIMED_EDGE:g}; it is below 0 at "
    f"{CLAIMED_BAD:g} (reviews).",
    command=COMMAND,
    rule=f"What is judged is the fall. Holds if R² at {CLAIMED_EDGE:g} lies more than {SHARP:g} above that "
    f"at {CLAIMED_BAD:g} with the whole interval, in pairs, under both stopping rules; under a condition "
    "if under one.",
)
def sharp_fall(evidence: Evidence) -> Judgement:
    """Judge the fall of R² between the two claimed rates, under both stopping rules."""
    runs = curves(evidence)
    quantities: dict[str, Quantity] = {}
    places, texts = [], []
    for protocol, scores in runs.items():
        if not {CLAIMED_EDGE, CLAIMED_BAD} <= set(scores.distinct("lr")):
            quantities |= _points(scores, protocol, evidence.level)
            continue
        edge, bad = (scores.where(lr=rate).of(OURS, "r2") for rate in (CLAIMED_EDGE, CLAIMED_BAD))
        quantities |= _points(scores, protocol, evidence.level)
        quantities[f"fall {protocol}"] = mean_of(edge - bad, evidence.level)
        places.append(Place(name=f"stopping: {protocol}", conditions=(above(f"fall {protocol}", SHARP),)))
        texts.append(
            f"{protocol}: R² falls by {{fall {protocol}}} (negative: it rises), to "
            f"{{r2 {CLAIMED_BAD:g} {protocol}}} at "
            f"{CLAIMED_BAD:g}"
        )
    if not any(key.startswith(f"r2 {CLAIMED_BAD:g} ") for key in quantities):
        raise NotMeasured(f"the step `learning-rate` holds no rate of {CLAIMED_BAD:g}")
    because = f"By what stops a fit, from {CLAIMED_EDGE:g} to {CLAIMED_BAD:g}. {'; '.join(texts)}."
    tables = (_table(runs, _cut_short(evidence)),)
    return Judgement(places, because, quantities, tables, (1 - evidence.level) / 2)


@claim(
    "6b",
    f"The best learning rate of ImplicitRM, {CLAIMED_BEST:g}, lies below the stated search range {RANGE} "
    "(reviews).",
    command=COMMAND,
    rule="Holds if the best rate by mean R² lies below the range and is better, in pairs, than every rate "
    "inside (intervals simultaneous over those), under both stopping rules; under a condition if under "
    "one.",
)
def best_below(evidence: Evidence) -> Judgement:
    """Compare the best rate below the range with every rate inside."""
    quantities: dict[str, Quantity] = {}
    places, texts, count = [], [], 1
    for protocol, scores in curves(evidence).items():
        r2 = {rate: scores.where(lr=rate).of(OURS, "r2") for rate in sorted(scores.distinct("lr"))}
        low = {rate: values for rate, values in r2.items() if rate < STATED_RANGE[0]}
        inside = [rate for rate in r2 if _in_range(rate)]
        if not low or not inside:
            raise NotMeasured("the step `learning-rate` holds no rate below the stated range, or none in it")
        best, count = max(low, key=lambda rate: np.mean(r2[rate])), len(inside)
        gains = {
            f"{best:g} less {rate:g} {protocol}": mean_of(r2[best] - r2[rate], evidence.level, count)
            for rate in inside
        }
        quantities |= gains
        places.append(Place(name=f"stopping: {protocol}", conditions=tuple(map(above, gains))))
        overall = max(r2, key=lambda rate: np.mean(r2[rate]))
        slots = ", ".join(f"{{{best:g} less {rate:g} {protocol}}} over {rate:g}" for rate in inside)
        texts.append(
            f"{protocol}: the best of the grid is {overall:g}, the best below the range {best:g}, which "
            f"gains in R² {slots}"
        )
    luck = (1 - evidence.level) / 2 / count
    return Judgement(places, ". ".join(texts) + ".", quantities, luck=luck)
