"""The conformance kit: tests that an estimator keeps to the contract, and looks at nothing but its log.

The contract is tested on small worlds. Whether it looks elsewhere is tested at the size of a study, in a trap
(:mod:`simbench.study.trap`): one from outside runs there in a process of its own.
"""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.study.guests.kinds import Guest
from simbench.study.guests.process import GuestError
from simbench.study.trap import GAIN, Bait, cell_of, error_of, spring, world_for
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


def examine(kind: type[Estimator], name: str, size: int | None = None) -> list[Finding]:
    """Test an estimator against every requirement.

    Parameters
    ----------
    kind : type of Estimator
    name : str
        Name of the estimator in the findings.
    size : int, optional
        Size of the log in the trap; by default that of a study, with the shipped hyper-parameters.

    Returns
    -------
    list of Finding
        One for each requirement; an exception that a test raises fails it, and is the detail.
    """
    trap = Trap(kind, size)
    requirements: dict[str, Callable[[], str]] = {
        "same seed, same predictions": lambda: _repeatable(kind),
        "a row's prediction does not depend on the others": lambda: _rowwise(kind),
        "a replicate alone equals itself among others": lambda: _alone(kind),
        "predictions do not change with a truth that was not told": trap.blind,
        "reaches for nothing but its log": trap.content,
        "is no better where it can know the seed": trap.without_luck,
        "ranks well where it is easy": lambda: _easy(kind),
    }
    findings = []
    for requirement, test in requirements.items():
        try:
            wrong = test()
        except GuestError as error:
            wrong = str(error)
        except Exception as error:  # whatever a stranger's code raises is its finding
            wrong = f"{type(error).__name__}: {error}"
        findings.append(Finding(name, requirement, not wrong, wrong or "ok"))
    return findings


class Trap:
    """An estimator in the trap; each bait is laid once.

    Parameters
    ----------
    kind : type of Estimator
    size : int or None
        See :func:`examine`.
    """

    def __init__(self, kind: type[Estimator], size: int | None):
        self.kind, self.size = kind, size
        self.is_told = "truth" in kind.needs  # and named for it
        self._sprung: dict[Bait, tuple[np.ndarray, list[str]]] = {}

    def blind(self) -> str:
        """Whether its predictions change with the truth."""
        if self.is_told:
            return ""
        before, after = (self._of(Bait(0, other, self.size))[0] for other in (False, True))
        return _difference(before, after, "with another truth, ")

    def content(self) -> str:
        """Whether its code reaches for more than its log."""
        return "; ".join(self._of(Bait(0, False, self.size))[1])

    def without_luck(self) -> str:
        """Whether it is far better in the world of a known seed than in that of a secret one."""
        if self.is_told:
            return ""
        errors = []
        for seed in (0, secrets.randbits(62)):
            bait = Bait(seed, False, self.size)
            cell = cell_of(self.kind, bait)
            test = build(cell.world, cell.bias_level, cell.size, seed).test
            errors.append(error_of(self.kind, self._of(bait)[0], test))
        known, secret = errors
        if known >= GAIN * secret:
            return ""
        return f"its error is {known:.3g} at seed 0, and {secret:.3g} at a seed that nobody knows"

    def _of(self, bait: Bait) -> tuple[np.ndarray, list[str]]:
        if bait not in self._sprung:
            kind = self.kind
            found = kind.trapped(asdict(bait)) if issubclass(kind, Guest) else spring(kind, bait)
            self._sprung[bait] = found
        return self._sprung[bait]


def _short(kind: type[Estimator], **more: Any) -> Estimator:
    """An instance that trains for few epochs, if it has epochs."""
    parameters = kind().get_params()
    chosen = {"epochs": 3, **more}
    return kind(**{key: value for key, value in chosen.items() if key in parameters})


def _situation(
    kind: type[Estimator], bias_level: float = 1.0, size: int = 600, **changes: Any
) -> tuple[World, FeedbackLog]:
    """A small world and its log, with the true propensity, class prior and misclick rate granted."""
    world = build(world_for(kind, signals=2, test_size=200, **changes), bias_level, size, 0)
    log, truth = world.draw(range(3))
    return world, replace(
        log, propensity=truth.propensity, class_prior=truth.mean_of_shown(truth.reward), misclick=0.0
    )


def _repeatable(kind: type[Estimator]) -> str:
    world, log = _situation(kind)
    first, second = (_short(kind).fit_replicates(log).predict(world.test.features) for _ in range(2))
    return _difference(first, second)


def _rowwise(kind: type[Estimator]) -> str:
    world, log = _situation(kind)
    model, x = _short(kind).fit_replicates(log), world.test.features
    whole = model.predict(x)
    order = np.random.default_rng(0).permutation(len(x))
    by_seven = np.concatenate([model.predict(x[i : i + 7]) for i in range(0, len(x), 7)], axis=1)
    return _difference(whole[:, order], model.predict(x[order])) or _difference(whole, by_seven)


def _alone(kind: type[Estimator]) -> str:
    world, log = _situation(kind)
    together = _short(kind).fit_replicates(log, range(3)).predict(world.test.features)
    second = _short(kind).fit_replicates(log.replicates(slice(1, 2)), range(1, 2))
    return _difference(together[1:2], second.predict(world.test.features))


def _easy(kind: type[Estimator]) -> str:
    world, log = _situation(kind, 0.0, 4000, action_rate=0.95)
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
