"""Coverage of the intervals, error rates of the verdict, and how many replicates decide, in Markdown.

    python benchmarks/intervals.py [--trials 1000] [--figure docs/img/intervals]

Everything is simulated from normal noise of a known law, so that the truth is known: R replicates whose noise
fills d dimensions, with a standard deviation of .1 in all, about a mean of a given norm (the bias). Seeds are
fixed. The interval of the first edition (a percentile bootstrap over replicates, widened) is run beside.
"""

import argparse
import math
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from simbench.score.across import indistinguishable, over_worlds
from simbench.score.estimate import Estimate
from simbench.score.squared_mean import (
    mse_with_interval,
    spread,
    squared_mean,
    variance_with_interval,
    with_interval,
)
from simbench.score.verdicts import verdict

DEVIATION, MARGIN = 0.1, 0.05**2
REPLICATES, DIMENSIONS, BIASES = (5, 8, 20, 50), (1, 5, 33), (0.0, 0.03, 0.1)
Found = dict[tuple[int, int, float, bool], dict[str, tuple[float, float]]]
NOT_NEARER = Estimate(1.0, 0.9, 1.1)


def gram_of(rng: np.random.Generator, count: int, dimensions: int, bias: float, outside: bool) -> np.ndarray:
    """Gram matrix of the differences; the mean lies in the noise's dimensions, or outside all of them."""
    rows = np.zeros((count, dimensions + 1))
    rows[:, :dimensions] = rng.standard_normal((count, dimensions)) * DEVIATION / math.sqrt(dimensions)
    rows[:, dimensions if outside else 0] += bias
    return rows @ rows.T


def old_interval(gram: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Percentiles of bias² over resampled replicates, centred and widened, as the first edition had them."""
    count, value = len(gram), squared_mean(gram)
    crossed = np.einsum("br,rs,bs->b", weights, gram, weights, optimize=True) - weights**2 @ np.diag(gram)
    pairs = count**2 - (weights**2).sum(1)
    draws = crossed[pairs > 0] / pairs[pairs > 0]
    wider = math.sqrt(count / (count - 1)) * student.ppf(0.975, count - 1) / 1.959964
    low, high = np.quantile(draws, [0.025, 0.975]) - draws.mean()
    return value + wider * low, value + wider * high


def coverage(trials: int) -> Found:
    """Coverage and mean width of each interval, by R, d, bias, and whether it lies outside the noise."""
    found = {}
    for outside, count, dimensions, bias in product((False, True), REPLICATES, DIMENSIONS, BIASES):
        weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), 500).astype(float)
        rng = np.random.default_rng(1000 * count + dimensions)
        ends: dict[str, list[tuple[float, float]]] = {name: [] for name in TRUTHS}
        for _ in range(trials):
            gram = gram_of(rng, count, dimensions, bias, outside)
            ends["old"].append(old_interval(gram, weights))
            for name, make in MAKERS.items():
                made = make(gram)
                ends[name].append((made.low, made.high))
        found[count, dimensions, bias, outside] = {
            name: share_and_width(np.array(ends[name]), TRUTHS[name](bias)) for name in ends
        }
    return found


MAKERS = {"bias²": with_interval, "variance": variance_with_interval, "MSE": mse_with_interval}
TRUTHS = {
    "old": lambda bias: bias**2,
    "bias²": lambda bias: bias**2,
    "variance": lambda bias: DEVIATION**2,
    "MSE": lambda bias: bias**2 + DEVIATION**2,
}


def share_and_width(ends: np.ndarray, truth: float) -> tuple[float, float]:
    inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return float(inside.mean()), float((ends[:, 1] - ends[:, 0]).mean())


def print_coverage(found: Found) -> None:
    for outside, where in ((False, "in the noise's dimensions"), (True, "outside them")):
        print(f"\n### The bias lies {where}\n")
        print("| R | d | bias | bias², old | width | bias² | width | variance | MSE |")
        print("|---|---|---|---|---|---|---|---|---|")
        for (count, dimensions, bias, other), row in found.items():
            if other == outside:
                old, new = row["old"], row["bias²"]
                rest = " | ".join(f"{row[name][0]:.3f}" for name in ("variance", "MSE"))
                both = f"{old[0]:.3f} | {old[1]:.4f} | {new[0]:.3f} | {new[1]:.4f}"
                print(f"| {count} | {dimensions} | {bias:g} | {both} | {rest} |")


def print_verdicts(trials: int) -> None:
    print("\n| d | distance² / margin | unbiased | biased | undecided | the number said decides |")
    print("|---|---|---|---|---|---|")
    for dimensions in DIMENSIONS:
        for factor in (0.5, 1.0, 2.0):
            rng, labels, decided, said = np.random.default_rng(dimensions), [], 0, 0
            for _ in range(trials):
                gram = gram_of(rng, 8, dimensions, math.sqrt(factor * MARGIN), False)
                first = verdict(with_interval(gram), NOT_NEARER, margin=MARGIN, noise=spread(gram))
                labels.append(first.label)
                if first.replicates_needed is not None and factor != 1 and said < trials // 4:
                    said += 1
                    needed = first.replicates_needed
                    more = gram_of(rng, min(needed, 3000), dimensions, math.sqrt(factor * MARGIN), False)
                    again = verdict(with_interval(more), NOT_NEARER, margin=MARGIN, noise=spread(more))
                    decided += again.label == ("unbiased" if factor < 1 else "biased")
            shares = [labels.count(one) / trials for one in ("unbiased", "biased", "undecided")]
            share = f"{decided / said:.2f}" if said else "-"
            print(
                f"| {dimensions} | {factor:g} | " + " | ".join(f"{x:.3f}" for x in shares) + f" | {share} |"
            )


def print_worlds(trials: int) -> None:
    print("\n| W | normal, cv .1 | log-normal, σ .5 | log-normal, σ 1 |")
    print("|---|---|---|---|")
    laws = {
        "normal": (lambda rng, n: rng.normal(1, 0.1, n), 1.0),
        "skew": (lambda rng, n: rng.lognormal(0, 0.5, n), math.exp(0.125)),
        "very skew": (lambda rng, n: rng.lognormal(0, 1.0, n), math.exp(0.5)),
    }
    for count in (2, 3, 5, 8, 20):
        shares = []
        for draw, truth in laws.values():
            rng, inside = np.random.default_rng(count), 0
            for _ in range(10 * trials):
                made = over_worlds(draw(rng, count))
                inside += made.low <= truth <= made.high
            shares.append(f"{inside / (10 * trials):.3f}")
        print(f"| {count} | {' | '.join(shares)} |")


def print_best(trials: int) -> None:
    print("\n| units | estimators | the best is kept | a clearly worse one (2 σ of a difference) is kept |")
    print("|---|---|---|---|")
    for units in (3, 5, 8, 20):
        for many in (3, 10):
            rng, best, worse = np.random.default_rng(units * many), 0, 0
            mean = np.r_[np.zeros(many - 1), 2 * math.sqrt(2) * 0.01]
            for _ in range(trials):
                errors = mean[:, None] + rng.normal(0, 0.05, units) + rng.normal(0, 0.01, (many, units))
                kept = indistinguishable(errors)
                best, worse = best + kept[0], worse + kept[-1]
            print(f"| {units} | {many} | {best / trials:.3f} | {worse / trials:.3f} |")


def draw_figure(found: Found, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(BIASES), figsize=(7.2, 2.7), sharey=True, layout="constrained")
    looks = {"old": ("#D55E00", "first edition (bootstrap)"), "bias²": ("#0072B2", "now")}
    for axis, bias in zip(axes, BIASES, strict=True):
        axis.axhspan(0.93, 0.97, color="0.9", label=".93 to .97")
        axis.axhline(0.95, color="0.5", linewidth=0.8)
        for name, (colour, words) in looks.items():
            for dimensions, marker in zip(DIMENSIONS, "osD", strict=True):
                shares = [found[count, dimensions, bias, False][name][0] for count in REPLICATES]
                label = f"{words}, d = {dimensions}"
                axis.plot(
                    REPLICATES, shares, marker=marker, markersize=4, color=colour, linewidth=1, label=label
                )
        axis.set(xscale="log", xlabel="replicates", title=f"bias {bias:g}", ylim=(0.86, 1.005))
        axis.set_xticks(REPLICATES, [str(count) for count in REPLICATES])
        axis.minorticks_off()
    axes[0].set_ylabel("coverage (nominal .95)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    print("## Coverage of 95 % intervals")
    found = coverage(options.trials)
    print_coverage(found)
    print("\n## The verdict at 8 replicates")
    print_verdicts(options.trials)
    print("\n## Coverage of Student's interval over W worlds")
    print_worlds(options.trials)
    print("\n## Who cannot be told from the best")
    print_best(options.trials)
    if options.figure is not None:
        draw_figure(found, options.figure)


if __name__ == "__main__":
    main()
