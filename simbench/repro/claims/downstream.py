"""Claim 8: does ImplicitRM's reward align a policy better? Computed exactly, on finite sets of responses."""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity, mean_of
from simbench.repro.verdicts import Place, above

OURS, THEIRS, ORACLE = "implicitrm", "naive", "oracle"
OUT_OF_REACH = "–: out of reach in some replicate, whose reward is one for too many of the best responses."


def _policies(scores: Scores, what: str) -> list[str]:
    """``value KL 1`` -> ``KL 1``, in order of appearance."""
    return [metric.removeprefix(what) for metric in scores.distinct("metric") if metric.startswith(what)]


@claim(
    "8",
    "ImplicitRM gives better downstream alignment than naive.",
    command="simbench repro --only downstream; simbench figure value-kl OUT/downstream",
    figure="value-kl.png",
    rule="Better under a policy where the value under the true reward is higher by a whole interval, in "
    "pairs on the same logs and simultaneously over all worlds and policies. Holds if better in every world "
    "under every policy; under a condition if in some.",
)
def alignment(evidence: Evidence) -> Judgement:
    """Compare the value of policies on ImplicitRM's reward with naive's, and everyone's with the oracle's."""
    scores = evidence.replicates("downstream")
    worlds, policies = scores.distinct("world"), _policies(scores, "value ")
    if not (policies and scores.has(OURS) and scores.has(THEIRS)):
        raise NotMeasured(f"the step `downstream` holds no policies of {OURS} and {THEIRS}")
    quantities: dict[str, Quantity] = {}
    lines, places, better, worse = [], [], 0, 0
    for world in worlds:
        here = scores.where(world=world)
        for policy in policies:
            gain = mean_of(
                here.less(OURS, THEIRS, f"value {policy}"),
                evidence.level,
                len(worlds) * len(policies),
                digits=3,
            )
            quantities[f"gain {world} {policy}"] = gain
            places.append(Place(name=f"`{world}`, {policy}", conditions=(above(f"gain {world} {policy}"),)))
            better += gain.low is not None and gain.low > 0
            worse += gain.high is not None and gain.high < 0
        lines.append((world, *(f"{{gain {world} {policy}}}" for policy in policies)))
    total = len(worlds) * len(policies)
    table = Table(
        title="Value of the policy (probability of a good response): implicitrm less naive",
        columns=("world", *policies),
        rows=tuple(lines),
        note=f"KL k: π ∝ π_ref exp(γ̂/β) at a KL of k nats. Intervals simultaneous over {total} comparisons.",
    )
    beyond, more = _beyond_the_oracle(scores, worlds, policies, evidence.level)
    because = (
        f"Better in {better} and worse in {worse} of {total} pairs of world and policy. A policy reads how "
        "responses of one prompt compare, so that what moves it is ranking; a shift in calibration does not."
    )
    condition = _worlds_where_better(places, quantities)
    luck = (1 - evidence.level) / 2 / total
    return Judgement(places, because, quantities | more, (table, *beyond), luck, condition)


def _worlds_where_better(places: list[Place], quantities: dict[str, Quantity]) -> str:
    """The worlds in which it is better under some policy, in words."""
    names = [place.name.partition(",")[0] for place in places if place.holds(quantities)]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return "; ".join(f"in {name}, under {count} policies" for name, count in counts.items())


def _beyond_the_oracle(
    scores: Scores, worlds: list[str], policies: list[str], level: float
) -> tuple[list[Table], dict[str, Quantity]]:
    """What every estimator's policies lose against the oracle's, and how they shift the trait."""
    quantities: dict[str, Quantity] = {}
    tables = []
    for what, title in (("value", "Value"), ("trait", "Mean of the trait that users act on (its own unit)")):
        lines = []
        for world in worlds:
            here = scores.where(world=world)
            if not any(metric.startswith(what) for metric in here.distinct("metric")):
                continue
            for name in here.distinct("estimator"):
                if name == ORACLE or not here.has(ORACLE):
                    continue
                line = []
                for policy in policies:
                    key, metric = f"{what} {name} {world} {policy}", f"{what} {policy}"
                    if not here.where(metric=metric).has(name):
                        line.append("–")
                        continue
                    quantities[key] = mean_of(here.less(name, ORACLE, metric), level, digits=3)
                    line.append(f"{{{key}}}")
                lines.append((world, name, *line))
        if lines:
            columns, title, rows = (
                ("world", "estimator", *policies),
                f"{title}, less the oracle's",
                tuple(lines),
            )
            tables.append(Table(title=title, columns=columns, rows=rows, note=OUT_OF_REACH, long=True))
    return tables, quantities
