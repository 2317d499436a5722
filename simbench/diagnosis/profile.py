"""How wide is the set of mean rewards that the log does not rule out? The profile likelihood answers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simbench.estimator import Estimator
from simbench.log import FeedbackLog
from simbench.restarts import click_losses, indistinguishable
from simbench.streams import stream
from simbench.training import train

GRID = tuple(float(level) for level in np.round(np.arange(0.05, 1.0, 0.05), 2))
FOLDS = 4


@dataclass(frozen=True)
class Profile:
    """Likelihood of the log at its best under every mean reward, cross-fitted.

    Parameters
    ----------
    mean_reward : ndarray, shape (g,)
        That the fits were held to.
    loss : ndarray, shape (g,)
        Mean negative log-likelihood of feedback that the fit did not see.
    compatible : ndarray of bool, shape (g,)
        Not worse than the best beyond sampling error.
    """

    mean_reward: np.ndarray
    loss: np.ndarray
    compatible: np.ndarray

    @property
    def low(self) -> float:
        return float(self.mean_reward[self.compatible].min())

    @property
    def high(self) -> float:
        return float(self.mean_reward[self.compatible].max())

    @property
    def width(self) -> float:
        return self.high - self.low


def profile_likelihood(
    estimator: Estimator, log: FeedbackLog, grid: tuple[float, ...] = GRID, folds: int = FOLDS
) -> Profile:
    """Fit the log once for each mean reward, all in one stacked training a fold.

    Parameters
    ----------
    estimator : Estimator
        Of the ImplicitRM family: it holds the mean of ``γ̂`` to a class prior that it is told.
    log : FeedbackLog
        Of one replicate; mean rewards below its feedback rate are left out, as ``γ ≥ γα``.
    grid : tuple of float in (0, 1)
    folds : int

    Returns
    -------
    Profile
    """
    levels = np.array([level for level in grid if level > log.feedback.mean()])
    loss = np.empty((len(levels), log.n_rows))
    for seen, unseen in prompt_folds(log.groups, folds, estimator.get_params()["seed"]):
        part = log.rows(seen).replicates(np.zeros(len(levels), dtype=np.int64))
        model = train(estimator, replace(part, class_prior=levels), [0] * len(levels))
        loss[:, unseen] = click_losses(model, log, unseen, len(levels))[0]
    return Profile(levels, loss.mean(1), indistinguishable(loss[None])[0])


def prompt_folds(groups: np.ndarray, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows seen and unseen in each fold, by whole prompts; by rows where prompts are fewer than folds."""
    names, code = np.unique(groups, return_inverse=True)
    code, count = (code, len(names)) if len(names) >= folds else (np.arange(len(groups)), len(groups))
    fold = (stream(seed, "folds").permutation(count) % folds)[code]
    for number in range(folds):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)
