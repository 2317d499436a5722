"""Predictions (a) to (d) about the published protocol, from a reading of the public code, tested on twins."""

from itertools import combinations

import numpy as np
from scipy.stats import kendalltau

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.claims.twins import comparisons, gives
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.published import baselines
from simbench.repro.quantities import Quantity, Table, by_share, mean_of

HALF = 0.5
LITTLE = 0.05  # of AUROC
SIMPLE = ("pu_naive", "naive-sqrt")  # the first is balanced-naive
ORACLE = "oracle"  # no method: it is told the truth


def under(evidence: Evidence, protocol: str) -> dict[str, Scores]:
    """Return the scores by twin under one protocol; raise :class:`NotMeasured` if there are none."""
    found = {world: scores for name, world, scores in comparisons(evidence) if name == protocol}
    if not found:
        raise NotMeasured(f"the step `twins-{protocol}` has not been run")
    return found


def _probable(scores: Scores) -> list[str]:
    """Estimators that give probabilities, without the oracle."""
    return [name for name in scores.distinct("estimator") if name != ORACLE and gives(scores, name, "r2")]


@claim(
    "a",
    "The leaks of the published protocol reorder the ranking of the methods (prediction).",
    command="simbench repro --only twins-published,twins-honest",
    rule="On a twin: some pair of methods stands one way round under the published protocol and the other "
    "way under the honest one, by R², each with a whole interval (simultaneous over all pairs and both "
    "protocols). Holds if so on every twin; under a condition on some.",
)
def reorders(evidence: Evidence) -> Judgement:
    """Find pairs of methods whose order is reversed, and Kendall's τ of the two rankings."""
    published, honest = (under(evidence, name) for name in ("published", "honest"))
    quantities: dict[str, Quantity] = {}
    lines, reversed_somewhere = [], []
    for world in [name for name in published if name in honest]:
        names = [name for name in _probable(published[world]) if name in _probable(honest[world])]
        both = published[world], honest[world]
        means = [[scores.of(name, "r2").mean() for name in names] for scores in both]
        quantities[f"tau {world}"] = Quantity(
            value=float(kendalltau(*means).statistic), digits=2, kind="derived"
        )
        pairs = list(combinations(names, 2))
        turned = [
            f"{ahead} over {behind}"
            for first, second in pairs
            for ahead, behind in [_order(both[0], first, second)]
            if _leads(both[0], ahead, behind, evidence.level, 2 * len(pairs))
            and _leads(both[1], behind, ahead, evidence.level, 2 * len(pairs))
        ]
        reversed_somewhere.append(bool(turned))
        shown = ", ".join(turned[:4]) + (", …" if len(turned) > 4 else "")
        lines.append((world, f"{{tau {world}}}", f"{len(turned)} of {len(pairs)}", shown))
    table = Table(
        title="Rankings by R² under the two protocols",
        columns=("twin", "Kendall's τ", "pairs reversed", "ahead under the published protocol alone"),
        rows=tuple(lines),
    )
    because = f"Some pair is reversed on {sum(reversed_somewhere)} of {len(reversed_somewhere)} twins."
    return Judgement(by_share(reversed_somewhere), because, quantities, (table,))


def _order(scores: Scores, first: str, second: str) -> tuple[str, str]:
    """The two estimators, the one with the higher mean R² first."""
    return (first, second) if scores.less(first, second, "r2").mean() > 0 else (second, first)


def _leads(scores: Scores, ahead: str, behind: str, level: float, comparisons: int) -> bool:
    lead = mean_of(scores.less(ahead, behind, "r2"), level, comparisons)
    return lead.low is not None and lead.low > 0


@claim(
    "b",
    "Under the published protocol R², MAE and RMSE mostly measure the calibration shift, while AUROC hardly "
    "moves (prediction).",
    command="simbench repro --only twins-published",
    rule=f"On a twin: over {HALF:.0%} of the variance of R² between methods is gone after the best monotone "
    f"map of each (which leaves the ranking as it is), and the AUROC of the middle half of the methods "
    f"differs by less than {LITTLE:g}, each with a whole interval. Holds if so on every twin; under a "
    "condition on some.",
)
def calibration_shift(evidence: Evidence) -> Judgement:
    """Report how much of the spread between methods is calibration."""
    quantities: dict[str, Quantity] = {}
    lines, holding = [], []
    for world, scores in under(evidence, "published").items():
        names = _probable(scores)
        r2, best, auroc, shift = (
            np.stack([scores.of(name, metric) for name in names])
            for metric in ("r2", "r2_recalibrated", "auroc", "shift")
        )
        share = mean_of(1 - best.var(0) / r2.var(0), evidence.level)
        middle = mean_of(np.subtract(*np.quantile(auroc, [0.75, 0.25], axis=0)), evidence.level)
        follows = [np.corrcoef(np.abs(s), r)[0, 1] for s, r in zip(shift.T, r2.T, strict=True)]
        found = {
            "share": share,
            "middle": middle,
            "range": mean_of(np.ptp(r2, axis=0), evidence.level),
            "follows": mean_of(np.array(follows), evidence.level, digits=2),
        }
        of = f"{world} of {len(names)}"
        quantities |= {f"{name} {of}": value for name, value in found.items()}
        lines.append((world, str(len(names)), *(f"{{{name} {of}}}" for name in found)))
        holding.append(
            share.low is not None and share.low > HALF and middle.high is not None and middle.high < LITTLE
        )
    columns = (
        "twin",
        "methods",
        "share of the variance of R² that is calibration",
        "AUROC, interquartile range",
    )
    table = Table(
        title="Between methods, under the published protocol",
        columns=(*columns, "R², range", "correlation of R² with the size of the shift"),
        rows=tuple(lines),
    )
    because = f"So on {sum(holding)} of {len(holding)} twins."
    return Judgement(by_share(holding), because, quantities, (table,))


@claim(
    "c",
    "Propensities derived from the label make IPS worse than naive (prediction).",
    command="simbench repro --only twins-published",
    rule="On a twin: the R² of IPS with them lies below that of naive with the whole interval. Holds if so "
    "on every twin; under a condition on some.",
)
def label_derived(evidence: Evidence) -> Judgement:
    """Compare IPS with naive: published with derived propensities, honest with the true ones."""
    quantities: dict[str, Quantity] = {}
    lines, worse = [], []
    for protocol, world, scores in comparisons(evidence):
        if not (scores.has("ips") and scores.has("naive")):
            continue
        at = f"{world} {protocol}"
        quantities |= {
            f"{metric} {at}": mean_of(scores.less("ips", "naive", metric), evidence.level)
            for metric in ("r2", "auroc")
        }
        told = scores.table[scores.table.estimator == "ips"].knows.iloc[0]
        lines.append((world, protocol, told, f"{{r2 {at}}}", f"{{auroc {at}}}"))
        high = quantities[f"r2 {at}"].high
        worse += [high is not None and high < 0] if protocol == "published" else []
    if not worse:
        raise NotMeasured("the step `twins-published` holds no ips beside naive")
    columns = ("twin", "protocol", "ips is told", "R²: ips less naive", "AUROC: ips less naive")
    table = Table(title="IPS against naive", columns=columns, rows=tuple(lines))
    because = f"Worse on {sum(worse)} of {len(worse)} twins under the published protocol."
    return Judgement(by_share(worse), because, quantities, (table,))


@claim(
    "d",
    "`balanced-naive` and `naive-sqrt` beat most of the published baselines under the published protocol "
    "(prediction).",
    command="simbench repro --only twins-published",
    rule="On a twin: each of the two has a higher R² than more than half of the baselines, each with a whole "
    "interval (simultaneous over the baselines). Holds if so on every twin; under a condition on some.",
)
def simple_baselines(evidence: Evidence) -> Judgement:
    """Count the baselines that each of the two simple estimators beats."""
    quantities: dict[str, Quantity] = {}
    lines, most = [], []
    for world, scores in under(evidence, "published").items():
        simple = [name for name in SIMPLE if scores.has(name)]
        others = [name for name in baselines(_probable(scores)) if name not in simple]
        beaten = {}
        for mine in simple:
            gains = [mean_of(scores.less(mine, name, "r2"), evidence.level, len(others)) for name in others]
            quantities |= {f"{mine} over {n} {world}": g for n, g in zip(others, gains, strict=True)}
            beaten[mine] = sum(gain.low is not None and gain.low > 0 for gain in gains)
        if simple and others:
            most.append(all(count > HALF * len(others) for count in beaten.values()))
            counts = (f"{beaten[name]} of {len(others)}" if name in beaten else "" for name in SIMPLE)
            lines.append((world, *counts))
    if not most:
        raise NotMeasured("the step `twins-published` holds neither of the two beside baselines")
    table = Table(title="Baselines beaten in R²", columns=("twin", *SIMPLE), rows=tuple(lines))
    because = f"So on {sum(most)} of {len(most)} twins."
    return Judgement(by_share(most), because, quantities, (table,))


PREDICTIONS = (reorders, calibration_shift, label_derived, simple_baselines)
