"""Ordinal ratings: how they depend on the response.

Proportional odds (McCullagh, JRSS B 1980): ``P(t > level_k | x) = σ(s(x) + b_k)`` with one signal ``s``
and one intercept per level, solved so that every level has its share of the logged responses. So
``γ(x) = P(t > τ | x)`` is known exactly, and so are all propensities that follow from it.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Ratings:
    """The distribution of ratings over n responses, with L levels.

    Parameters
    ----------
    exceeds : ndarray, shape (L - 1, n), float64
        ``P(t > level_k | x)``, decreasing in k.
    levels : ndarray, shape (L,)
        Possible ratings, ascending.
    shares : ndarray, shape (L,)
        Share of the logged responses at each level.
    threshold : float
        ``τ``: a rating above it is good.
    """

    exceeds: np.ndarray
    levels: np.ndarray
    shares: np.ndarray
    threshold: float

    def take(self, rows: np.ndarray) -> "Ratings":
        """Return the ratings of some of the responses."""
        return replace(self, exceeds=self.exceeds[:, rows])

    @property
    def good(self) -> np.ndarray:
        """Whether ``t > τ`` at each level, shape (L,), bool."""
        return self.levels > self.threshold

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
    def mean(self) -> np.ndarray:
        """Mean rating of each response, shape (n,)."""
        return self.levels @ self.level_probability

    def mean_if(self, values: np.ndarray, good: bool) -> np.ndarray:
        """Mean of a function of the rating given the preference, ``E[v(t) | r*, x]``.

        Parameters
        ----------
        values : ndarray, shape (L, n)
            Value at each level, for each response.
        good : bool
            Whether given ``r* = 1``, or ``r* = 0``.

        Returns
        -------
        ndarray, shape (n,)
        """
        levels = self.good if good else ~self.good
        probability = self.level_probability[levels]
        return (values[levels] * probability).sum(0) / probability.sum(0)

    def drawn(self, uniform: np.ndarray) -> np.ndarray:
        """Return the index of the level that each response gets.

        Parameters
        ----------
        uniform : ndarray, shape (n,), in [0, 1)
            Uniform draws. A lower draw gives a higher rating, so that ``t > τ`` exactly if the draw is below
            ``γ``.
        """
        return (uniform < self.exceeds).sum(0)
