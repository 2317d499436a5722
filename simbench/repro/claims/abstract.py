"""What else the abstract claims: four groups, likelihood, accuracy; and the paper's own scores."""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.claims.exact import exactly
from simbench.repro.claims.twins import HONEST, OURS, comparisons
from simbench.repro.evidence import Evidence, NotMeasured
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity, exact, mean_of
from simbench.repro.verdicts import Place, above
from simbench.score.risk import EXACT

ORACLE = "oracle"
CLOSE = 0.05  # to the oracle, in R² and in AUROC
METRICS = {"r2": "R²", "auroc": "AUROC"}
PAPER_MAE = {"helpsteer": 0.2856, "ultrafeedback": 0.1961, "saferlhf": 0.1053}  # second hand


def _identity(evidence: Evidence, name: str) -> dict[str, Quantity]:
    rows = evidence.identities()
    rows = rows[rows.identity == name]
    if rows.empty:
        raise NotMeasured(f"the step `risk` does not compare the {name}")
    return {
        "points": exact(int(rows.points.sum()), digits=0),
        "error": exact(float(rows.error.max()), digits=-1),
    }


@claim(
    "G",
    "The log falls into four latent groups, by preference and action, whose posteriors follow by Bayes' rule "
    "(abstract; group table).",
    command="simbench repro --only risk",
    rule=f"Holds if the posteriors that ImplicitRM computes are those of enumeration, to {EXACT:g}, at true "
    "γ and α.",
    is_exact=True,
)
def four_groups(evidence: Evidence) -> Judgement:
    """Compare the posteriors of preference and action with the enumeration of all four groups."""
    because = (
        "At {points} arbitrary rewards and propensities, with a click and without one, the posteriors "
        "differ from the enumeration of the four groups by at most {error}."
    )
    return Judgement([exactly("error")], because, _identity(evidence, "four groups"))


@claim(
    "M",
    "The learning objective maximises the likelihood of the log (abstract; Eq. (7) and (8)).",
    command="simbench repro --only risk",
    rule="Holds if the gradient of the objective, posteriors held fixed, is that of the observed "
    f"likelihood, to {EXACT:g}, at arbitrary fits.",
    is_exact=True,
)
def likelihood(evidence: Evidence) -> Judgement:
    """Compare the gradient of the objective with that of the observed likelihood."""
    because = (
        "At {points} arbitrary fits, with a click and without one, the two gradients differ by at most "
        "{error}. The likelihood is of the product γα: its maximum is not unique (claim 4)."
    )
    return Judgement([exactly("error")], because, _identity(evidence, "likelihood"))


@claim(
    "A",
    "ImplicitRM learns accurate reward models across data sets (abstract).",
    command="simbench repro --only twins-honest",
    rule=f"Accurate on a twin if its R² and its AUROC each lie within {CLOSE:g} of the oracle's, the same "
    "choice of networks trained on the preferences themselves, with whole intervals, under the honest "
    "protocol. Holds if so on every twin; under a condition on some.",
)
def accurate(evidence: Evidence) -> Judgement:
    """Compare ImplicitRM with the oracle on every twin."""
    quantities: dict[str, Quantity] = {}
    places, lines = [], []
    for protocol, world, scores in comparisons(evidence):
        if protocol != HONEST or not (scores.has(OURS) and scores.has(ORACLE)):
            continue
        line = [world]
        for metric in METRICS:
            gap, own = f"{metric} {world}", f"own {metric} {world}"
            quantities[gap] = mean_of(scores.less(OURS, ORACLE, metric), evidence.level)
            quantities[own] = mean_of(scores.of(OURS, metric), evidence.level)
            line += [f"{{{own}}}", f"{{{gap}}}"]
        lines.append(tuple(line))
        places.append(
            Place(name=world, conditions=tuple(above(f"{metric} {world}", -CLOSE) for metric in METRICS))
        )
    if not places:
        raise NotMeasured("the step `twins-honest` holds no implicitrm beside the oracle")
    columns = ("twin", *(text for name in METRICS.values() for text in (name, f"{name}, less the oracle's")))
    table = Table(title="ImplicitRM against the oracle", columns=columns, rows=tuple(lines))
    held = sum(place.holds(quantities) for place in places)
    because = f"Accurate on {held} of {len(places)} twins."
    return Judgement(places, because, quantities, (table,), (1 - evidence.level) / 2)


@claim(
    "P",
    "The paper's own scores: test MAE .2856 on HelpSteer, .1961 on UltraFeedback, .1053 on PKU-SafeRLHF; "
    "safety of the policies on HarmBench, WildGuardMix and StrongREJECT.",
    command="simbench repro --only twins-published,twins-honest",
    rule="",
)
def own_scores(evidence: Evidence) -> Judgement:
    """Put the paper's MAE beside ours, that of the true reward, and the least that is possible on a twin."""
    quantities: dict[str, Quantity] = {}
    lines, truths = [], []
    for protocol, world, scores in comparisons(evidence):
        data = world.partition(":")[2]
        if data not in PAPER_MAE or not scores.has(OURS):
            continue
        at, truth = f"{world} {protocol}", float(scores.of(OURS, "mae_of_truth")[0])
        truths.append((data, truth))
        quantities |= {
            f"paper {at}": exact(PAPER_MAE[data], digits=3),
            f"ours {at}": mean_of(scores.of(OURS, "mae"), evidence.level),
            f"truth {at}": exact(truth, digits=3),
            f"least {at}": exact(float(scores.of(OURS, "mae_least")[0]), digits=3),
        }
        lines.append((world, protocol, *(f"{{{name} {at}}}" for name in ("paper", "ours", "truth", "least"))))
    if not lines:
        raise NotMeasured("no twin was run with implicitrm")
    table = Table(
        title="Test MAE",
        columns=(
            "twin",
            "protocol",
            "the paper's",
            "ImplicitRM here",
            "of the true reward",
            "least possible",
        ),
        rows=tuple(lines),
        note="Against preferences that are drawn from the true reward γ. MAE is least at hard decisions, "
        "so that a score may have a smaller one than γ itself.",
    )
    below = sum(PAPER_MAE[data] < truth for data, truth in truths)
    because = (
        "The paper's scores are known here second hand, from a list of others' and from reviews. On "
        f"{below} of {len(lines)} twins and protocols the paper's MAE lies below that of the *true reward* "
        "taken as a probability: whoever reaches it there must decide harder than the truth does, and no "
        "calibrated reward can. Twins are matched to the AUROC that the public code reaches, and not to the "
        "paper's data. The safety results need an 8B policy, its training, and three benchmarks with judges; "
        "what a biased reward does to a policy is claim 8."
    )
    return Judgement((), because, quantities, (table,))
