"""Numbers committed by the public code around ImplicitRM, and who of its methods is who here.

``published.csv``: R², MAE, RMSE and AUROC on clean test labels, one seed each, of the repository
``yhc-666/Causal-RM`` (commits 632d3f9 of 2026-01-03 and baddcd3 of 2026-01-07, ``results/cache``), at κ = .2
and an action rate of .2; of each method and data set the later commit. No numbers of ImplicitRM are among
them.
"""

from functools import cache
from pathlib import Path

import pandas as pd

TWIN_OF = {"hs": "twin:helpsteer", "saferlhf": "twin:saferlhf"}

# Methods of the public code, by the estimators that stand for them here.
METHOD_OF = {
    "naive": "naive",
    "ips": "ips",
    "dr": "dr@click-observed",
    "mtips": "multi-ips",
    "mtdr": "multi-dr",
    "sdr2": "stable-dr",
    "counterif": "counter-if",
    "recrec": "recrec",
    "bpr": "bpr",
    "ubpr": "ubpr",
    "cubpr": "cubpr",
    "uprl": "upl",
    "rmf": "ips@squared",
    "nnpu": "nnpu",
    "upu": "upu",
    "pu_naive": "balanced-naive",
    "wmf": "wmf",
    "ome_ips": "ome-ips",
    "ome_dr": "ome-dr",
}
CONTROLS = ("pu_naive", "wmf")  # of the public code's history, no baselines of the paper


@cache
def published_numbers() -> pd.DataFrame:
    """Columns ``data, method, r2, mae, rmse, auroc, commit``."""
    return pd.read_csv(Path(__file__).with_name("published.csv"), dtype={"commit": str})


def baselines(there: list[str]) -> list[str]:
    """The estimators, of those that are there, that stand for a baseline of the paper."""
    names = [name for method, name in METHOD_OF.items() if method not in CONTROLS]
    return [name for name in there if name.partition("@")[0] in names or name in names]
