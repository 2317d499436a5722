"""Does `diagnose` tell logs that identify the reward from logs that do not? Twenty logs of each world.

python benchmarks/diagnosis.py > benchmarks/diagnosis.md
"""

import sys
from collections import Counter
from importlib.metadata import version

import numpy as np

from simbench.diagnosis.diagnose import IDENTIFIED, NOT_IDENTIFIED, RANKING_ONLY, diagnose
from simbench.world import PRESETS, build

SITUATIONS = [("exclusive", 3.0), ("exclusive", 2.0), ("exclusive", 0.8), ("shared", 2.0), ("shared", 0.8)]
SEEDS = range(20)
SIZE = 10_000
VERDICTS = (IDENTIFIED, RANKING_ONLY, NOT_IDENTIFIED)


def main() -> None:
    print("# What `diagnose` says\n\nWritten by `python benchmarks/diagnosis.py`.\n")
    print(
        f"torch {version('torch')}; {SIZE:,} responses a log, seeds {SEEDS[0]}-{SEEDS[-1]}, not those used to"
    )
    print("choose the thresholds. Covered: the set of compatible mean rewards holds the true one.\n")
    print(
        f"| world | bias level | {' | '.join(VERDICTS)} | rank agreement | width of mean reward | covered |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for world, level in SITUATIONS:
        found = Counter()
        ranks, widths, covered = [], [], []
        for seed in SEEDS:
            log, truth = build(PRESETS[world], level, SIZE, seed).draw(range(1))
            diagnosis = diagnose(log, seed=seed, advise=False)
            found[diagnosis.verdict] += 1
            profile, mean = diagnosis.profile, float(truth.reward.mean())
            assert profile is not None
            ranks.append(diagnosis.restarts.rank_agreement[0])
            widths.append(profile.width)
            covered.append(profile.low - 0.025 <= mean <= profile.high + 0.025)
            print(f"{world} {level:g} seed {seed}: {diagnosis.verdict}", file=sys.stderr, flush=True)
        counts = " | ".join(str(found[verdict]) for verdict in VERDICTS)
        print(
            f"| {world} | {level:g} | {counts} | {np.mean(ranks):.2f} (least {min(ranks):.2f}) | "
            f"{np.mean(widths):.2f} | {sum(covered)} of {len(covered)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
