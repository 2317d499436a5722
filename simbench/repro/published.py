"""Numbers that the public code around ImplicitRM committed, and what its methods are called here.

R², MAE, RMSE and AUROC on clean test labels, one seed each, of the repository ``yhc-666/Causal-RM``. None of
the numbers are ImplicitRM's. ``published.csv``: a sweep with one setting a method (commits 632d3f9 of
2026-01-03 and baddcd3 of 2026-01-07, ``results/cache``), at κ = .2 and an action rate of .2; of each method
and data set the later commit counts. ``published_tuned.csv``: the best of a search by *test* metrics at
κ = .5 (commit a8706d6, ``analyze/optuna_results_summary.ipynb``).
"""

from functools import cache
from pathlib import Path

import pandas as pd

TABLES = {"sweep": "one setting, κ .2", "tuned": "tuned on the test set, κ .5"}
FILES = {"sweep": "published.csv", "tuned": "published_tuned.csv"}
DATA_SETS = {"hs": "helpsteer", "saferlhf": "saferlhf"}  # of the twins and real worlds, behind the colon

# Methods of the public code: the estimator that has its form, and the one that has the form of its source.
METHODS = {
    "naive": ("naive", "naive"),
    "ips": ("ips@published", "ips"),
    "dr": ("dr@click-observed", "dr"),
    "mtips": ("multi-ips@published", "multi-ips"),
    "mtdr": ("multi-dr@published", "multi-dr"),
    "sdr2": ("stable-dr@published", "stable-dr"),
    "counterif": ("counter-if@published", "counter-if@published"),
    "recrec": ("recrec@published", "recrec"),
    "bpr": ("bpr@published", "bpr"),
    "ubpr": ("ubpr@published", "ubpr"),
    "cubpr": ("cubpr@published", "cubpr"),
    "uprl": ("upl@published", "upl"),
    "rmf": ("rmf@published", "rmf"),
    "nnpu": ("nnpu@published", "nnpu"),
    "upu": ("upu@published", "upu"),
    "ome_ips": ("ome-ips", "ome-ips"),
    "ome_dr": ("ome-dr", "ome-dr"),
    "pu_naive": ("balanced-naive", "balanced-naive"),
    "wmf": ("wmf", "wmf"),
}
NO_BASELINES = ("pu_naive", "wmf", "ome_ips", "ome_dr")  # in the public code's history alone


@cache
def published_numbers(table: str = "sweep") -> pd.DataFrame:
    """Return one of :data:`TABLES`, with columns ``data, method, r2, mae, rmse, auroc, commit``."""
    return pd.read_csv(Path(__file__).with_name(FILES[table]), dtype={"commit": str})


def as_methods(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return the scores of a protocol with estimators named by method; the others keep their names.

    Under the published protocol, at whatever rates, the published form of a method stands for it if it was
    run, and its other form is left out; under every other protocol it is the other way round.
    """
    there, preferred = set(table.estimator), 0 if protocol.startswith("published") else 1
    names, left_out = {}, set()
    for method, forms in METHODS.items():
        first, second = forms[preferred], forms[1 - preferred]
        chosen = first if first in there else second
        names[chosen] = method
        left_out |= set(forms) - {chosen}
    kept = table[~table.estimator.isin(left_out)]
    return kept.assign(estimator=kept.estimator.replace(names))


def baselines(there: list[str]) -> list[str]:
    """Return those of the given methods that are baselines of the paper."""
    return [name for name in there if name in METHODS and name not in NO_BASELINES]
