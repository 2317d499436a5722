"""Do 90 % intervals cover the true reward in 90 % of logs?

python benchmarks/coverage.py > benchmarks/coverage.md
"""

import sys
import time
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from scipy.stats import binom

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.reward.intervals import (
    at_estimate,
    bootstrap_intervals,
    information_intervals,
    maximum_likelihood,
    model_at,
)
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import World, build

LOGS, PART = 500, 50  # simulated, and fitted at once
LEVEL = 0.9
POINTS = 500
SITUATIONS = [(1.0, 4000, True), (2.0, 4000, True), (2.0, 10_000, False)]
MLP_LOGS, RESAMPLES = 40, 100
REFUSALS = [("shared", 0.0), ("shared", 2.0), ("exclusive", 2.0), ("confounded", 2.0)]
REFUSAL_LOGS, REFUSAL_SIZE = 20, 4000
WORLD = WorldConfig().changed(n_features=8, test_size=1000)


REFUSAL_HEADER = """Refused or given where the propensity is unknown (4,000 responses, logistic heads);
and how many of the intervals given hold the true mean reward:

| world, bias level | refused | given and right |"""
HEADER = """# Coverage of 90 % intervals

Written by `python benchmarks/coverage.py`.

World `exclusive` with 8 features, logistic heads, {logs} logs (torch {torch}); intervals from the information
at the estimate, at {points} held-out responses. Brackets: 95 %, over logs.

| bias level | responses | propensity | one reward | mean reward | half width of the mean's |"""


def main() -> None:
    print(HEADER.format(logs=LOGS, points=POINTS, torch=version("torch")))
    print("|---|---|---|---|---|---|", flush=True)
    for situation in SITUATIONS:
        print(with_logistic_heads(*situation), flush=True)
    print(f"\n{with_networks()}", flush=True)
    print(f"\n{REFUSAL_HEADER}\n|---|---|---|", flush=True)
    for world, bias_level in REFUSALS:
        print(refusals(world, bias_level), flush=True)


def with_logistic_heads(bias_level: float, size: int, told: bool) -> str:
    """A row of the first table."""
    start = time.perf_counter()
    covered, mean_covered, half = coverage(bias_level, size, told)
    error = 1.96 * covered.std() / np.sqrt(LOGS)
    low, high = binom.interval(0.95, LOGS, mean_covered.mean()) if mean_covered.mean() < 1 else (LOGS, LOGS)
    print(f"{bias_level:g} {size} {told}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return (
        f"| {bias_level:g} | {size:,} | {'known' if told else 'unknown'} | {covered.mean():.3f} "
        f"[{covered.mean() - error:.3f}, {covered.mean() + error:.3f}] | {mean_covered.mean():.3f} "
        f"[{low / LOGS:.3f}, {high / LOGS:.3f}] | {half:.3f} |"
    )


def with_networks() -> str:
    """A sentence on the bootstrap with the default networks."""
    covered, mean_covered, half = bootstrap_coverage()
    error, mean_error = (1.96 * values.std() / np.sqrt(MLP_LOGS) for values in (covered, mean_covered))
    return (
        f"MLP heads (8,000 responses, bias level 1, propensity known, {MLP_LOGS} logs, bootstrap of "
        f"{RESAMPLES}): one reward {covered.mean():.3f} ± {error:.3f}, mean {mean_covered.mean():.3f} ± "
        f"{mean_error:.3f}, half width of the mean's {half:.3f}."
    )


def refusals(name: str, bias_level: float) -> str:
    """How many logs of one world are refused; a row of the second table."""
    config = PRESETS[name].changed(n_features=8, test_size=1000)
    world = build(config, bias_level, REFUSAL_SIZE, 0)
    log, truth = world.draw(range(REFUSAL_LOGS))
    refused, right, mean = 0, 0, float(truth.reward.mean())
    for number in range(REFUSAL_LOGS):
        try:
            found = information_intervals(log.replicates(slice(number, number + 1)), world.test.features)
            right += found.mean_low <= mean <= found.mean_high
        except BadInput:
            refused += 1
    return f"| {name}, {bias_level:g} | {refused} of {REFUSAL_LOGS} | {right} of {REFUSAL_LOGS - refused} |"


def bootstrap_coverage() -> tuple[np.ndarray, np.ndarray, float]:
    """As :func:`coverage`, of the parametric bootstrap with the default networks."""
    world = build(WORLD, 1.0, 8000, 0)
    log, truth = world.draw(range(MLP_LOGS))
    log = replace(log, propensity=truth.propensity)
    inputs, reward = world.test.features[:POINTS], world.test.reward[:POINTS]
    covered, mean_covered, widths = [], [], []
    for number in range(MLP_LOGS):
        one = log.replicates(slice(number, number + 1))
        found = bootstrap_intervals(find("implicitrm-known")(seed=number), one, inputs, LEVEL, RESAMPLES)
        covered.append(((found.low <= reward) & (reward <= found.high)).mean())
        mean_covered.append(found.mean_low <= truth.reward.mean() <= found.mean_high)
        widths.append((found.mean_high - found.mean_low) / 2)
    return np.array(covered), np.array(mean_covered, dtype=float), float(np.mean(widths))


def coverage(bias_level: float, size: int, told: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Share of covered responses and whether the mean is covered, (LOGS,) each; half width of the mean's."""
    world = build(WORLD, bias_level, size, 0)
    parts = [coverage_of(world, range(start, start + PART), told) for start in range(0, LOGS, PART)]
    covered, mean_covered, widths = (np.concatenate(values) for values in zip(*parts, strict=True))
    return covered, mean_covered, float(widths.mean())


def coverage_of(world: World, logs: range, told: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`coverage`, of some of the logs, all fitted at once; half widths too are of each log."""
    log, truth = world.draw(logs)
    if told:
        log = replace(log, propensity=truth.propensity)
    inputs, reward = world.test.features[:POINTS], world.test.reward[:POINTS]
    fitted = maximum_likelihood(log)
    rewards = fitted.predict(log.features)
    propensities = (
        np.broadcast_to(truth.propensity, rewards.shape) if told else fitted.predict_propensity(log.context)
    )
    covered, mean_covered, widths = [], [], []
    for number in range(len(logs)):
        one = log.replicates(slice(number, number + 1))
        found = at_estimate(model_at(one, rewards[number], propensities[number]), one, inputs, LEVEL)
        covered.append(((found.low <= reward) & (reward <= found.high)).mean())
        mean_covered.append(found.mean_low <= truth.reward.mean() <= found.mean_high)
        widths.append((found.mean_high - found.mean_low) / 2)
    print(f"{logs}, mean reward covered in {sum(mean_covered)}", file=sys.stderr, flush=True)
    return np.array(covered), np.array(mean_covered, dtype=float), np.array(widths)


if __name__ == "__main__":
    main()
