"""Which estimators break under which behaviour, how far, what repairs them, and what a log shows.

python benchmarks/behaviours.py > benchmarks/behaviours.md
"""

import sys
import time
from collections.abc import Iterable
from importlib.metadata import version

import numpy as np
import pandas as pd

from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.study.results import run
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

LEVEL, SIZE, REPLICATES, DRAWS = 0.8, 6000, 4, 3
WORLDS = {
    "SCAR": PRESETS["shared"],
    "page": PRESETS["page"],
    "page, ranked": PRESETS["ranked"],
    "cascade": PRESETS["cascade"],
    "cascade, ranked": PRESETS["cascade"].changed(name="cascade-ranked", ranked=0.8),
    "regenerate": PRESETS["regenerate"],
    "regenerate, ranked": PRESETS["regenerate"].changed(name="regenerate-ranked", ranked=0.8),
}
ESTIMATORS = (
    *("naive", "naive-sqrt", "ips", "upu", "implicitrm", "implicitrm-known", "implicitrm-signals"),
    *("pbm", "cascade-mle", "regenerate-mle"),
)
REPAIRS = {"ranked": 0.0, "a tenth of the pages shuffled": 0.1, "half": 0.5, "all": 1.0}
REPAIRED = ("naive", "upu", "ips", "implicitrm", "pbm", "cascade-mle")
MODELS = ("naive", "implicitrm", "pbm", "cascade-mle")  # of clicks, whose held-out likelihood is compared
HEADER = """# Ways of acting

Written by `python benchmarks/behaviours.py` (torch {torch}).

Every cell: excess root-mean-square error of the reward over the oracle's, √max(0, MSE - MSE of the oracle),
mean over {draws} draws of the world [smallest, largest], {replicates} replicates each; then the AUROC against
r*. {size:,} responses on pages of 5, bias level {level:g} (of SCAR: 0). `ips` and `implicitrm-known` are told
the exact propensity P(click | good, page), `upu` the class prior; the click models and `implicitrm` are told
nothing. Ranked: a ranker whose score correlates .8 with the reward's logit puts good responses first. "–":
needs something that this log does not hold.
"""


def main() -> None:
    print(HEADER.format(torch=version("torch"), draws=DRAWS, replicates=REPLICATES, size=SIZE, level=LEVEL))
    found = {
        name: measured(world, LEVEL if name != "SCAR" else 0.0, ESTIMATORS) for name, world in WORLDS.items()
    }
    print_table("estimator", ESTIMATORS, found)
    print("\n## What repairs them: pages in random order\n")
    print("`page, ranked`, with a share of the pages shown in random order:\n")
    repaired = {
        name: measured(PRESETS["ranked"].changed(shuffled=share), LEVEL, REPAIRED)
        for name, share in REPAIRS.items()
    }
    print_table("estimator", REPAIRED, repaired)
    print("\n## Which behaviour is near: what a log shows\n")
    print_signs()
    print("\nHeld-out log-likelihood of the clicks below that of the best model, nats per 1,000 responses")
    print(f"(one draw, {SIZE:,} responses, mean of {REPLICATES} replicates ± its standard error):\n")
    print_likelihoods()


def measured(world: WorldConfig, level: float, estimators: Iterable[str]) -> pd.DataFrame:
    """Excess RMSE and AUROC of every estimator in every draw: columns estimator, draw, error, auroc."""
    start, rows = time.perf_counter(), []
    for draw in range(DRAWS):
        results = run(
            worlds=[world.changed(test_size=2000)],
            bias_levels=[level],
            sizes=[SIZE],
            estimators=["oracle", *estimators],
            replicates=REPLICATES,
            seed=draw,
            grant=["propensity", "class prior"],
            jobs=1,
        )
        ok = results.table[results.table.status == "ok"]
        wide = ok.pivot_table(index="estimator", columns="metric", values="value")
        excess = np.sqrt(np.maximum(0, wide.mse - wide.mse["oracle"])) if "mse" in wide else np.nan
        rows.append(pd.DataFrame({"error": excess, "auroc": wide.auroc, "draw": draw}).reset_index())
    print(f"{world.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return pd.concat(rows, ignore_index=True)


def print_table(corner: str, names: Iterable[str], found: dict[str, pd.DataFrame]) -> None:
    print(f"| {corner} | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for name in names:
        print(f"| {name} | {' | '.join(_cell(table[table.estimator == name]) for table in found.values())} |")


def _cell(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "–"
    error = rows.error
    return f"{error.mean():.3f} [{error.min():.3f}, {error.max():.3f}]; {rows.auroc.mean():.3f}"


def print_signs() -> None:
    """Signs of every behaviour in one log of each, 20,000 responses."""
    print("| world | clicks at the first place / the last | clicks below a click / below none | shown |")
    print("|---|---|---|---|")
    for name, world in WORLDS.items():
        built = build(world.changed(test_size=100), LEVEL if name != "SCAR" else 0.0, 20_000, 0)
        log, _ = built.draw(range(1))
        numbers = signs(log, built.train.page, built.train.rank)
        print(f"| {name} | {' | '.join('–' if np.isnan(n) else f'{n:.2f}' for n in numbers)} |")


def print_likelihoods() -> None:
    """How far behind the best every model of clicks is, in the worlds in which every page is logged whole."""
    print(f"| world | {' | '.join(MODELS)} |\n|---|{'---|' * len(MODELS)}")
    for name, world in WORLDS.items():
        if world.behaviour.kind == "regenerate":
            continue
        log, _ = build(world.changed(test_size=100), LEVEL if name != "SCAR" else 0.0, SIZE, 0).draw(
            range(REPLICATES)
        )
        losses = {}
        for model in MODELS:
            kind = find(model)
            if "pages" not in kind.needs or log.page is not None:
                losses[model] = kind().fit_replicates(log).held_out_loss
        best = min(losses.values(), key=np.mean)
        print(f"| {name} | {' | '.join(_behind(losses.get(model), best) for model in MODELS)} |", flush=True)


def _behind(loss: np.ndarray | None, best: np.ndarray) -> str:
    if loss is None:
        return "–"
    difference = 1000 * (loss - best)
    return f"{difference.mean():.1f} ± {difference.std(ddof=1) / np.sqrt(len(difference)):.1f}"


def signs(log: FeedbackLog, page: np.ndarray, rank: np.ndarray) -> tuple[float, float, float]:
    """Three numbers of a log: clicks by place, clicks below clicks by place, and the share that was shown."""
    order = np.lexsort((rank, page))
    pages = order.reshape(-1, int(rank.max()) + 1)
    clicks = log.feedback[0][pages]
    shown = np.ones(clicks.shape, dtype=bool) if log.shown is None else log.shown[0][pages]
    rate = np.array([clicks[:, k][shown[:, k]].mean() for k in range(pages.shape[1])])
    below, above = [], []
    for k in range(1, pages.shape[1]):
        clicked = clicks[:, :k].any(1)
        for where, rates in ((clicked & shown[:, k], below), (~clicked & shown[:, k], above)):
            rates.append(clicks[where, k].mean() if where.sum() > 50 else np.nan)
    ratio = np.array(below) / np.array(above)
    after_click = np.nan if np.isnan(ratio).all() else float(np.nanmean(ratio))
    return float(rate[0] / rate[-1]), after_click, float(shown.mean())


if __name__ == "__main__":
    main()
