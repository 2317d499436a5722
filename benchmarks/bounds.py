"""What holds where the reward is not identified: coverage of bounds and of means by labels.

python benchmarks/bounds.py > benchmarks/bounds.md
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from simbench.log.feedback import FeedbackLog, Truth
from simbench.reward.bounds.bounds import LEVEL, Bounds, bounds_of
from simbench.reward.bounds.busiest import busiest
from simbench.reward.bounds.click_fits import click_estimator, click_fits
from simbench.reward.bounds.pairs import decided_pairs, decided_share
from simbench.reward.bounds.sensitivity import Sensitivity
from simbench.reward.clustered import Mean, clusters_of
from simbench.reward.labels.choose import draw_labels, label_probabilities
from simbench.reward.labels.powered import powered_mean
from simbench.reward.labels.predict import unseen_rewards
from simbench.streams import stream
from simbench.training.threads import fixed_threads
from simbench.worlds.world import world

WORLDS, LOGS = 20, 10  # logs of each world
POPULATION, PROMPTS = 20_000, 400  # responses of a world, prompts of a log (five responses each)
HEADS: dict[str, Any] = {"hidden": (), "lr": 0.05, "batch_size": 1000}
FOLDS = 5
LABELS, DRAWS = (100, 200, 400), 10
Case = tuple[FeedbackLog, Truth, np.ndarray, float]


def logs(name: str, level: float, **changes: Any) -> Iterator[Case]:
    """Logs of prompts drawn from worlds, their rows there, and the mean reward of each world."""
    for number in range(WORLDS):
        built = world(name, bias_level=level, size=POPULATION, seed=5000 + number, **changes)
        for replicate in range(LOGS):
            log, truth = built.draw(range(replicate, replicate + 1))
            prompts = stream(number, "prompts", replicate).permutation(np.unique(log.groups))[:PROMPTS]
            rows = np.flatnonzero(np.isin(log.groups, prompts))
            yield log.rows(rows), truth, rows, float(truth.reward.mean())


def of_bounds(name: str, level: float, leasts: tuple[float, ...], **changes: Any) -> np.ndarray:
    """What :func:`examined` finds for each least propensity and log, by the same click fits."""
    found = []
    for log, truth, rows, mean in logs(name, level, **changes):
        estimator = click_estimator(HEADS)
        (clicks,) = click_fits(estimator, log, FOLDS)
        there = None if log.context is None else busiest(estimator, log, FOLDS)
        given = [bounds_of(log, least, clicks, there, LEVEL) for least in leasts]
        found.append([examined(one, truth.reward[rows], mean) for one in given])
    return np.array(found, dtype=float).swapaxes(0, 1)


def examined(given: Bounds, reward: np.ndarray, mean: float) -> list[float]:
    """Do the intervals cover, by clicks and by context; their widths; single responses; pairs."""
    sets = [given.mean, given.sharpest]
    covers = [low <= mean <= high for low, high in (one.interval() for one in sets)]
    width = [one.high.value - one.low.value for one in sets]
    single = ((given.low_limit <= reward) & (reward <= given.high_limit)).mean()
    pairs = decided_pairs(given.low_limit, given.high_limit, given.groups)
    wrong = (reward[pairs.better] <= reward[pairs.worse]).sum()
    share = decided_share(given.low, given.high, given.groups)
    return [*covers, *width, given.refuted, single, share, len(pairs), wrong]


def of_sensitivity(factor: float) -> np.ndarray:
    """For each log: does the set at Γ = 1 and at Γ = the true factor cover the mean reward?"""
    found = []
    for log, truth, rows, mean in logs("shared", 0.8, action_rate=0.6):
        alpha, reward = truth.propensity[rows], truth.reward[rows]
        shift = np.where(reward > np.median(reward), 1 / factor, factor)  # the worst: against the reward
        odds = alpha / (1 - alpha) * shift
        clicks = (truth.reward * truth.propensity)[rows]
        centre = Sensitivity.of(log, clicks, odds / (1 + odds))
        sets = [centre.mean(gamma) for gamma in (1.0, factor)]
        found.append([low <= mean <= high for low, high in (one.interval() for one in sets)])
    return np.array(found, dtype=float)


def of_labels(name: str, level: float, **changes: Any) -> dict[tuple[str, int], np.ndarray]:
    """For each way of labelling and number of labels: coverage, and squared error, of each log."""
    found: dict[tuple[str, int], list[list[float]]] = {}
    for number, (log, truth, rows, _) in enumerate(logs(name, level, **changes)):
        good = truth.preference[0, rows].astype(float)
        target = float(truth.reward.mean())
        _, posterior = unseen_rewards(log, **HEADS, seed=number)
        predictions, clusters = np.column_stack([posterior, log.feedback[0]]), clusters_of(log)
        for count in LABELS:
            for way, mixed in (("at random", 1.0), ("where unsure", 0.3)):
                chance = label_probabilities(posterior, count, mixed)
                labels = [_some(good, chance, number * DRAWS + i) for i in range(DRAWS)]
                kept = [powered_mean(some, predictions, clusters, chance) for some in labels]
                _add(found, (way, count), [one.powered for one in kept], target, good.mean())
                if mixed == 1:
                    _add(found, (f"{way}, no", count), [one.alone for one in kept], target, good.mean())
    return {key: np.array(value, dtype=float) for key, value in found.items()}


def _add(found: dict, key: tuple[str, int], means: list[Mean], target: float, of_log: float) -> None:
    """A log's row: does the first draw's interval cover, its width, and the mean squared error of all."""
    low, high = means[0].interval()
    error = np.mean([(one.value - of_log) ** 2 for one in means])
    found.setdefault(key, []).append([low <= target <= high, error, high - low])


def _some(good: np.ndarray, chance: np.ndarray, seed: int) -> np.ndarray:
    return np.where(draw_labels(chance, seed), good, np.nan)


def share(values: np.ndarray) -> str:
    """A mean over logs with its Monte Carlo error, worlds as units."""
    by_world = values.reshape(WORLDS, -1).mean(1)
    return f"{by_world.mean():.3f} ± {by_world.std(ddof=1) / np.sqrt(WORLDS):.3f}"


ROWS: tuple[tuple[str, float, dict[str, Any], dict[float, str]], ...] = (
    ("shared", 0.8, {"action_rate": 0.6}, {0.1: "`shared`, action rate .6"}),
    ("exclusive", 2.0, {}, {0.25: "`exclusive`", 0.6: "`exclusive`, wrong premise: a > α"}),
    ("confounded", 2.0, {}, {0.25: "`confounded`, wrong premise: context moves γ"}),
)


def main() -> None:
    """Print the page."""
    with fixed_threads():
        for printed in (_bounds, _sensitivity, _labels):
            printed()


def _bounds() -> None:
    print(f"""# Bounds, sensitivity and labels

Written by `python benchmarks/bounds.py`. {WORLDS * LOGS} logs a row: {LOGS} of each of {WORLDS} worlds,
each of {PROMPTS} prompts of five responses drawn from {POPULATION:,}; what is to be covered is the
mean true reward of all of these. ± is the Monte Carlo error, worlds as units. Logistic heads, {FOLDS}
folds, level .95.

## Bounds of the mean reward

Coverage by clicks alone, and if the context moves only the propensity; widths of the estimated sets.

| world | level | a | covers: clicks | covers: context | width | width | refuted |
|---|---:|---:|---:|---:|---:|---:|---:|""")
    singles = []
    for name, level, changes, said in ROWS:
        for (least, words), v in zip(
            said.items(), of_bounds(name, level, tuple(said), **changes), strict=True
        ):
            print(
                f"| {words} | {level:g} | {least:g} | {share(v[:, 0])} | {share(v[:, 1])} | "
                f"{v[:, 2].mean():.3f} | {v[:, 3].mean():.3f} | {v[:, 4].mean():.3f} |",
                flush=True,
            )
            wrong = v[:, 8].sum() / max(v[:, 7].sum(), 1)
            singles.append(
                f"| {words} | {share(v[:, 5])} | {v[:, 6].mean():.3f} | {v[:, 7].mean():.1f} | {wrong:.4f} |"
            )
    print("""
## Single responses, and pairs of one prompt

"Sure" pairs: their order is decided by the estimates (share of all pairs), and beyond sampling error (number
in a log); of these, the share in the wrong order.

| world | limits cover the reward | sure | beyond error | wrong |
|---|---:|---:|---:|---:|""")
    print("\n".join(singles))


def _sensitivity() -> None:
    print("""
## Sensitivity

`shared`, action rate .6, level .8; the propensity in the middle is wrong by the factor in its odds, up for
half of the responses and down for the other half, by their reward.

| factor of the odds | set at Γ = 1 covers | set at Γ = the factor covers |
|---:|---:|---:|""")
    for factor in (1.5, 2.0, 3.0):
        v = of_sensitivity(factor)
        print(f"| {factor:g} | {share(v[:, 0])} | {share(v[:, 1])} |", flush=True)


def _labels() -> None:
    print(f"""
## A few labels

Mean reward by labels, with or without predictions. The RMSE is about the log's own mean preference, over
{DRAWS} draws of labels a log. "Worth": how many labels drawn at random, without predictions, err as
little.""")
    for name, level, changes in (("exclusive", 2.0, {}), ("shared", 0.8, {})):
        found = of_labels(name, level, **changes)
        print(f"""
`{name}`, bias level {level:g}:

| drawn | predictions | labels | covers | width | RMSE | worth |
|---|---|---:|---:|---:|---:|---:|""")
        for (said, count), v in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
            way, *alone = said.split(", ")
            base = found[("at random, no", count)][:, 1].mean()
            n = PROMPTS * 5  # without replacement: the error is 0 at all n responses
            ratio = v[:, 1].mean() / base * (1 / count - 1 / n)
            print(
                f"| {way} | {'no' if alone else 'yes'} | {count} | {share(v[:, 0])} | {v[:, 2].mean():.3f} | "
                f"{np.sqrt(v[:, 1].mean()):.4f} | {1 / (ratio + 1 / n):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
