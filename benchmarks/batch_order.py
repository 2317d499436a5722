"""What it costs that all replicates share one batch order and one held-out split.

Stacked training gives every replicate the same order of batches; independent trainings would each draw
their own. Sharing leaves a replicate's own distribution as it is, but makes the replicates' noise from
the order common, so that it could pass for bias. Measured: bias² and variance both ways, on the same
feedback, with intervals, and their difference.

    python benchmarks/batch_order.py [--replicates 20] [--bias-level 0.8]
"""

import argparse

from simbench.estimator.estimator import grant
from simbench.estimator.registry import find
from simbench.score.moments import score
from simbench.training.train import train
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

ESTIMATORS = ("naive", "ips", "implicitrm-known")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--bias-level", type=float, default=0.8)
    options = parser.parse_args()
    world = build(PRESETS["exclusive"], options.bias_level, 10_000, seed=0)
    log, truth = world.draw(range(options.replicates))
    log = grant(log, propensity=truth.propensity)
    print("| estimator | order | bias² | variance | MSE |\n|---|---|---|---|---|")
    for name in ESTIMATORS:
        for label, independent in (("shared", False), ("independent", True)):
            replicates = range(options.replicates)
            model = train(find(name)(), log, replicates, independent_order=independent)
            found = score(model.predict(world.test.features), world.test.reward, world.test.groups)
            cells = [
                f"{e.value:.4f} [{e.low:.4f}, {e.high:.4f}]"
                for e in (found[metric] for metric in ("bias2", "variance", "mse"))
            ]
            print(f"| {name} | {label} | {' | '.join(cells)} |", flush=True)
    print(f"\n{options.replicates} replicates, bias level {options.bias_level:g}, seed 0")


if __name__ == "__main__":
    main()
