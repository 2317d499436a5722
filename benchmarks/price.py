"""What it costs not to know the propensity, by the strength of the context that moves it: bounds alone.

python benchmarks/price.py > benchmarks/price.md
"""

from simbench.score.bound import mean_bound
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

LEVELS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
SIZE = 10_000

HEADER = f"""# The price of not knowing the propensity

Written by `python benchmarks/price.py`.

Cramér-Rao bounds of the RMSE of the reward, {SIZE:,} responses, logistic reward and propensity. The shape is
knowledge: a network that knows none pays more where the context moves the propensity little.

| bias level | exclusive: known | unknown | variance, times | shared: known | unknown | variance, times |"""


def main() -> None:
    print(HEADER)
    print("|---|---|---|---|---|---|---|", flush=True)
    for level in LEVELS:
        cells = []
        for name in ("exclusive", "shared"):
            world = build(PRESETS[name], level, SIZE, 0)
            known, unknown = mean_bound(world, True), mean_bound(world, False)
            cells += [f"{known**0.5:.4f}", f"{unknown**0.5:.4f}", f"{unknown / known:.2f}"]
        print(f"| {level:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
