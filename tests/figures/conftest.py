"""Small tables with the columns of real ones, one for each figure."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from simbench_figures.palette import STYLES

from simbench.study.figures import find

ESTIMATORS = {
    "oracle": "truth",
    "naive": "nothing",
    "naive-sqrt": "nothing",
    "ips": "propensity",
    "implicitrm": "context",
    "implicitrm-known": "propensity",
}
LEAKS = ("uncapped law", "derived and stored propensity", "oracle stopping", "all")


def long(metrics: dict[str, float], **columns) -> pd.DataFrame:
    """Rows of one cell for every estimator; the metrics differ between estimators, and have intervals."""
    fixed = {"behaviour": "logit", "n_replicates": 20, "status": "ok", "reason": "", "world": "exclusive"}
    fixed |= {"bias_level": 1.0, "size": 10_000} | columns
    rows = []
    for number, (name, knows) in enumerate(ESTIMATORS.items()):
        for metric, value in metrics.items():
            mine = value * (1 - 0.1 * number)
            who = {"estimator": name, "knows": knows, "metric": metric, "value": mine}
            rows.append(fixed | who | {"low": mine - 0.02 * abs(value), "high": mine + 0.03 * abs(value)})
    return pd.DataFrame(rows)


def both(tables) -> pd.DataFrame:
    return pd.concat(list(tables), ignore_index=True)


def over_levels() -> pd.DataFrame:
    metrics = {"bias2": 0.1, "variance": 0.01, "efficiency": 0.8, "mse": 0.11}
    return both(
        long(metrics, bias_level=level, world=world)
        for world in ("exclusive", "shared")
        for level in (0.0, 1.0, 2.0)
    )


def verdicts() -> pd.DataFrame:
    rows = []
    for case in ("SCAR", "known α", "unknown α", "misclicks", "imputation right", "true posteriors"):
        rows += [(name, case, "biased", 2.0, 2.0, 2.0) for name in ("naive", "implicitrm@printed")]
        rows += [("ips", case, "exactly unbiased", 4e-16, 4e-16, 4e-16)]
    rows += [("nnpu", "SCAR", "Monte Carlo only: biased", 0.02, 0.01, 0.03)]
    rows += [("nnpu", "known α", "Monte Carlo only: no bias found", 0.001, -0.002, 0.004)]
    return pd.DataFrame(rows, columns=["estimator", "case", "verdict", "bias", "low", "high"])


def protocols() -> pd.DataFrame:
    metrics = {"r2": 0.4, "mae": 0.3, "rmse": 0.45, "auroc": 0.8}
    names = ("honest", "published", "published, one seed")
    worlds = ("twin:helpsteer", "twin:ultrafeedback", "twin:saferlhf")
    return both(
        long({key: value * (1 + 0.05 * number) for key, value in metrics.items()}, protocol=name, world=world)
        for number, name in enumerate(names)
        for world in worlds
    )


def leaks() -> pd.DataFrame:
    """As ``simbench_figures.leaks.read`` makes it of a study."""
    table = both(
        long({"r2": worth, "auroc": 0.1 * worth}, world=world).assign(leak=leak)
        for leak, worth in zip(LEAKS, (0.02, -0.3, 2.5, 0.0), strict=True)
        for world in ("twin:helpsteer", "twin:saferlhf")
    )
    return table.replace({"estimator": {"ips": "ips@published"}})


def rates() -> pd.DataFrame:
    return both(
        long({"r2": 0.3, "auroc": 0.8}, world="rating").assign(lr=rate) for rate in (1e-4, 1e-3, 1e-2)
    )


def group_shares() -> pd.DataFrame:
    alpha = np.linspace(0.05, 0.8, 10)
    good, all_ = np.linspace(0.4, 0.6, 10), 0.1
    shares = {"PA": good * alpha, "PP": good * (1 - alpha)}
    shares |= {"NA": (1 - good) * alpha, "NP": (1 - good) * (1 - alpha)}
    frame = pd.DataFrame(shares) * all_
    frame["clicks"] = frame.PA + 0.05 * frame.NA
    return frame.assign(propensity=alpha, world="misclick", bias_level=2.0, size=10_000)


def reliability_bins() -> pd.DataFrame:
    frames = [
        long({f"bin {bin_}": 0.09 * (bin_ + 1)}).assign(bin=bin_, predicted=0.1 * (bin_ + 0.5))
        for bin_ in range(10)
    ]
    return both(frames)


def policies() -> pd.DataFrame:
    frames = []
    for kind in ("tilted to KL", "best of n"):
        for strength in (0.1, 1.0, 2.0):
            reward = "probability" if kind == "tilted to KL" else "rank"
            metrics = {"value": 0.5 + 0.1 * strength, "trait": strength}
            frames.append(long(metrics).assign(policy=kind, strength=strength, reward=reward))
            exact = long({"kl": 0.0}).assign(policy=kind, strength=strength, reward=reward)
            frames.append(exact.assign(value=strength, low=strength, high=strength))
    table = both(frames)
    truth = table[table.estimator == "oracle"].assign(estimator="truth", low=np.nan, high=np.nan)
    reference = truth[truth.strength == 0.1].assign(estimator="reference", policy="reference", reward="")
    return both([table, truth, reference]).assign(trait="feature:31")


def speeds() -> pd.DataFrame:
    names = ["rows", "features", "hidden", "replicates", "ms", "loop_ms", "gflops", "share_of_sgemm"]
    rows = [
        (8000, 32, "32-16", 32, 1.1, 33.1, 53.0, 0.27),
        (8000, 64, "256-64", 8, 12.7, 45.5, 103.0, 0.52),
        (8000, 1024, "256-64", 4, 63.0, 124.0, 145.0, 0.73),
    ]
    goals = {"ratio_goal": [30.0, 4.0, np.nan], "share_goal": [np.nan, 0.55, 0.85]}
    return pd.DataFrame(rows, columns=names).assign(
        **goals, device="cpu", threads=2, sgemm_gflops=197.0, torch="2"
    )


def knowledge_map() -> pd.DataFrame:
    metrics = {"mse": 0.04, "restarts_disagree": 1.0, "swapped_share": 0.5}
    table = both(
        long(metrics, world=world, bias_level=level)
        for world in ("exclusive", "confounded", "shared")
        for level in (1.0, 3.0)
    )
    return table[table.estimator.isin(["oracle", "implicitrm", "implicitrm-known"])]


def many_estimators() -> pd.DataFrame:
    """Two situations of thirty estimators, half of them in a crowd, with variances over three decades."""
    generator = np.random.default_rng(0)
    frames = []
    for world in ("exclusive", "shared"):
        for number, name in enumerate([name for name in STYLES if "@" not in name][:30]):
            knows = (
                "truth" if name == "oracle" else ("nothing", "propensity", "class prior, context")[number % 3]
            )
            spread = 0.15 if number % 2 else 1.0
            for metric, centre in (("bias2", 0.02), ("variance", 0.004)):
                value = min(centre * 10 ** (spread * generator.normal()), 0.5)
                row = {"world": world, "estimator": name, "knows": knows, "metric": metric, "value": value}
                frames.append(row | {"low": 0.7 * value, "high": 1.4 * value})
    table = pd.DataFrame(frames)
    return table.assign(bias_level=2.0, size=10_000, status="ok", n_replicates=20, protocol="honest")


TABLES = {
    "groups": group_shares,
    "bias-variance": over_levels,
    "risk": verdicts,
    "identification": knowledge_map,
    "efficiency": over_levels,
    "leaks": leaks,
    "comparison": protocols,
    "learning-rate": rates,
    "reliability": reliability_bins,
    "value-kl": policies,
    "throughput": speeds,
    "plane": many_estimators,
}


@pytest.fixture(scope="session")
def table_of():
    """From the name of a figure to a table that it can be drawn of."""
    return lambda name: TABLES[name]()


@pytest.fixture(scope="session")
def drawn():
    """From the name of a figure to the figure, drawn once for all tests that only look at it."""
    return cache(lambda name: find(name).module.draw(TABLES[name]()))
