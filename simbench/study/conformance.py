"""The conformance kit: runs an estimator on a small world to test that it keeps to the contract.

A study hands an estimator a log and nothing else, but Python keeps no secrets: an estimator that looks into
its caller's variables finds the truth. So the study's own path is run twice, with the same log and different
truths: if the predictions change, the estimator has looked.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog, Truth
from simbench.study.cell import Cell, fit_cell
from simbench.study.grants import BASES
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import World, build

SAME = 1e-5  # in probability; float32 sums taken in another order
EASY_RANK = 0.5  # Spearman correlation with the reward where nearly everyone who likes a response clicks


@dataclass(frozen=True)
class Finding:
    """Whether an estimator or a behaviour meets one requirement; ``detail`` says why not, or ``ok``."""

    subject: str
    requirement: str
    passed: bool
    detail: str


class OtherTruth(World):
    """A world that draws the same log, with a truth that has nothing to do with it."""

    def draw(self, replicates: range) -> tuple[FeedbackLog, Truth]:
        """The world's log, and a truth drawn without regard to it."""
        log, truth = super().draw(replicates)
        rng = np.random.default_rng(1)
        reward, propensity = rng.uniform(0.05, 0.95, (2, len(truth.reward)))
        return log, Truth(reward, propensity, rng.random(truth.preference.shape) < reward)


class OtherPreference(World):
    """A world that draws the same log with the same propensity, but permutes which responses are good."""

    def draw(self, replicates: range) -> tuple[FeedbackLog, Truth]:
        """The world's log, and its truth with rewards and preferences permuted over the responses."""
        log, truth = super().draw(replicates)
        order = np.random.default_rng(1).permutation(len(truth.reward))
        return log, Truth(truth.reward[order], truth.propensity, truth.preference[:, order])


def examine(kind: type[Estimator], name: str) -> list[Finding]:
    """Test an estimator against every requirement, on a small world.

    Parameters
    ----------
    kind : type of Estimator
    name : str
        Name of the estimator in the findings.

    Returns
    -------
    list of Finding
        One for each requirement; an exception that a test raises fails it, and is the detail.
    """
    requirements: dict[str, Callable[[type[Estimator]], str]] = {
        "same seed, same predictions": _repeatable,
        "a row's prediction does not depend on the others": _rowwise,
        "a replicate alone equals itself among others": _alone,
        "predictions do not change with a truth that was not told": _blind,
        "ranks well where it is easy": _easy,
    }
    findings = []
    for requirement, test in requirements.items():
        try:
            wrong = test(kind)
        except Exception as error:  # whatever a stranger's code raises is its finding
            wrong = f"{type(error).__name__}: {error}"
        findings.append(Finding(name, requirement, not wrong, wrong or "ok"))
    return findings


def _short(kind: type[Estimator], **more: Any) -> Estimator:
    """An instance that trains for few epochs, if it has epochs."""
    parameters = kind().get_params()
    chosen = {"epochs": 3, **more}
    return kind(**{key: value for key, value in chosen.items() if key in parameters})


def _situation(bias_level: float = 1.0, size: int = 600, **changes: Any) -> tuple[World, FeedbackLog]:
    """A small world and its log, with the true propensity, class prior and misclick rate granted."""
    world = build(
        PRESETS["exclusive"].changed(test_size=200, signals=2, **changes),
        bias_level,
        size,
        0,
    )
    log, truth = world.draw(range(3))
    return world, replace(
        log, propensity=truth.propensity, class_prior=float(truth.reward.mean()), misclick=0.0
    )


def _repeatable(kind: type[Estimator]) -> str:
    world, log = _situation()
    first, second = (_short(kind).fit_replicates(log).predict(world.test.features) for _ in range(2))
    return _difference(first, second)


def _rowwise(kind: type[Estimator]) -> str:
    world, log = _situation()
    model, x = _short(kind).fit_replicates(log), world.test.features
    whole = model.predict(x)
    order = np.random.default_rng(0).permutation(len(x))
    by_seven = np.concatenate([model.predict(x[i : i + 7]) for i in range(0, len(x), 7)], axis=1)
    return _difference(whole[:, order], model.predict(x[order])) or _difference(whole, by_seven)


def _alone(kind: type[Estimator]) -> str:
    world, log = _situation()
    together = _short(kind).fit_replicates(log, range(3)).predict(world.test.features)
    second = _short(kind).fit_replicates(log.replicates(slice(1, 2)), range(1, 2))
    return _difference(together[1:2], second.predict(world.test.features))


def _blind(kind: type[Estimator]) -> str:
    if "truth" in kind.needs:
        return ""  # it is told, and named for it
    world, _ = _situation()
    needed = tuple(base for base in BASES if base in kind.needs)
    cell = Cell(
        world=world.config,
        bias_level=world.bias_level,
        size=len(world.train.reward),
        estimator=kind.name,
        parameters={"epochs": 3} if "epochs" in kind().get_params() else {},
        replicates=3,
        seed=0,
        grant=needed,
        label_share=0.05,
        device="cpu",
    )
    # what must be told is part of the truth, and stays
    other = (OtherPreference if needed else OtherTruth)(**vars(world))
    before, after = (fit_cell(cell, kind, there)[0] for there in (world, other))
    return _difference(before, after, "with another truth, ")


def _easy(kind: type[Estimator]) -> str:
    world, log = _situation(0.0, 4000, action_rate=0.95)
    if "truth" in kind.needs:
        _, truth = world.draw(range(3))
        log = log.with_feedback(truth.preference.astype(np.float32))
    found = _short(kind, epochs=30).fit_replicates(log).predict(world.test.features)
    ranks = [float(spearmanr(row, world.test.reward).statistic) if np.ptp(row) else 0.0 for row in found]
    worst = min(ranks)
    return "" if worst > EASY_RANK else f"rank correlation with the reward {worst:.2f}, not above {EASY_RANK}"


def _difference(first: np.ndarray, second: np.ndarray, when: str = "") -> str:
    if first.shape != second.shape:
        return f"{when}shapes {first.shape} and {second.shape}"
    largest = float(np.abs(first - second).max())
    return "" if largest <= SAME else f"{when}predictions differ by up to {largest:.2g}"
