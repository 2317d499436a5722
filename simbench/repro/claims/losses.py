"""What every loss is: its exact bias by enumeration, and the error of what is trained by it."""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity, exact, mean_of
from simbench.repro.verdicts import Condition, Place
from simbench.score.risk import EXACT

CASE = "known α"
NO_RIVALS = ("oracle", "implicitrm")


@claim(
    "U",
    "Given the true propensity, losses other than ImplicitRM's are unbiased too (context of claim 3).",
    command="simbench check; simbench repro --only risk,bias-level",
    rule=f"Holds if the expected loss of some other method is the ideal loss, to {EXACT:g}, at known "
    "propensities.",
    is_exact=True,
)
def other_losses(evidence: Evidence) -> Judgement:
    """Report the exact bias of every loss in every case, and the error of every trained estimator."""
    rows = evidence.table("risk")
    quantities: dict[str, Quantity] = {
        f"{row.estimator}, {row.case}": exact(float(row.bias)) for row in rows.itertuples()
    }
    rivals = [
        row.estimator
        for row in rows[rows.case == CASE].itertuples()
        if row.verdict in ("exactly unbiased", "biased") and not row.estimator.startswith(NO_RIVALS)
    ]
    if not rivals:
        raise NotMeasured("the step `risk` holds no other loss at known propensities")
    conditions = tuple(
        Condition(key=f"{name}, {CASE}", bound="value", above=False, threshold=EXACT) for name in rivals
    )
    place = Place(name="given the true propensity", conditions=conditions, at_least=1)
    names = [n for n, unbiased in zip(rivals, conditions, strict=True) if unbiased.met(quantities)]
    cases = list(dict.fromkeys(rows.case))
    lines = tuple(
        (name, *(f"{{{name}, {case}}}" if f"{name}, {case}" in quantities else "" for case in cases))
        for name in dict.fromkeys(rows.estimator)
    )
    tables = [
        Table(
            title="Largest error of the expected loss, by what is known",
            columns=("estimator", *cases),
            rows=lines,
            note="In nats per response. A risk that is no sum over samples is integrated by Monte Carlo, "
            "from a fixed seed.",
            long=True,
        )
    ]
    try:
        table, more = _trained(evidence)
        tables, quantities = [*tables, table], quantities | more
    except NotMeasured:
        pass
    because = f"{len(names)} of {len(rivals)} are: {', '.join(f'`{name}`' for name in names)}."
    return Judgement([place], because, quantities, tuple(tables))


def _trained(evidence: Evidence) -> tuple[Table, dict[str, Quantity]]:
    """Mean squared error to γ of every estimator of the step `bias-level`."""
    scores = evidence.replicates("bias-level").where(metric="mse")
    columns = [(world, level) for (world, level), _ in scores.by("world", "bias_level")]
    lines, quantities = [], {}
    for name in scores.distinct("estimator"):
        line = [name]
        for world, level in columns:
            here = scores.where(world=world, bias_level=level)
            key = f"mse {name} {world} {level:g}"
            if here.has(name) and len(here.table[here.table.estimator == name].knows.unique()) == 1:
                quantities[key] = mean_of(here.of(name, "mse"), evidence.level, digits=4)
            line.append(f"{{{key}}}" if key in quantities else "")
        lines.append(tuple(line))
    heads = ("estimator", *(f"{world}, level {level:g}" for world, level in columns))
    return Table(
        title="Trained: mean squared error to γ", columns=heads, rows=tuple(lines), long=True
    ), quantities
