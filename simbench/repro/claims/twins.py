"""Claim 5: does ImplicitRM beat each of the paper's baselines, on each data set, under both protocols?"""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.published import as_methods, baselines
from simbench.repro.quantities import ClaimVerdict, Quantity, Table, mean_of

OURS = "implicitrm"
STEPS = {"published": "twins-published", "honest": "twins-honest"}
METRICS = {"r2": "R²", "auroc": "AUROC"}


def comparisons(evidence: Evidence) -> list[tuple[str, str, Scores]]:
    """Return ``(protocol, world, scores)`` of every twin and protocol, estimators named by method."""
    found = []
    for protocol, step in STEPS.items():
        try:
            scores = evidence.replicates(step)
        except NotMeasured:
            continue
        named = Scores(as_methods(scores.where(protocol=protocol).table, protocol), step)
        found += [(protocol, world, named.where(world=world)) for world in named.distinct("world")]
    if not found:
        raise NotMeasured("neither `twins-published` nor `twins-honest` has been run")
    return found


def gives(scores: Scores, estimator: str, metric: str) -> bool:
    """Return whether an estimator has scores of this metric; a method that only ranks has no R²."""
    rows = scores.table[scores.table.estimator == estimator]
    return bool((rows.metric == metric).any())


@claim(
    "5",
    "ImplicitRM beats each of the paper's baselines on each data set.",
    command="simbench repro --only twins-published,twins-honest; simbench figure comparison OUT",
    rule="It beats a baseline where its R² (its AUROC, against methods that only rank) is higher by a whole "
    "interval, in pairs on the same logs and simultaneously over all baselines, twins and protocols. Holds "
    "if it beats every one everywhere; under a condition if every one on some twin under some protocol.",
)
def beats_baselines(evidence: Evidence) -> Judgement:
    """Compare ImplicitRM with every baseline."""
    runs = [run for run in comparisons(evidence) if run[2].has(OURS)]
    others = list(dict.fromkeys(name for _, _, s in runs for name in baselines(s.distinct("estimator"))))
    places = [f"{world}, {protocol}" for protocol, world, _ in runs]
    count = len(others) * len(runs)
    quantities: dict[str, Quantity] = {}
    won: dict[str, list[bool]] = {place: [] for place in places}
    for place, (_, _, scores) in zip(places, runs, strict=True):
        for name in others:
            for metric in METRICS:
                if gives(scores, name, metric):
                    gain = mean_of(scores.less(OURS, name, metric), evidence.level, count)
                    quantities[f"{metric} over {name} {place}"] = gain
            decisive = quantities.get(f"r2 over {name} {place}", quantities.get(f"auroc over {name} {place}"))
            if decisive is not None:
                won[place].append(decisive.low is not None and decisive.low > 0)
    everywhere = [place for place, beaten in won.items() if beaten and all(beaten)]
    if len(everywhere) == len(won):
        verdict = ClaimVerdict.holds
    else:
        verdict = ClaimVerdict.condition if everywhere else ClaimVerdict.fails
    counts = ", ".join(f"{sum(beaten)} of {len(beaten)} on {place}" for place, beaten in won.items())
    tables = tuple(
        _table(metric, title, others, places, quantities, count) for metric, title in METRICS.items()
    )
    return Judgement(verdict, f"Baselines beaten: {counts}.", quantities, tables)


def _table(
    metric: str, title: str, others: list[str], places: list[str], quantities: dict[str, Quantity], count: int
) -> Table:
    keys = [[f"{metric} over {name} {place}" for place in places] for name in others]
    rows = [
        (name, *(f"{{{key}}}" if key in quantities else "" for key in of_one))
        for name, of_one in zip(others, keys, strict=True)
    ]
    return Table(
        title=f"{title} of ImplicitRM less that of each baseline",
        columns=("baseline", *places),
        rows=tuple(rows),
        note=f"Intervals simultaneous over {count} comparisons (Bonferroni). Empty: it gives no probability.",
    )
