"""Predictions (a) to (d) about the published protocol, from a reading of the public code, tested on twins."""

from itertools import combinations

import numpy as np
from scipy.stats import kendalltau

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.claims.twins import comparisons, gives, told
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.findings import Table
from simbench.repro.published import baselines
from simbench.repro.quantities import Quantity, mean_of
from simbench.repro.verdicts import Place, above, below

HALF = 0.5
LITTLE = 0.05  # of AUROC
SIMPLE = ("pu_naive", "naive-sqrt")  # the first is balanced-naive
ORACLE = "oracle"  # no method: it is told the truth
PUBLISHED, CLOSED = "published", "off: all"  # protocols of the step `leaks`
EVERYWHERE = (
    "Holds if so on every twin, at the published rates and at several times them; under a condition if "
)
SOMEWHERE = EVERYWHERE + "in more of these places than could be by luck."


def under_published(evidence: Evidence) -> dict[tuple[str, str], Scores]:
    """Return the scores by protocol and twin under the published protocol, at each of its rates."""
    found = {
        (name, world): scores for name, world, scores in comparisons(evidence) if name.startswith(PUBLISHED)
    }
    if not found:
        raise NotMeasured("the step `twins-published` has not been run")
    return found


def _probable(scores: Scores) -> list[str]:
    """Estimators that give probabilities, without the oracle."""
    return [name for name in scores.distinct("estimator") if name != ORACLE and gives(scores, name, "r2")]


@claim(
    "a",
    "The leaks of the published protocol reorder the ranking of the methods (prediction).",
    command="simbench repro --only leaks",
    rule="On a twin: some pair of methods stands one way round under the published protocol and the other "
    "way with every leak closed, on the same logs and network, by R², each with a whole interval "
    "(simultaneous over all pairs and both protocols). Holds if so on every twin; under a condition on "
    "some.",
)
def reorders(evidence: Evidence) -> Judgement:
    """Find pairs of methods whose order is reversed, and Kendall's τ of the two rankings."""
    scores = evidence.replicates("leaks")
    quantities: dict[str, Quantity] = {}
    lines, places, count = [], [], 1
    for world in scores.distinct("world"):
        here = scores.where(world=world)
        both = here.where(protocol=PUBLISHED), here.where(protocol=CLOSED)
        names = [name for name in _probable(both[0]) if name in _probable(both[1])]
        if len(names) < 2:
            raise NotMeasured(f"the step `leaks` holds fewer than two methods under {PUBLISHED} and {CLOSED}")
        means = [[of.of(name, "r2").mean() for name in names] for of in both]
        quantities[f"tau {world}"] = Quantity(
            value=float(kendalltau(*means).statistic), digits=2, kind="derived"
        )
        pairs = list(combinations(names, 2))
        count = 2 * len(pairs)
        found = [_leads(both, *pair, evidence.level, count) for pair in pairs]
        turned = [name for name, first, second in found if _reversed(first, second)]
        # if any pair is reversed, the one that is so most clearly is
        strongest = max(found, key=lambda pair: min(_clear(pair[1], 1), _clear(pair[2], -1)))
        keys = [f"{strongest[0]}, {world}, {name}" for name in (PUBLISHED, CLOSED)]
        quantities |= dict(zip(keys, strongest[1:], strict=True))
        places.append(Place(name=world, conditions=(above(keys[0]), below(keys[1]))))
        shown = ", ".join(turned[:4]) + (", …" if len(turned) > 4 else "")
        slots = [f"{{{key}}}" for key in keys]
        lines.append((world, f"{{tau {world}}}", f"{len(turned)} of {len(pairs)}", shown, *slots))
    columns = ("twin", "Kendall's τ", "pairs reversed", "ahead under the published protocol alone")
    table = Table(
        title="Rankings by R² under the published protocol and with every leak closed",
        columns=(*columns, "clearest pair: lead, published", "its lead, closed"),
        rows=tuple(lines),
    )
    held = sum(place.holds(quantities) for place in places)
    because = f"Some pair is reversed on {held} of {len(places)} twins."
    return Judgement(places, because, quantities, (table,), (1 - evidence.level) / 2 / count)


def _leads(
    both: tuple[Scores, Scores], first: str, second: str, level: float, comparisons: int
) -> tuple[str, Quantity, Quantity]:
    """Which of two methods is ahead under the published protocol, in words, and its lead under both."""
    published, closed = (scores.less(first, second, "r2") for scores in both)
    sign = 1 if published.mean() > 0 else -1
    name = f"{first} over {second}" if sign > 0 else f"{second} over {first}"
    return name, mean_of(sign * published, level, comparisons), mean_of(sign * closed, level, comparisons)


def _reversed(published: Quantity, closed: Quantity) -> bool:
    return _clear(published, 1) > 0 and _clear(closed, -1) > 0


def _clear(lead: Quantity, sign: int) -> float:
    """How far the near bound of a lead in this direction lies above 0, in its own standard errors."""
    bound = lead.low if sign > 0 else lead.high
    return -np.inf if bound is None or not lead.error else sign * bound / lead.error


@claim(
    "b",
    "Under the published protocol R², MAE and RMSE mostly measure the calibration shift, while AUROC hardly "
    "moves (prediction).",
    command="simbench repro --only twins-published",
    rule=f"On a twin: over {HALF:.0%} of the variance of R² between methods is gone after the best monotone "
    f"map of each (which leaves the ranking as it is), and the AUROC of the middle half of the methods "
    f"differs by less than {LITTLE:g}, each with a whole interval. {SOMEWHERE}",
)
def calibration_shift(evidence: Evidence) -> Judgement:
    """Report how much of the spread between methods is calibration."""
    quantities: dict[str, Quantity] = {}
    lines, places = [], []
    for (protocol, world), scores in under_published(evidence).items():
        names = _probable(scores)
        r2, best, auroc, shift = (
            np.stack([scores.of(name, metric) for name in names])
            for metric in ("r2", "r2_recalibrated", "auroc", "shift")
        )
        follows = [np.corrcoef(np.abs(s), r)[0, 1] for s, r in zip(shift.T, r2.T, strict=True)]
        found = {
            "share": mean_of(1 - best.var(0) / r2.var(0), evidence.level),
            "middle": mean_of(np.subtract(*np.quantile(auroc, [0.75, 0.25], axis=0)), evidence.level),
            "range": mean_of(np.ptp(r2, axis=0), evidence.level),
            "follows": mean_of(np.array(follows), evidence.level, digits=2),
        }
        of = f"{world} of {len(names)}, {protocol}"
        quantities |= {f"{name} {of}": value for name, value in found.items()}
        lines.append((world, protocol, str(len(names)), *(f"{{{name} {of}}}" for name in found)))
        conditions = (above(f"share {of}", HALF), below(f"middle {of}", LITTLE))
        places.append(Place(name=f"{world}, {protocol}", conditions=conditions))
    columns = ("twin", "protocol", "methods", "share of the variance of R² that is calibration")
    table = Table(
        title="Between methods, under the published protocol",
        columns=(
            *columns,
            "AUROC, interquartile range",
            "R², range",
            "correlation of R² with the size of the shift",
        ),
        rows=tuple(lines),
    )
    because = f"So in {sum(place.holds(quantities) for place in places)} of {len(places)} places."
    return Judgement(places, because, quantities, (table,), (1 - evidence.level) / 2)


@claim(
    "c",
    "Propensities derived from the label make IPS worse than naive (prediction).",
    command="simbench repro --only twins-published",
    rule=f"On a twin: the R² of IPS with them lies below that of naive with the whole interval. {SOMEWHERE}",
)
def label_derived(evidence: Evidence) -> Judgement:
    """Compare IPS with naive: published with derived propensities, honest with estimated ones."""
    quantities: dict[str, Quantity] = {}
    lines, places = [], []
    for protocol, world, scores in comparisons(evidence):
        if not (scores.has("ips") and scores.has("naive")):
            continue
        at = f"{world} {protocol}"
        quantities |= {
            f"{metric} {at}": mean_of(scores.less("ips", "naive", metric), evidence.level)
            for metric in ("r2", "auroc")
        }
        lines.append((world, protocol, told(scores, "ips"), f"{{r2 {at}}}", f"{{auroc {at}}}"))
        if protocol.startswith(PUBLISHED):
            places.append(Place(name=f"{world}, {protocol}", conditions=(below(f"r2 {at}"),)))
    if not places:
        raise NotMeasured("the step `twins-published` holds no ips beside naive")
    columns = ("twin", "protocol", "ips is told", "R²: ips less naive", "AUROC: ips less naive")
    table = Table(title="IPS against naive", columns=columns, rows=tuple(lines))
    held = sum(place.holds(quantities) for place in places)
    because = f"Worse in {held} of {len(places)} places under the published protocol."
    return Judgement(places, because, quantities, (table,), (1 - evidence.level) / 2)


@claim(
    "d",
    "`balanced-naive` and `naive-sqrt` beat most of the published baselines under the published protocol "
    "(prediction).",
    command="simbench repro --only twins-published",
    rule="On a twin: each of the two has a higher R² than more than half of the baselines, with whole "
    "intervals "
    f"(at a level for so many of them: Bonferroni over the others and one). {SOMEWHERE}",
)
def simple_baselines(evidence: Evidence) -> Judgement:
    """Count the baselines that each of the two simple estimators beats."""
    quantities: dict[str, Quantity] = {}
    lines, places = [], []
    for (protocol, world), scores in under_published(evidence).items():
        simple = [name for name in SIMPLE if scores.has(name)]
        others = [name for name in baselines(_probable(scores)) if name not in simple]
        if not (simple and others):
            continue
        counts, count = [], len(others)
        most = int(HALF * count) + 1
        # that fewer than so many are beaten is refuted at its level if so many intervals say so at this one
        at_once = count - most + 1
        for mine in SIMPLE:
            if mine not in simple:
                counts.append("")
                continue
            gains = {
                f"{mine} over {name} {world}, {protocol}": mean_of(
                    scores.less(mine, name, "r2"), evidence.level, at_once
                )
                for name in others
            }
            quantities |= gains
            beaten = tuple(map(above, gains))
            places.append(Place(name=f"{mine} on {world}, {protocol}", conditions=beaten, at_least=most))
            counts.append(f"{sum(one.met(quantities) for one in beaten)} of {count}")
        lines.append((world, protocol, *counts))
    if not places:
        raise NotMeasured("the step `twins-published` holds neither of the two beside baselines")
    table = Table(title="Baselines beaten in R²", columns=("twin", "protocol", *SIMPLE), rows=tuple(lines))
    held = sum(place.holds(quantities) for place in places)
    because = f"So in {held} of {len(places)} pairs of estimator and place."
    return Judgement(places, because, quantities, (table,), (1 - evidence.level) / 2)


PREDICTIONS = (reorders, calibration_shift, label_derived, simple_baselines)
