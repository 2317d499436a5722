"""How often the test that the context moves clicks says that it does: its level, and its power.

python benchmarks/context.py > benchmarks/context.md
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis.context import LEVEL, context_test
from simbench.training.threads import fixed_threads
from simbench.worlds.world import world

LOGS = 200
Change = Callable[[FeedbackLog, int], FeedbackLog]


def noise(log: FeedbackLog, seed: int) -> FeedbackLog:
    """The log with two columns of noise in place of its context."""
    drawn = np.random.default_rng(seed).standard_normal((log.n_rows, 2))
    return replace(log, context=drawn.astype(np.float32))


def noise_by_prompt(log: FeedbackLog, seed: int) -> FeedbackLog:
    """The same with noise that is constant within prompts, as users' activity is."""
    _, prompt = np.unique(log.groups, return_inverse=True)
    drawn = np.random.default_rng(seed).standard_normal((int(prompt.max()) + 1, 2))
    return replace(log, context=drawn.astype(np.float32)[prompt])


def as_logged(log: FeedbackLog, seed: int) -> FeedbackLog:
    """The log with its own context."""
    return log


ROWS: tuple[tuple[str, str, float, int, Change, dict[str, Any]], ...] = (
    ("`shared`, noise as context", "no", 2, 4000, noise, {"name": "shared"}),
    ("`shared`, noise by prompt", "no", 2, 4000, noise_by_prompt, {"name": "shared"}),
    ("`exclusive` at level 0", "no", 0, 4000, as_logged, {"name": "exclusive"}),
    ("`exclusive`, reward a network, noise", "no", 0, 4000, noise, {"name": "exclusive", "reward": "mlp"}),
    ("`exclusive`", "yes", 0.3, 4000, as_logged, {"name": "exclusive"}),
    ("`exclusive`", "yes", 0.8, 1000, as_logged, {"name": "exclusive"}),
    ("`exclusive`", "yes", 0.8, 4000, as_logged, {"name": "exclusive"}),
)


def share(level: float, size: int, change: Change, given: dict[str, Any]) -> tuple[float, float]:
    """Share of the logs whose p-value is at most the level of the test, and at most .1."""
    found = []
    for seed in range(1000, 1000 + LOGS):
        log, _ = world(bias_level=level, size=size, seed=seed, **given).draw(range(1))
        found.append(context_test(change(log, seed)).p_value)
    return float(np.mean(np.array(found) <= LEVEL)), float(np.mean(np.array(found) <= 0.1))


def main() -> None:
    """Print the page."""
    print("# Does the context move clicks?")
    print(f"""
Written by `python benchmarks/context.py`. `simbench diagnose` calls a reward identified on the strength of a
context only if a score test at level {LEVEL:g} shows that the context moves clicks, given the features. Here:
{LOGS} drawn worlds a row, one log each, seeds that were used for nothing else. Where the context moves
nothing, p-values of at most .01 and .1 should be as rare as that.

| world | the context moves clicks | bias level | responses | p ≤ {LEVEL:g} | p ≤ .1 |
|---|---|---:|---:|---:|---:|""")
    with fixed_threads():
        for name, moves, level, size, change, given in ROWS:
            at_level, at_tenth = share(level, size, change, given)
            shares = f"{at_level:.3f} | {at_tenth:.3f}"
            print(f"| {name} | {moves} | {level:g} | {size:,} | {shares} |", flush=True)
    print("""
The null model is linear on the scale of the logit. Where clicks depend on the features in another way, the
test stays valid for a context that is independent of the features, as here; a context that repeats what the
features hold in another form can pass for one that moves clicks.""")


if __name__ == "__main__":
    main()
