"""How far several signals identify the reward, what a third adds, and what dependence costs.

python benchmarks/signals.py > benchmarks/signals.md     (about two minutes on one core)
"""

import argparse
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from simbench._compat import VERSION
from simbench.log.dependence import dependence_test
from simbench.study.config import StudyConfig
from simbench.study.run import run
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.signals import joint_propensity
from simbench.worlds.world import World, build

SITUATIONS = [(1, 0.0), *((count, dependence) for count in (2, 3) for dependence in (0.0, 0.3, 0.6))]
SIZE, BIAS_LEVEL = 10_000, 1.0
WORLDS, LOGS = 20, 20  # of the test of dependence


# bias² of this project's first experiments: one likelihood for all signals, heads of 32 units
EARLIER = {(1, 0.0): 0.100, (2, 0.0): 0.008, (3, 0.0): 0.0016, (2, 0.3): 0.032}


def config_of(count: int, dependence: float) -> WorldConfig:
    """Shared features; the same responses and the same clicks in every situation."""
    return PRESETS["signals"].changed(signals=count, signal_dependence=dependence)


def measured(config: WorldConfig, replicates: int) -> pd.DataFrame:
    """The long table of this world."""
    several = ("implicitrm-signals", "capture-recapture") if config.channel.signals > 1 else ()
    one = ("naive", "implicitrm") if config.channel.signals == 1 else ()
    study = StudyConfig(
        worlds=(config,),
        bias_levels=(BIAS_LEVEL,),
        estimators=("oracle", *one, *several),
        sizes=(SIZE,),
        replicates=replicates,
    )
    with tempfile.TemporaryDirectory() as folder:
        return run(study, Path(folder) / "out")


def limit(world: World) -> str:
    """bias² to which capture-recapture tends with the log's size, ``mean (γ α_j α_k / P_jk - γ)²``."""
    if world.config.channel.signals < 2:
        return ""
    gamma, alphas = world.test.reward, world.test.propensities
    dependence = world.config.channel.signal_dependence
    ratios = [a * b / joint_propensity(a, b, dependence) for a, b in combinations(alphas, 2)]
    median = gamma * np.median(ratios, axis=0)
    return f"{((np.minimum(median, 1) - gamma) ** 2).mean():.4f}"


def line(world: World, name: str, table: pd.DataFrame) -> str:
    rows = table[table.estimator == name].set_index("metric")
    cells = [
        f"{rows.loc[m].value:.4f} [{rows.loc[m].low:.4f}, {rows.loc[m].high:.4f}]"
        for m in ("bias2", "variance", "excess_bias2")
    ]
    facts = [str(world.config.channel.signals), f"{world.config.channel.signal_dependence:g}"]
    facts += [f"{world.train.law.action_correlation():.2f}", name]
    swapped, auroc = (rows.loc[metric].value for metric in ("swapped_share", "auroc"))
    last = limit(world) if name == "capture-recapture" else ""
    return f"| {' | '.join([*facts, *cells, f'{auroc:.3f}', f'{swapped:.2f}', last])} |"


def rejections(dependence: float) -> str:
    """Share of logs in which the test rejects, three signals; and what pairwise estimates would show."""
    found = []
    for seed in range(WORLDS):
        world = build(config_of(3, dependence), BIAS_LEVEL, SIZE, seed)
        log, _ = world.draw(range(LOGS))
        found += [dependence_test(log, replicate).p_value for replicate in range(LOGS)]
    p = np.array(found)
    gamma, alphas = world.train.reward, world.train.law.propensities
    means = [
        float((gamma * a * b / joint_propensity(a, b, dependence)).mean()) for a, b in combinations(alphas, 2)
    ]
    shares = [f"{(p < level).mean():.2f}" for level in (0.05, 0.01)]
    pairs = ", ".join(f"{mean:.3f}" for mean in means)
    return f"| {dependence:g} | {world.train.law.action_correlation():.2f} | {' | '.join(shares)} | {pairs} |"


INTRODUCTION = """# Several signals

Written by `python benchmarks/signals.py`.

simbench {version}, torch {torch}, world `signals` (reward and propensities read the same features), {size:,}
responses, bias level {level:g}, {replicates} replicates, seed 0, 95% intervals by bootstrap over replicates.
The responses and the clicks are the same in every row. Dependence: correlation of the copula; beside it,
of the actions. Limit: bias² of the closed form in an infinite log.
"""
COMPARISON = """
## Against the first experiments

| signals | dependence | bias² then | bias² now |
|---|---|---|---|"""
TEST = """
## The test of dependence

Three signals, {worlds} worlds with {logs} logs each. Last column: mean over responses of what each pair's
capture-recapture estimate tends to in the last world (the true mean is .500). Under dependence the pairs
agree with one another, and are all wrong, so that their agreement proves nothing; the test compares each
pair with the third signal.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--replicates", type=int, default=8)
    replicates = parser.parse_args().replicates
    facts = {"version": VERSION, "torch": torch.__version__, "size": SIZE, "level": BIAS_LEVEL}
    print(INTRODUCTION.format(**facts, replicates=replicates))
    titles = ["signals", "dependence", "of actions", "estimator", "bias²", "variance", "excess bias²"]
    titles += ["AUROC", "swapped", "limit"]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    found: dict[tuple[int, float], list[str]] = {}
    for count, dependence in SITUATIONS:
        config = config_of(count, dependence)
        world, table = build(config, BIAS_LEVEL, SIZE, 0), measured(config, replicates)
        for name in table.estimator.unique():
            if name != "oracle" or count == 1:
                print(line(world, name, table))
        bias = table[table.metric == "bias2"].set_index("estimator").value
        found[count, dependence] = [f"{name} {bias[name]:.4f}" for name in bias.index[1:]]
    print(COMPARISON)
    for (count, dependence), earlier in EARLIER.items():
        print(f"| {count} | {dependence:g} | {earlier:.4f} | {', '.join(found[count, dependence])} |")
    print(TEST.format(worlds=WORLDS, logs=LOGS))
    titles = ["dependence", "of actions", "rejected at .05", "at .01", "pairwise mean rewards"]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for dependence in (0.0, 0.1, 0.2, 0.3, 0.6):
        print(rejections(dependence))


if __name__ == "__main__":
    main()
