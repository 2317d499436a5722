"""Does `diagnose` tell logs that identify the reward from logs that do not? Twenty logs of each world.

python benchmarks/diagnosis.py [--jobs N] > benchmarks/diagnosis.md
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from joblib import Parallel, delayed

from simbench.reward.diagnosis.diagnose import IDENTIFIED, NOT_IDENTIFIED, RANKING_ONLY, diagnose
from simbench.reward.diagnosis.profile import Profile
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

WORLDS = {
    "exclusive": PRESETS["exclusive"],
    "exclusive, reward a network": PRESETS["exclusive"].changed(reward="mlp"),
    "shared": PRESETS["shared"],
}
SITUATIONS = [
    *(("exclusive", 3.0), ("exclusive", 2.0), ("exclusive", 0.8)),
    *(("shared", 3.0), ("shared", 2.0), ("shared", 0.8)),
    *(("exclusive, reward a network", 3.0), ("exclusive, reward a network", 0.8)),
]
SEEDS = range(20, 40)
SIZE = 10_000
VERDICTS = (IDENTIFIED, RANKING_ONLY, NOT_IDENTIFIED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    jobs = parser.parse_args().jobs
    print("# What `diagnose` says\n\nWritten by `python benchmarks/diagnosis.py`.\n")
    print(
        f"torch {version('torch')}; {SIZE:,} responses a log, seeds {SEEDS[0]}-{SEEDS[-1]}, not those used "
        "to\nchoose thresholds or rules. Covered: the set of compatible mean rewards holds the true one. "
        "Logistic: logs\nwhose unseen clicks logistic heads predict as well as networks.\n"
    )
    print(
        f"| world | bias level | {' | '.join(VERDICTS)} | rank agreement | width of mean reward | covered "
        "| logistic |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for world, level in SITUATIONS:
        every = Parallel(jobs)(delayed(_found)(WORLDS[world], level, seed) for seed in SEEDS)
        print(_row(world, level, [found for found in every if found is not None]), flush=True)


@dataclass(frozen=True)
class Found:
    """What is kept of a diagnosis, with the truth that it did not see."""

    verdict: str
    rank_agreement: float
    profile: Profile
    mean_reward: float


def _found(world: WorldConfig, level: float, seed: int) -> Found:
    log, truth = build(world, level, SIZE, seed).draw(range(1))
    diagnosis = diagnose(log, seed=seed, advise=False)
    print(f"{world.name} {level:g} seed {seed}: {diagnosis.verdict}", file=sys.stderr, flush=True)
    assert diagnosis.profile is not None
    agreement = diagnosis.rank_agreement
    return Found(diagnosis.verdict, agreement, diagnosis.profile, float(truth.reward.mean()))


def _row(world: str, level: float, every: list[Found]) -> str:
    counts = Counter(found.verdict for found in every)
    ranks = [found.rank_agreement for found in every]
    covered = sum(found.profile.low <= found.mean_reward <= found.profile.high for found in every)
    return (
        f"| {world} | {level:g} | {' | '.join(str(counts[verdict]) for verdict in VERDICTS)} "
        f"| {np.mean(ranks):.2f} (least {min(ranks):.2f}) "
        f"| {np.mean([found.profile.width for found in every]):.2f} "
        f"| {covered} of {len(every)} | {sum(not found.profile.hidden for found in every)} |"
    )


if __name__ == "__main__":
    main()
