"""Finds the mean rewards that a log does not rule out, by the profile likelihood."""

from dataclasses import dataclass, replace

import numpy as np

from simbench.estimator.estimator import Estimator
from simbench.files.matrix import take_rows
from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis.cross_fit import FOLDS, prompt_folds
from simbench.streams import stream
from simbench.training.restarts import ROWS, click_losses, indistinguishable, least_correlation
from simbench.training.train import train

STEP = 0.05
GRID = tuple(float(level) for level in np.round(np.arange(STEP, 1.0, STEP), 2))


@dataclass(frozen=True)
class Profile:
    """The cross-fitted likelihood of a log, maximised at every mean reward.

    Parameters
    ----------
    mean_reward : ndarray, shape (g,)
        Mean rewards that the fits were held to.
    loss : ndarray, shape (g,)
        Mean negative log-likelihood, in nats a response, of feedback that the fit did not see.
    compatible : ndarray of bool, shape (g,)
        Whether the loss is no worse than the best one, beyond sampling error.
    rewards : ndarray, shape (g, k)
        ``γ̂`` on some rows of the log, by fits that did not see them.
    hidden : tuple of int
        Widths of the hidden layers of the fits; empty for logistic heads.
    """

    mean_reward: np.ndarray
    loss: np.ndarray
    compatible: np.ndarray
    rewards: np.ndarray
    hidden: tuple[int, ...] = ()

    @property
    def low(self) -> float:
        """Half a step of the grid below the lowest compatible mean reward: nothing between was tried."""
        return max(0.0, float(self.mean_reward[self.compatible].min()) - STEP / 2)

    @property
    def high(self) -> float:
        """Half a step of the grid above the highest compatible mean reward."""
        return min(1.0, float(self.mean_reward[self.compatible].max()) + STEP / 2)

    @property
    def width(self) -> float:
        """Width of the set of compatible mean rewards."""
        return round(self.high - self.low, 9)  # no rounding between steps of the grid

    @property
    def rank_agreement(self) -> float:
        """The smallest rank correlation of the rewards at two compatible mean rewards."""
        return least_correlation(self.rewards[self.compatible])


def profile_likelihood(
    estimator: Estimator, log: FeedbackLog, grid: tuple[float, ...] = GRID, folds: int = FOLDS
) -> Profile:
    """Fit a log once for each mean reward; in each fold, all of them train in one stack.

    Parameters
    ----------
    estimator : Estimator
        One of the ImplicitRM family, which holds the mean of ``γ̂`` to the class prior that it is told.
    log : FeedbackLog
        A log of one replicate; mean rewards below its feedback rate are left out, as ``γ ≥ γα``.
    grid : tuple of float in (0, 1)
        Mean rewards to try.
    folds : int

    Returns
    -------
    Profile
    """
    levels = np.array([level for level in grid if level > log.feedback.mean()])
    loss = np.empty((len(levels), log.n_rows))
    seed = estimator.get_params()["seed"]
    compared = np.sort(stream(seed, "compared rows").permutation(log.n_rows)[:ROWS])
    rewards = np.empty((len(levels), len(compared)))
    for seen, unseen in prompt_folds(log.groups, folds, seed):
        part = log.rows(seen).replicates(np.zeros(len(levels), dtype=np.int64))
        model = train(estimator, replace(part, class_prior=levels), [0] * len(levels))
        loss[:, unseen] = click_losses(model, log, unseen, len(levels))[0]
        here = np.isin(compared, unseen)
        rewards[:, here] = model.predict(take_rows(log.features, compared[here]))
    hidden = tuple(estimator.get_params()["hidden"])
    return Profile(levels, loss.mean(1), indistinguishable(loss[None])[0], rewards, hidden)
