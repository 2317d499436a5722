"""Ordinal ratings: how they depend on the response, and how users act on the rating that is drawn.

Proportional odds (McCullagh, JRSS B 1980): ``P(t > level_k | x) = σ(s(x) + b_k)`` with one signal ``s``
and one intercept per level, solved so that every level has its share of the logged responses. So
``γ(x) = P(t > τ | x)`` is known exactly, and so are all propensities that follow from it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from simbench.worlds.config import OrdinalRatings
from simbench.worlds.laws import rating_law
from simbench.worlds.responses import intercept


@dataclass(frozen=True)
class RatedPopulation:
    """The distribution of ratings over n responses, and how users act on each of L levels.

    Parameters
    ----------
    exceeds : ndarray, shape (L - 1, n), float64
        ``P(t > level_k | x)``, decreasing in k.
    level_propensity : ndarray, shape (L,), float64 in (0, 1]
        ``α(t)``, the propensity at each level.
    good : ndarray, shape (L,), bool
        Whether ``t > τ`` at each level.
    """

    exceeds: np.ndarray
    level_propensity: np.ndarray
    good: np.ndarray

    def take(self, rows: np.ndarray) -> "RatedPopulation":
        """Return the population of some of the responses."""
        return RatedPopulation(self.exceeds[:, rows], self.level_propensity, self.good)

    @property
    def level_probability(self) -> np.ndarray:
        """Probability of every level, ``P(t | x)``, shape (L, n)."""
        n = self.exceeds.shape[1]
        return -np.diff(np.concatenate([np.ones((1, n)), self.exceeds, np.zeros((1, n))]), axis=0)

    @property
    def reward(self) -> np.ndarray:
        """True reward, ``γ(x) = P(t > τ | x)``, shape (n,)."""
        return self.exceeds[int((~self.good).sum()) - 1]

    @property
    def propensity_of_good(self) -> np.ndarray:
        """``P(a=1 | r*=1, x)``, the mean of ``α(t)`` over the good ratings, shape (n,)."""
        probability = self.level_probability[self.good]
        return self.level_propensity[self.good] @ probability / probability.sum(0)

    @property
    def action_probability(self) -> np.ndarray:
        """Probability of an action, ``P(a=1 | x)``, shape (n,)."""
        return self.level_propensity @ self.level_probability

    def drawn(self, uniform: np.ndarray) -> np.ndarray:
        """Return the index of the level that each response gets.

        Parameters
        ----------
        uniform : ndarray, shape (n,), in [0, 1)
            Uniform draws. A lower draw gives a higher rating, so that ``t > τ`` exactly if the draw is below
            ``γ``.
        """
        return (uniform < self.exceeds).sum(0)


def rate(
    ratings: OrdinalRatings,
    signal: np.ndarray,
    is_train: np.ndarray,
    bias_level: float,
    action_rate: float,
    capped: bool,
) -> RatedPopulation:
    """Return the distribution of ratings of all responses, and the law by which users act on them.

    Parameters
    ----------
    ratings : OrdinalRatings
        Levels, their shares, and the threshold.
    signal : ndarray, shape (n,)
        ``s(x)``.
    is_train : ndarray of bool, shape (n,)
        The logged responses, on which the shares are met, and the action rate too if ``capped``.
    bias_level : float in [0, 1)
        ``1 - κ``.
    action_rate : float in (0, 1)
        Mean propensity.
    capped : bool
        As in :func:`simbench.worlds.laws.rating_law`.
    """
    above = 1 - np.cumsum(ratings.shares)[:-1]
    exceeds = np.stack([expit(signal + intercept(signal[is_train], share)) for share in above])
    levels = np.array(ratings.levels)
    # a scale for the shares, not for one draw of ratings: the law is the same in every replicate
    alpha = rating_law(levels, bias_level, action_rate, np.array(ratings.shares), capped)
    return RatedPopulation(exceeds, alpha, levels > ratings.threshold)
