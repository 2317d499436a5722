"""How much each leak of the published protocol is worth: scores with all leaks, less with one closed."""

import numpy as np

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity, mean_of
from simbench.repro.verdicts import Place, above

PUBLISHED = "published"
CLOSED = "off: "  # how a protocol is named that closes a leak
ORACLE, OURS, NAIVE = "oracle", "implicitrm", "naive"


def _leak(protocol: str) -> str:
    """``off: oracle stopping`` -> ``oracle stopping``."""
    return protocol.removeprefix(CLOSED)


def _shared(one: Scores, other: Scores) -> list[str]:
    """Estimators that have an R² under both protocols, without the oracle."""
    first, second = (
        Scores(scores.table[scores.table.metric == "r2"], scores.step).distinct("estimator")
        for scores in (one, other)
    )
    return [name for name in first if name in second and name != ORACLE]


@claim(
    "L",
    "Each leak of the published protocol flatters the methods.",
    command="simbench repro --only leaks; simbench figure leaks OUT/leaks",
    rule="A leak flatters on a twin where the mean R² over the methods is higher with it than with it alone "
    "closed, by a whole interval (in pairs by replicate, simultaneous over all leaks and twins). Holds if "
    "every leak does on every twin; under a condition if some do.",
)
def worth(evidence: Evidence) -> Judgement:
    """Report what each leak adds to R², over all methods and for ImplicitRM and naive, and to AUROC."""
    scores = evidence.replicates("leaks")
    protocols = [name for name in scores.distinct("protocol") if name != PUBLISHED]
    if PUBLISHED not in scores.distinct("protocol") or not protocols:
        raise NotMeasured("the step `leaks` lacks the published protocol, or one with a leak closed")
    worlds = scores.distinct("world")
    count = len(protocols) * len(worlds)
    quantities: dict[str, Quantity] = {}
    lines, places = [], []
    for world in worlds:
        published = scores.where(world=world, protocol=PUBLISHED)
        for protocol in protocols:
            closed = scores.where(world=world, protocol=protocol)
            names = _shared(published, closed)
            gains = {
                metric: np.stack([_gain(published, closed, name, metric) for name in names])
                for metric in ("r2", "auroc")
            }
            at = f"{_leak(protocol)} {world}"
            found = {
                f"r2 of {len(names)}": mean_of(gains["r2"].mean(0), evidence.level, count),
                f"auroc of {len(names)}": mean_of(gains["auroc"].mean(0), evidence.level, count),
            }
            found |= {
                f"r2 of {name}": mean_of(gains["r2"][names.index(name)], evidence.level, count)
                for name in (OURS, NAIVE)
                if name in names
            }
            quantities |= {f"{key} {at}": value for key, value in found.items()}
            flatters = above(f"r2 of {len(names)} {at}")
            places.append(Place(name=f"{_leak(protocol)} on {world}", conditions=(flatters,)))
            slots = [f"{{{key} {at}}}" for key in found]
            lines.append((world, _leak(protocol), *slots, *[""] * (4 - len(slots))))
    table = Table(
        title="With the leak, less with it alone closed (all: every one closed, the honest protocol)",
        columns=("twin", "leak", "R², mean of the methods", "AUROC, mean", f"R², {OURS}", f"R², {NAIVE}"),
        rows=tuple(lines),
        note=f"Intervals simultaneous over {count} pairs of leak and twin (Bonferroni).",
    )
    held = sum(place.holds(quantities) for place in places)
    because = f"{held} of {len(places)} pairs of leak and twin flatter the mean of the methods."
    return Judgement(places, because, quantities, (table,), (1 - evidence.level) / 2 / count)


def _gain(published: Scores, closed: Scores, name: str, metric: str) -> np.ndarray:
    """Score with the leak less score with it closed, in pairs by replicate, shape (R,)."""
    return published.of(name, metric) - closed.of(name, metric)
