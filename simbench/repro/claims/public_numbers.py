"""Whether the pattern of the numbers that the public code committed is found again on the twins."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.claims.predictions import under
from simbench.repro.claims.twins import gives
from simbench.repro.evidence import Evidence, NotMeasured, Scores
from simbench.repro.published import DATA_SETS, METHODS, published_numbers
from simbench.repro.quantities import Quantity, Table, by_share, exact, mean_of
from simbench.worlds.laws import standardise

SIGNIFICANT = 0.05
FEWEST = 5  # methods, below which a rank correlation says nothing


@claim(
    "e",
    "The committed public numbers are found again in pattern: the methods rank by R² as they do there.",
    command="simbench repro --only twins-published",
    rule="On a twin: Spearman's rank correlation of R² is above 0 (one-sided permutation test, p < "
    f"{SIGNIFICANT:g}). Holds if so on both data sets that have public numbers; under a condition on one.",
)
def public_numbers(evidence: Evidence) -> Judgement:
    """Judge the rank correlation over the methods that both sides have."""
    runs, quantities = under(evidence, "published"), {}
    tables, found, last = [], [], []
    for data, name in DATA_SETS.items():
        world = next((world for world in runs if world.endswith(f":{name}")), None)
        if world is None:
            continue
        scores, rows = runs[world], _numbers(data)
        methods = [m for m in rows.index if all(gives(scores, m, k) for k in ("r2", "auroc"))]
        if len(methods) < FEWEST:
            continue
        ours = [scores.of(method, "r2").mean() for method in methods]
        theirs = rows.loc[methods, "r2"].to_numpy()
        correlation, p = rank_correlation(np.array(ours), theirs)
        quantities |= {
            f"rho {world}": Quantity(value=correlation, digits=2, kind="derived"),
            f"p {world}": Quantity(value=p, digits=4, kind="derived"),
        }
        found.append(correlation > 0 and p < SIGNIFICANT)
        table, more = _side_by_side(scores, world, rows.loc[methods], evidence.level)
        tables, quantities = [*tables, table], quantities | more
        last.append(f"on `{world}` {methods[theirs.argmin()]} there, {methods[int(np.argmin(ours))]} here")
    if not found:
        raise NotMeasured(
            f"the step `twins-published` shares fewer than {FEWEST} methods with the public numbers"
        )
    texts = [
        f"on `{world}` the rank correlation is {{rho {world}}} (p = {{p {world}}})"
        for world in runs
        if f"rho {world}" in quantities
    ]
    because = f"Over the methods that both have: {'; '.join(texts)}. Last: {'; '.join(last)}. " + DIFFERENCES
    return Judgement(by_share(found), because, quantities, tuple(tables))


DIFFERENCES = (
    "What differs: theirs are one seed each, on embeddings of a reward model that may have seen the labels; "
    "ours are means over logs, on synthetic features; hyper-parameters are the shipped ones here. A method "
    "whose R² there is that of an all-zero prediction (`rmf`, `ncrmf`, `ome_ips`) collapsed."
)


def rank_correlation(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return Spearman's ρ and the one-sided p-value of ρ > 0, by 9,999 permutations of a fixed seed.

    Parameters
    ----------
    ours, theirs : ndarray, shape (m,)
        One score per method, in the same order.
    """
    ranks = standardise(rankdata(ours)), standardise(rankdata(theirs))
    correlation = float(ranks[0] @ ranks[1] / len(ours))
    permuted = np.random.default_rng(0).permuted(np.tile(ranks[0], (9999, 1)), axis=1) @ ranks[1] / len(ours)
    return correlation, float((1 + np.sum(permuted >= correlation - 1e-12)) / 10000)


def _numbers(data: str) -> pd.DataFrame:
    """The public numbers of one data set, by method."""
    rows = published_numbers()
    return rows[rows.data == data].set_index("method")


def _side_by_side(
    scores: Scores, world: str, rows: pd.DataFrame, level: float
) -> tuple[Table, dict[str, Quantity]]:
    """The public numbers beside those measured here, the best public one first."""
    quantities: dict[str, Quantity] = {}
    lines = []
    for method, row in rows.sort_values("r2", ascending=False).iterrows():
        name = METHODS[str(method)][0]
        for metric in ("r2", "auroc"):
            quantities[f"there {metric} {method} {world}"] = exact(float(row[metric]), digits=3)
            quantities[f"here {metric} {method} {world}"] = mean_of(scores.of(str(method), metric), level)
        slots = (f"{{{side} {m} {method} {world}}}" for m in ("r2", "auroc") for side in ("there", "here"))
        lines.append((str(method), name, *slots))
    columns = ("method", "here", "R² there", "R² here", "AUROC there", "AUROC here")
    return Table(title=f"`{world}`, the published protocol", columns=columns, rows=tuple(lines)), quantities
