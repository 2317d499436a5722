"""Claim 2: preference bias makes methods that assume SCAR biased, and the more so the higher its level."""

import numpy as np

from simbench.estimator.registry import find
from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity, mean_of
from simbench.repro.verdicts import Place, above

MARGIN = 0.05**2  # squared probability: a bias below it counts as none


def assumes_scar(estimator: str) -> bool:
    """Return whether an estimator declares that it assumes SCAR."""
    return "SCAR" in find(estimator).assumption


def slope(scores: Scores, estimator: str, levels: list[float]) -> np.ndarray:
    """Return the least-squares slope of the excess bias² over the bias level, shape (R,).

    The values are pseudo-values, one per replicate.
    """
    curve = np.stack([scores.where(bias_level=level).less(estimator, "oracle", "bias2") for level in levels])
    weight = np.array(levels) - np.mean(levels)
    return weight @ curve / (weight @ weight)


@claim(
    "2",
    "User preference bias makes PU methods that assume SCAR biased, the more the higher its level.",
    command="simbench repro --only bias-level; simbench figure bias-variance OUT/bias-level",
    figure="bias-variance.png",
    rule="Holds in a world if the excess bias² of every such method rises with the bias level, by more than "
    ".05² over the levels; under a condition if that is so in some worlds and not in others.",
)
def scar_methods(evidence: Evidence) -> Judgement:
    """Judge the trend of every such method in every world, with intervals simultaneous over all of them."""
    scores = evidence.replicates("bias-level")
    methods = [name for name in scores.distinct("estimator") if assumes_scar(name)]
    worlds = scores.distinct("world")
    if not methods:
        raise NotMeasured("the step `bias-level` holds no method that assumes SCAR")
    levels = sorted(scores.distinct("bias_level"))
    if len(levels) < 2:
        raise NotMeasured("the step `bias-level` holds a single bias level: there is no trend")
    quantities: dict[str, Quantity] = {}
    lines, places = [], []
    for world in worlds:
        here, rises = scores.where(world=world), []
        for name in methods:
            at = f"{name} {world}"
            rise = slope(here, name, levels) * (levels[-1] - levels[0])
            trend = mean_of(rise, evidence.level, len(methods) * len(worlds), digits=4)
            over = f"rise {at} from {levels[0]:g} to {levels[-1]:g}"
            quantities[over] = trend
            for level in levels:
                excess = here.where(bias_level=level).less(name, "oracle", "bias2")
                quantities[f"excess {at} {level:g}"] = mean_of(excess, evidence.level, digits=4)
            ends = (f"{{excess {at} {level:g}}}" for level in (levels[0], levels[-1]))
            rising = above(over, MARGIN)
            rises.append(rising)
            lines.append((world, name, *ends, f"{{{over}}}", "rises" if rising.met(quantities) else ""))
        places.append(Place(name=f"`{world}`", conditions=tuple(rises)))
    counts = "; ".join(
        f"{sum(rising.met(quantities) for rising in place.conditions)} of {len(place.conditions)} rise in "
        f"{place.name}"
        for place in places
    )
    first, last = (f"at level {level:g}" for level in (levels[0], levels[-1]))
    table = Table(
        title="Excess bias² over the oracle's, of the methods that assume SCAR",
        columns=("world", "method", first, last, "rise over the levels", ""),
        rows=tuple(lines),
        note="Rise: slope by least squares over all levels, times their range; intervals simultaneous over "
        "the table (Bonferroni).",
    )
    because = (
        f"{counts}. What the theory expects: where the propensity reads only context that the reward does "
        "not (`exclusive`), feedback is SCAR *given the features* at every bias level, and a method that "
        "reads features alone is none the worse; where both read the same features (`shared`), it is."
    )
    luck = (1 - evidence.level) / 2 / (len(methods) * len(worlds))
    condition = "where the propensity reads what the reward reads: " + ", ".join(
        place.name for place in places if place.holds(quantities)
    )
    return Judgement(places, because, quantities, (table,), luck, condition)
