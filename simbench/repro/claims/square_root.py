"""Claim 7: how much of ImplicitRM's gain over naive its square root also has, which debiases nothing."""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity, mean_of, ratio_of
from simbench.repro.verdicts import Place, above

METRICS = {"r2": "R²", "mae": "MAE", "rmse": "RMSE"}
STEPS = ("bias-level", "rating", "twins-published", "twins-honest")
MOST = 0.5  # of a gain


@claim(
    "7",
    "Most of ImplicitRM's gain over naive in R², MAE and RMSE is had by the square root of naive, which "
    "debiases nothing (a claim of this project).",
    command=f"simbench repro --only {','.join(STEPS)}",
    rule="Holds if the whole interval of the share lies above one half, in every world and metric where "
    "there is a gain; under a condition if in more than could be by luck.",
)
def square_root(evidence: Evidence) -> Judgement:
    """Report the share of the gain by world, bias level and protocol, and the effect on the ranking."""
    quantities: dict[str, Quantity] = {}
    lines, places = [], []
    for step, scores in _available(evidence):
        for place, here in situations(scores):
            at = f"{step} {place}"
            found = _of_one(here, at, evidence.level)
            quantities |= found
            places += [
                Place(name=f"{name} on {place} ({step})", conditions=(above(f"{metric} {at}", MOST),))
                for metric, name in METRICS.items()
                if found[f"{metric} {at}"].value is not None
            ]
            slots = (f"{{{name} {at}}}" for name in (*METRICS, "gain", "auroc"))
            lines.append((step, place, *slots))
    if not lines:
        raise NotMeasured("no step holds naive, naive-sqrt and implicitrm together")
    table = Table(
        title="Share of the gain over naive that naive-sqrt has; what ImplicitRM does to the ranking",
        columns=("step", "world", *METRICS.values(), "ImplicitRM's gain in R²", "its gain in AUROC"),
        rows=tuple(lines),
        note="Share: (naive-sqrt less naive) / (implicitrm less naive), Fieller's interval; – where "
        "ImplicitRM has no gain to share. Above 1: naive-sqrt is the better one. It ranks as naive does.",
        long=True,
    )
    held = [place.name for place in places if place.holds(quantities)]
    counted = f"{len(held)} of {len(places)} shares lie above one half with their whole interval"
    because = f"{counted}; {_ranking(quantities)}."
    condition = "; ".join(
        f"{name} in {sum(of.startswith(f'{name} on') for of in held)} of "
        f"{sum(place.name.startswith(f'{name} on') for place in places)} worlds"
        for name in METRICS.values()
    )
    return Judgement(places, because, quantities, (table,), (1 - evidence.level) / 2, condition)


def _available(evidence: Evidence) -> list[tuple[str, Scores]]:
    found = []
    for step in STEPS:
        try:
            found.append((step, evidence.replicates(step).told_apart()))
        except NotMeasured:
            continue
    return found


def situations(scores: Scores) -> list[tuple[str, Scores]]:
    """Return each world, bias level and protocol for which all three estimators have several logs."""
    found = []
    for (world, level, protocol), here in scores.by("world", "bias_level", "protocol"):
        several = all(here.has(name) for name in ("naive", "naive-sqrt", "implicitrm"))
        if several and len(here.of("naive", "r2")) > 1:
            by_protocol = "" if protocol in ("", "honest") else f", {protocol}"
            found.append((f"{world}, level {level:g}{by_protocol}", here))
    return found


def _of_one(here: Scores, at: str, level: float) -> dict[str, Quantity]:
    shares = {
        f"{metric} {at}": ratio_of(
            here.less("naive-sqrt", "naive", metric), here.less("implicitrm", "naive", metric), level
        )
        for metric in METRICS
    }
    gains = {
        f"gain {at}": mean_of(here.less("implicitrm", "naive", "r2"), level),
        f"auroc {at}": mean_of(here.less("implicitrm", "naive", "auroc"), level),
    }
    return shares | gains


def _ranking(quantities: dict[str, Quantity]) -> str:
    """How often ImplicitRM ranks better or worse than naive, in words."""
    gains = [quantity for key, quantity in quantities.items() if key.startswith("auroc ")]
    better = sum(gain.low is not None and gain.low > 0 for gain in gains)
    worse = sum(gain.high is not None and gain.high < 0 for gain in gains)
    return f"of {len(gains)} worlds ImplicitRM ranks better than naive in {better} and worse in {worse}"
