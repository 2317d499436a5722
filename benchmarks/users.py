"""Do intervals hold for other users? Coverage of 90 % intervals by rows and by user, in a study over users.

python benchmarks/users.py > benchmarks/users.md
"""

import sys
import time
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from scipy.stats import binom

from simbench.log.feedback import FeedbackLog
from simbench.reward.intervals import Intervals, at_estimate, maximum_likelihood, model_at
from simbench.worlds.config import WorldConfig
from simbench.worlds.users import Users
from simbench.worlds.world import World, build

LOGS, PART = 200, 50  # simulated, and fitted at once
LEVEL, BIAS_LEVEL, SIZE, POINTS = 0.9, 1.0, 4000, 300
WORLD = WorldConfig().changed(n_features=8, test_size=1000)
SITUATIONS = {
    "all alike": Users(pages_per_user=10),
    "activity .7": Users(pages_per_user=10, activity=0.7),
    "leniency .7": Users(pages_per_user=10, leniency=0.7),
    "leniency 1": Users(pages_per_user=10, leniency=1.0),
    "activity and leniency .7": Users(pages_per_user=10, activity=0.7, leniency=0.7),
    "leniency 1, one page a user": Users(pages_per_user=1, leniency=1.0),
}
HEADER = """# Intervals over users

Written by `python benchmarks/users.py` (torch {torch}).

World `exclusive` with 8 features, {size:,} responses on pages of 5, 10 pages a user unless said: {users}
users, drawn anew in each of {logs} logs, with effects of the stated standard deviation on the logit of
propensity or reward. Logistic heads, propensity known (its mean over users). Share of 90 % intervals that
hold the mean reward over *all* users, and the reward of one response; in brackets 95 % over logs.

| users | mean reward, by rows | by user | one reward, by rows | by user | width by user / by rows |
|---|---|---|---|---|---|"""


def main() -> None:
    users = SIZE // WORLD.responses.responses_per_prompt // 10
    print(HEADER.format(torch=version("torch"), size=SIZE, users=users, logs=LOGS), flush=True)
    for name, users in SITUATIONS.items():
        print(row(name, users), flush=True)


def row(name: str, users: Users) -> str:
    """A row of the table."""
    start = time.perf_counter()
    world = build(WORLD.changed(users=users), BIAS_LEVEL, SIZE, 0)
    by_rows, by_user = np.array(
        [pair for part in range(0, LOGS, PART) for pair in covered(world, part)]
    ).swapaxes(0, 1)
    print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    cells = [_share(values[:, 0]) for values in (by_rows, by_user)]
    cells += [f"{values[:, 1].mean():.3f}" for values in (by_rows, by_user)]
    return f"| {name} | {' | '.join(cells)} | {by_user[:, 2].mean() / by_rows[:, 2].mean():.2f} |"


def covered(world: World, first: int) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """For each log, by rows and by user: whether the mean is covered, the share of rewards, and the width."""
    log, _ = world.draw(range(first, first + PART))
    log = replace(log, propensity=world.train.propensity)
    rewards = maximum_likelihood(log).predict(log.features)
    found = []
    for number, reward in enumerate(rewards):
        one = log.replicates(slice(number, number + 1))
        found.append(tuple(_one(world, each, reward) for each in (replace(one, user=None), one)))
    return found


def _one(world: World, log: FeedbackLog, reward: np.ndarray) -> tuple[float, ...]:
    inputs, truth = np.asarray(world.test.features)[:POINTS], world.test.reward[:POINTS]
    assert log.propensity is not None
    found: Intervals = at_estimate(model_at(log, reward, log.propensity), log, inputs, LEVEL)
    mean = float(world.train.reward.mean())
    inside = (found.low <= truth) & (truth <= found.high)
    return (found.mean_low <= mean <= found.mean_high, inside.mean(), found.mean_high - found.mean_low)


def _share(covered: np.ndarray) -> str:
    low, high = binom.interval(0.95, len(covered), min(covered.mean(), 1 - 1e-9)) / np.array(len(covered))
    return f"{covered.mean():.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
