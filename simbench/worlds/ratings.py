"""Ordinal ratings: how they follow from a response, and how users act on the rating drawn.

Proportional odds (McCullagh, JRSS B 1980): ``P(t > level_k | x) = σ(s(x) + b_k)`` with one signal ``s``
and an intercept a level, solved so that every level has its share of the logged responses. So
``γ(x) = P(t > τ | x)`` is known exactly, and so is everything that the law makes of it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from simbench.worlds.config import OrdinalRatings
from simbench.worlds.laws import rating_law
from simbench.worlds.responses import intercept


@dataclass(frozen=True)
class RatedPopulation:
    """What ratings a population of n responses may get, and how users act on each of L levels.

    Parameters
    ----------
    exceeds : ndarray, shape (L - 1, n), float64
        ``P(t > level_k | x)``, falling in k.
    level_propensity : ndarray, shape (L,), float64 in (0, 1]
        ``α(t)``.
    good : ndarray, shape (L,), bool
        ``t > τ``.
    """

    exceeds: np.ndarray
    level_propensity: np.ndarray
    good: np.ndarray

    def take(self, rows: np.ndarray) -> "RatedPopulation":
        return RatedPopulation(self.exceeds[:, rows], self.level_propensity, self.good)

    @property
    def level_probability(self) -> np.ndarray:
        """``P(t | x)``, shape (L, n)."""
        n = self.exceeds.shape[1]
        return -np.diff(np.concatenate([np.ones((1, n)), self.exceeds, np.zeros((1, n))]), axis=0)

    @property
    def reward(self) -> np.ndarray:
        """``γ(x) = P(t > τ | x)``, shape (n,)."""
        return self.exceeds[int((~self.good).sum()) - 1]

    @property
    def propensity_of_good(self) -> np.ndarray:
        """``P(a=1 | r*=1, x)``, the mean of ``α(t)`` over the good ratings, shape (n,)."""
        probability = self.level_probability[self.good]
        return self.level_propensity[self.good] @ probability / probability.sum(0)

    @property
    def action_probability(self) -> np.ndarray:
        """``P(a=1 | x)``, shape (n,)."""
        return self.level_propensity @ self.level_probability

    def drawn(self, uniform: np.ndarray) -> np.ndarray:
        """Number of the level that each response gets, from uniform draws of shape (n,); the lower the draw
        the higher the rating, so that ``t > τ`` just where the draw lies below ``γ``."""
        return (uniform < self.exceeds).sum(0)


def rate(
    ratings: OrdinalRatings,
    signal: np.ndarray,
    is_train: np.ndarray,
    bias_level: float,
    action_rate: float,
    capped: bool,
) -> RatedPopulation:
    """Ratings of all responses, and the law by which users act on them.

    Parameters
    ----------
    ratings : OrdinalRatings
    signal : ndarray, shape (n,)
        ``s(x)``.
    is_train : ndarray of bool, shape (n,)
        The logged responses, on which shares and the action rate are met (uncapped, the latter is not).
    bias_level : float in [0, 1)
        ``1 - κ``.
    action_rate : float in (0, 1)
    capped : bool
    """
    above = 1 - np.cumsum(ratings.shares)[:-1]
    exceeds = np.stack([expit(signal + intercept(signal[is_train], share)) for share in above])
    levels = np.array(ratings.levels)
    # a scale for the shares, not for one draw of ratings: the law is the same in every replicate
    alpha = rating_law(levels, bias_level, action_rate, np.array(ratings.shares), capped)
    return RatedPopulation(exceeds, alpha, levels > ratings.threshold)
