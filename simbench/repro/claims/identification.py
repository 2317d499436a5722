"""Claim 4: is the learned stratification unbiased? By world, and by what is known."""

from typing import Any

import pandas as pd

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.evidence import Evidence, NotMeasured
from simbench.repro.findings import Table
from simbench.repro.quantities import Quantity
from simbench.repro.verdicts import Place, below

MARGIN = 0.05**2  # of the rule
LEVEL = 0.95  # of the intervals of a study
LEARNING = ("implicitrm", "implicitrm-prior", "implicitrm-signals")  # these learn the stratification


@claim(
    "4",
    "Learned stratification makes the estimator unbiased.",
    command="simbench repro --only identification; simbench figure identification OUT/identification",
    rule="A cell is unbiased if the whole interval of its excess bias² lies below .05², biased if above. "
    "Holds if every cell without further knowledge is unbiased; under a condition if more cells are, of "
    "those with further knowledge too, than could be by luck.",
    figure="identification.png",
)
def learned_stratification(evidence: Evidence) -> Judgement:
    """Judge the bias of every cell of the map."""
    cells = _cells(evidence.table("identification"))
    alone = cells[cells.knowledge == "nothing"]
    if alone.empty:
        raise NotMeasured("the step `identification` holds no cell in which nothing is known")
    quantities: dict[str, Quantity] = {}
    for cell in cells.itertuples():
        error = (cell.high - cell.low) / (2 * 1.96)
        quantities[_key(cell)] = Quantity(
            value=cell.value, low=cell.low, high=cell.high, error=error, n=cell.n_replicates, digits=4
        )
    unbiased = cells[cells.verdict == "unbiased"]
    places = [
        Place(
            name=f"`{cell.base}` at level {cell.bias_level:g} with {cell.knowledge} known",
            conditions=(below(_key(cell), MARGIN),),
            required=cell.knowledge == "nothing",
        )
        for cell in cells.itertuples()
    ]
    worlds = ", ".join(
        f"`{cell.world}` at level {cell.bias_level:g}"
        for cell in alone[alone.verdict == "unbiased"].itertuples()
    )
    because = f"With nothing known beyond the log: unbiased in {worlds or 'no world'}. " + _helped(cells)
    luck, condition = (1 - LEVEL) / 2, _by_world(unbiased)
    return Judgement(places, because, quantities, (_map(cells),), luck, condition)


def _by_world(unbiased: pd.DataFrame) -> str:
    """Where learned stratification is unbiased, in words: the worlds, and how often in each."""
    parts = []
    for (base, level), rows in unbiased.groupby(["base", "bias_level"], sort=False):
        alone = " (one with nothing known)" if "nothing" in set(rows.knowledge) else ""
        parts.append(f"`{base}` at level {level:g}: {len(rows)} kinds of knowledge{alone}")
    return "; ".join(parts)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """One row per cell, with the base world and what was known."""
    rows = table[(table.metric == "excess_bias2") & table.estimator.isin(LEARNING)].copy()
    rows["verdict"] = [_label(low, high) for low, high in zip(rows.low, rows.high, strict=True)]
    rows["base"] = rows.world.str.split("-").str[0]
    rows["knowledge"] = [_knowledge(world, told) for world, told in zip(rows.world, rows.knows, strict=True)]
    # a world with users who always act, of which the estimator is not told, is not the base world
    own = (rows.world == rows.base) | rows.knowledge.str.contains("signals|exposures|always")
    return rows[own]


def _label(low: float, high: float) -> str:
    """The verdict of the rule above; ``simbench run`` judges by the distance between means."""
    return "unbiased" if high < MARGIN else "biased" if low > MARGIN else "undecided"


def _knowledge(world: str, told: str) -> str:
    known = ", ".join(name for name in told.split(", ") if name != "context") or "nothing"
    return known.replace("signals", "exposures") if "exposures" in world else known


def _key(cell: Any) -> str:
    return f"{cell.knowledge} {cell.base} {cell.bias_level:g}"


def _helped(cells: pd.DataFrame) -> str:
    """Which knowledge makes the estimator unbiased, and in how many of the cells where it was tried."""
    parts = []
    for knowledge, rows in cells[cells.knowledge != "nothing"].groupby("knowledge", sort=False):
        parts.append(f"{knowledge} {(rows.verdict == 'unbiased').sum()} of {len(rows)}")
    return "Cells found unbiased, by what is known: " + ", ".join(parts) + "." if parts else ""


def _map(cells: pd.DataFrame) -> Table:
    columns = list(dict.fromkeys(zip(cells.base, cells.bias_level, strict=True)))
    lines = []
    for knowledge, rows in cells.groupby("knowledge", sort=False):
        there = {(row.base, row.bias_level): row for row in rows.itertuples()}
        texts = [f"{{{_key(there[c])}}} {there[c].verdict}" if c in there else "" for c in columns]
        lines.append((str(knowledge), *texts))
    return Table(
        title="Excess bias² of the learned stratification",
        columns=("known", *(f"{base}, level {level:g}" for base, level in columns)),
        rows=tuple(lines),
        note="In `exclusive` and `confounded` the log holds context that moves the propensity; in "
        "`confounded` users act on the reward as well; in `shared` both read the same features.",
        long=True,
    )
