"""Estimates of the class prior where it is known: what each method finds, and where it fails.

python benchmarks/class_prior.py > benchmarks/class_prior.md
"""

import time
from collections.abc import Iterator

import numpy as np
from scipy.special import expit
from simbench_estimators.class_prior import METHODS, estimated_prior

from simbench.log.feedback import FeedbackLog
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

SEEDS, SIZE = range(5), 6000


def clusters(rng: np.random.Generator, prior: float, apart: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, 3) and which responses are good."""
    good = rng.random(SIZE) < prior
    return rng.normal(size=(SIZE, 3)) + apart * good[:, None], good


def scar(seed: int, prior: float, frequency: float, apart: float = 6.0) -> tuple[FeedbackLog, float]:
    rng = np.random.default_rng(seed)
    features, good = clusters(rng, prior, apart)
    return logged(features, good & (rng.random(SIZE) < frequency)), prior


def unsure(seed: int, low: float, high: float) -> tuple[FeedbackLog, float]:
    """The reward lies between ``low`` and ``high``: no response is surely good."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(SIZE, 3))
    reward = low + (high - low) * expit(3 * features[:, 0])
    return logged(features, rng.random(SIZE) < 0.4 * reward), reward.mean()


def selected(seed: int, prior: float) -> tuple[FeedbackLog, float]:
    """SAR: users act on the good with a frequency from .1 to .8 that rises along a feature."""
    rng = np.random.default_rng(seed)
    features, good = clusters(rng, prior)
    frequency = 0.1 + 0.7 * expit(3 * (features[:, 0] - 6 * good))
    return logged(features, good & (rng.random(SIZE) < frequency)), prior


def world(seed: int, name: str, level: float) -> tuple[FeedbackLog, float]:
    """A preset, whose rewards are seldom certain."""
    built = build(PRESETS[name], level, SIZE, seed)
    log, truth = built.draw(range(1))
    return log, truth.reward.mean()


def logged(features: np.ndarray, feedback: np.ndarray) -> FeedbackLog:
    return FeedbackLog(features.astype(np.float32), feedback[None].astype(np.float32), np.arange(SIZE))


CASES = {
    "SCAR, sure positives, c = .3": (scar, (0.2, 0.3)),
    "SCAR, sure positives, c = .6": (scar, (0.2, 0.6)),
    "SCAR, sure positives, c = .3, half are good": (scar, (0.5, 0.3)),
    "SCAR, sure positives, c = .6, half are good": (scar, (0.5, 0.6)),
    "SCAR, clusters that overlap, c = .6": (scar, (0.5, 0.6, 2.0)),
    "SCAR, no sure positives: γ from .1 to .9": (unsure, (0.1, 0.9)),
    "SCAR, no sure positives: γ from .1 to .6": (unsure, (0.1, 0.6)),
    "SAR: sure positives, acted on with .1 to .8 along a feature": (selected, (0.5,)),
    "world exclusive, bias level 0": (world, ("exclusive", 0.0)),
    "world exclusive, bias level 1": (world, ("exclusive", 1.0)),
    "world shared, bias level 2": (world, ("shared", 2.0)),
    "world rating, bias level .7": (world, ("rating", 0.7)),
}


INTRODUCTION = """\
seeds; wrong by more than .1 in **bold**. Sure positives: a cluster of good and one of bad responses, 6
standard deviations apart in each of 3 features (overlap: 2 apart)."""

READING = """\
Where some responses are surely good and everyone acts alike, all three are near; TIcE is a lower bound
of c, so its π is too large by design. Without sure positives the prior is not identified, and all are
too large, KM2 least. Under SAR the clicked responses are those that users act on, not the good ones:
too small. The worlds of simbench have few sure positives, and TIcE, which cuts one of 32 features at a
time, finds none of them in `exclusive`. An estimated prior is a row of its own, never a stand-in."""


def lines() -> Iterator[str]:
    yield "# Estimating the class prior"
    yield ""
    yield f"`python benchmarks/class_prior.py`: {SIZE:,} responses, mean ± standard deviation, {len(SEEDS)}"
    yield INTRODUCTION
    yield ""
    yield "| log | true π | " + " | ".join(METHODS) + " |"
    yield "|---" * (2 + len(METHODS)) + "|"
    seconds = dict.fromkeys(METHODS, 0.0)
    for name, (draw, arguments) in CASES.items():
        logs, priors = zip(*(draw(seed, *arguments) for seed in SEEDS), strict=True)
        cells = []
        for method in METHODS:
            start = time.perf_counter()
            found = [estimated_prior(method, log, seed)[0] for log, seed in zip(logs, SEEDS, strict=True)]
            seconds[method] += time.perf_counter() - start
            text = f"{np.mean(found):.3f} ± {np.std(found, ddof=1):.3f}"
            is_wrong = abs(np.mean(found) - np.mean(priors)) > 0.1
            cells.append(f"**{text}**" if is_wrong else text)
        yield f"| {name} | {np.mean(priors):.3f} | " + " | ".join(cells) + " |"
    each = (f"{name} {total / len(SEEDS) / len(CASES):.2f} s" for name, total in seconds.items())
    yield ""
    yield f"Time a log: {', '.join(each)}."
    yield ""
    yield READING


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
