"""How wide is the set of mean rewards that the log does not rule out? The profile likelihood answers."""

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
    """Likelihood of the log at its best under every mean reward, cross-fitted.

    Parameters
    ----------
    mean_reward : ndarray, shape (g,)
        That the fits were held to.
    loss : ndarray, shape (g,)
        Mean negative log-likelihood of feedback that the fit did not see.
    compatible : ndarray of bool, shape (g,)
        Not worse than the best beyond sampling error.
    rewards : ndarray, shape (g, k)
        ``γ̂`` on some rows of the log, by fits that did not see them.
    hidden : tuple of int
        Hidden layers of the fits; none: logistic heads.
    """

    mean_reward: np.ndarray
    loss: np.ndarray
    compatible: np.ndarray
    rewards: np.ndarray
    hidden: tuple[int, ...] = ()

    @property
    def low(self) -> float:
        """Half a step below the least compatible level of the grid: what lies between two is not tried."""
        return max(0.0, float(self.mean_reward[self.compatible].min()) - STEP / 2)

    @property
    def high(self) -> float:
        """Half a step above the largest."""
        return min(1.0, float(self.mean_reward[self.compatible].max()) + STEP / 2)

    @property
    def width(self) -> float:
        return round(self.high - self.low, 9)  # no rounding between steps of the grid

    @property
    def rank_agreement(self) -> float:
        """Smallest rank correlation of the rewards at two compatible levels."""
        return least_correlation(self.rewards[self.compatible])


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
