"""What each leak of the published protocol is worth: `python benchmarks/leaks.py OUT > benchmarks/leaks.md`.

OUT holds a finished `simbench run --study benchmarks/leaks.yaml --out OUT`. Differences are paired: under
every protocol a replicate is the same draw of ratings and masks (only an uncapped law has other actions).
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau
from scipy.stats import t as student

from simbench.score.moments import per_replicate
from simbench.study.cell import Cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.shards import Shards
from simbench.study.table import read_table

METRICS = ("r2", "mae", "rmse", "auroc")
PUBLISHED, NONE, ALL_CALIBRATED = "published", "off: all", "off: calibration of one only"
CONTROLS = ("naive-sqrt", "balanced-naive")
BASELINES = (  # of the published tables, naive among them
    *("naive", "ips@published", "dr@click-observed", "multi-ips@published", "multi-dr@published"),
    *("stable-dr@published", "rmf@published", "upu@published", "nnpu@published", "bpr@published"),
    *("ubpr@published", "upl@published", "recrec@published", "counter-if@published"),
)
HEAD = """# What each leak of the published protocol is worth

Written by `python benchmarks/leaks.py OUT` from `simbench run --study benchmarks/leaks.yaml --out OUT`.
Columns: the metric under the published protocol *less* that with the named leak closed, mean over paired
replicates ± half of the 95 % t-interval. *all*: none of them, the honest protocol."""
Values = dict[tuple[str, str, str], dict[str, np.ndarray]]  # (world, protocol, estimator) -> metric -> (R,)


def values(out: Path) -> Values:
    """Metrics of every replicate of every finished cell."""
    config = StudyConfig.model_validate(json.loads((out / "study.json").read_text())["config"])
    shards, found = Shards(out / "shards"), {}
    for cell in cells_of(config):
        if shards.has(cell.key, cell.replicates):
            found[cell.world.name, cell.protocol.name, cell.estimator] = _of(cell, shards)
    return found


def _of(cell: Cell, shards: Shards) -> dict[str, np.ndarray]:
    test = cell.built().test
    each = per_replicate(shards.read(cell.key, cell.replicates)[0], test.reward, test.groups)
    return {metric: each[metric] for metric in METRICS}


def mean_interval(sample: np.ndarray, digits: int = 3) -> str:
    """``mean ± half of the 95 % t-interval``."""
    mean, n = sample.mean(), len(sample)
    half = student.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def worth(found: Values, world: str, metric: str) -> list[str]:
    """A row an estimator: the metric under the published protocol, and what it loses as a leak is closed."""
    protocols = list(dict.fromkeys(p for w, p, _ in found if w == world))
    closed = [p for p in protocols if p.startswith("off: ")]
    estimators = list(dict.fromkeys(e for w, _, e in found if w == world))
    lines = ["| estimator | published | " + " | ".join(p.removeprefix("off: ") for p in closed) + " |"]
    lines.append("|---" * (len(closed) + 2) + "|")
    for name in estimators:
        top = found[world, PUBLISHED, name][metric]
        cells = [
            mean_interval(top - found[world, p, name][metric]) if (world, p, name) in found else "needs more"
            for p in closed
        ]
        lines.append(f"| {name} | {mean_interval(top)} | " + " | ".join(cells) + " |")
    return lines


def mean(found: Values, world: str, protocol: str, metric: str, names=BASELINES) -> dict[str, float]:
    """Mean over replicates of each of these estimators that ran."""
    there = {n: found[world, protocol, n][metric] for n in names if (world, protocol, n) in found}
    return {name: float(each.mean()) for name, each in there.items()}


def predictions(found: Values, world: str) -> list[str]:
    """The four predictions of a reading of the published code, as measured."""
    lines = []
    names = [*BASELINES, *CONTROLS, "implicitrm"]
    before, after = (mean(found, world, p, "r2", names) for p in (PUBLISHED, NONE))
    both = [name for name in names if name in before and name in after]
    first, second = ([m[n] for n in both] for m in (before, after))
    tau = kendalltau(first, second).statistic
    order = sorted(both, key=lambda n: -before[n])
    other = sorted(both, key=lambda n: -after[n])
    lines.append(
        f"* (a) Kendall's τ of R² between the published protocol and none of its leaks: {tau:.2f} over "
    )
    lines[-1] += f"{len(both)}. First five there: {', '.join(order[:5])}; here: {', '.join(other[:5])}."
    each = np.array([found[world, PUBLISHED, n]["r2"] for n in both])
    same = [kendalltau(a, b).statistic for a, b in pairwise(each.T)]
    lines[-1] += f" Between two draws of the same published protocol τ is {np.mean(same):.2f}."
    for metric in ("r2", "rmse", "mae", "auroc"):
        raw, calibrated = (mean(found, world, p, metric) for p in (PUBLISHED, ALL_CALIBRATED))
        spread = [np.ptp(list(m.values())) for m in (raw, calibrated)]
        lines.append(
            f"* (b) {metric}: range over the baselines {spread[0]:.3f}; everyone calibrated {spread[1]:.3f}."
        )
    for metric in ("r2", "auroc"):
        gap = found[world, PUBLISHED, "ips@published"][metric] - found[world, PUBLISHED, "naive"][metric]
        lines.append(
            f"* (c) ips told the label-derived propensity, less naive, {metric}: {mean_interval(gap)}."
        )
    base = mean(found, world, PUBLISHED, "r2")
    for control in CONTROLS:
        own = found[world, PUBLISHED, control]["r2"].mean()
        beaten = [n for n, v in base.items() if v < own]
        lines.append(
            f"* (d) {control}, R² {own:.3f}, beats {len(beaten)} of {len(base)} baselines; not "
            f"{', '.join(n for n in base if n not in beaten) or 'none'}."
        )
    return lines


def main() -> None:
    out = Path(sys.argv[1])
    read_table(out)  # a sentence and not a traceback, where the study is not finished
    found = values(out)
    print(HEAD)
    for world in dict.fromkeys(w for w, _, _ in found):
        print(f"\n## {world}\n")
        print("\n".join(predictions(found, world)))
        for metric in ("r2", "auroc"):
            print(f"\n### {metric}\n")
            print("\n".join(worth(found, world, metric)))


if __name__ == "__main__":
    main()
