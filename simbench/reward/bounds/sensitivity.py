"""How far the propensity may depend on the response before a conclusion turns.

The marginal sensitivity model (Tan, JASA 101, 2006), with a fitted propensity ``α̂`` in the middle: the odds
of the true one differ from its odds by a factor between ``1/Γ`` and ``Γ``, so that ``1/α`` lies between
``1 + (1/α̂ - 1)/Γ`` and ``1 + Γ (1/α̂ - 1)``. Γ = 1 believes the fit; as Γ grows, clicks alone are left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.reward.bounds.pairs import pairs_within
from simbench.reward.clustered import Mean, MeanSet, clustered_difference, clustered_mean, clusters_of

MOST = 1e6  # odds ratios beyond it are called any
STEPS = 141  # of its logarithm, in which a conclusion is looked at
SMALLEST = 1e-9  # propensities are not taken for less


@dataclass(frozen=True)
class Sensitivity:
    """Clicks and a fitted propensity, of which the true one may differ by an odds ratio.

    Parameters
    ----------
    feedback : ndarray, shape (n,), in {0, 1}
    clicks : ndarray, shape (n,), in (0, 1)
        Click probabilities by fits that did not see the feedback; they decide where bounds are cut at 1.
    odds_against : ndarray, shape (n,), at least 0
        ``1/α̂ - 1``. Taken as given: its own sampling error is not counted.
    clusters : ndarray, shape (n,), int64
        Units that are independent of each other.
    """

    feedback: np.ndarray
    clicks: np.ndarray
    odds_against: np.ndarray
    clusters: np.ndarray

    @classmethod
    def of(cls, log: FeedbackLog, clicks: np.ndarray, propensity: np.ndarray) -> "Sensitivity":
        """From a log of one replicate, its click probabilities and a fitted propensity, each (n,).

        Raises
        ------
        BadInput
            If the log has misclicks, which this model does not hold, several replicates, fewer than 30
            prompts (or users), or a propensity lies outside (0, 1].
        """
        if log.n_replicates != 1 or log.misclick:
            raise BadInput("sensitivity takes a log of one replicate without misclicks.")
        if not ((propensity > 0) & (propensity <= 1)).all():
            raise BadInput("the fitted propensity must lie in (0, 1].")
        against = 1 / propensity.clip(SMALLEST) - 1
        return cls(log.feedback[0].astype(float), clicks, against, clusters_of(log))

    def scores(self, gamma: float) -> tuple[np.ndarray, np.ndarray]:
        """Return scores whose means bound the mean reward from below and above at ``Γ = gamma``, (n,) each.

        Clicks are weighted by the ends of ``1/α``. Where the click probability says that a bound would leave
        [0, 1], a weight that keeps it there is used below, and 1 above: both valid, whatever it says. So is
        that no weight exceeds ``√n`` (Ionides, Journal of Computational and Graphical Statistics 17, 2008),
        lest one click decide: it widens the set where users hardly ever act, even at Γ = 1.
        """
        least, most = 1 + self.odds_against / gamma, 1 + self.odds_against * gamma
        largest = np.sqrt(len(self.feedback))
        low = self.feedback * np.minimum(least, np.clip(1 / self.clicks, 1.0, largest))
        is_cut = (self.clicks * most >= 1) | (most > largest)
        return low, np.where(is_cut, 1.0, self.feedback * most)

    def mean(self, gamma: float) -> MeanSet:
        """Return the set of mean rewards at ``Γ = gamma``."""
        low, high = self.scores(gamma)
        return MeanSet(clustered_mean(low, self.clusters), clustered_mean(high, self.clusters))

    def above(self, value: float, level: float = 0.95) -> float:
        """Return the largest Γ at which the mean reward exceeds a value beyond sampling error.

        Parameters
        ----------
        value : float
        level : float in (0, 1)
            Of the one-sided test at each Γ.

        Returns
        -------
        float
            At least 1; 0 if the fit itself does not show it, infinite if every propensity does.
        """
        return _largest(lambda gamma: self.mean(gamma).low, value, level)

    def better(self, is_first: np.ndarray, level: float = 0.95) -> float:
        """Return the largest Γ at which one group's mean reward exceeds the rest's beyond sampling error.

        Parameters
        ----------
        is_first : ndarray, shape (n,), bool
            Members of the group that is claimed to be better.
        level : float in (0, 1)

        Raises
        ------
        BadInput
            If one of the groups is empty.
        """
        if not is_first.any() or is_first.all():
            raise BadInput("both groups that are compared must have responses.")
        return _largest(lambda gamma: self.difference(is_first, gamma), 0.0, level)

    def difference(self, is_first: np.ndarray, gamma: float) -> Mean:
        """Return the least difference of the groups' mean rewards, first less other, at ``Γ = gamma``."""
        return clustered_difference(*self.scores(gamma), is_first, self.clusters)

    def turning(self, groups: np.ndarray) -> np.ndarray:
        """Return, for every pair of one prompt, the Γ at which its order by the fit can turn.

        ``p₁ (1 + w₁/Γ) = p₂ (1 + Γ w₂)`` with ``w = 1/α̂ - 1``, by estimates alone.

        Parameters
        ----------
        groups : ndarray, shape (n,)
            Prompts.

        Returns
        -------
        ndarray, float64, at least 1
            Sorted; infinite where no propensity turns it. Pairs whose rewards are equal are left out.
        """
        first, second = pairs_within(groups)
        p, w = self.clicks, self.odds_against
        reward = p * (1 + w)
        swap = reward[first] < reward[second]
        first, second = np.where(swap, second, first), np.where(swap, first, second)
        differs = reward[first] > reward[second]
        first, second = first[differs], second[differs]
        a, b, c = p[second] * w[second], p[second] - p[first], -p[first] * w[first]
        with np.errstate(divide="ignore", invalid="ignore"):
            curved = (-b + np.sqrt(b**2 - 4 * a * c)) / (2 * a)
            straight = np.where(b > 0, -c / b, np.inf)  # the second one acts for certain
        return np.sort(np.where(a > 0, curved, straight))


def _largest(at: Callable[[float], Mean], value: float, level: float) -> float:
    """The Γ at which the lower limit first falls to a value; it can step where a bound reaches 1."""

    def excess(log_gamma: float) -> float:
        return at(float(np.exp(log_gamma))).at_least(level) - value

    if excess(0.0) <= 0:
        return 0.0
    ends = np.linspace(0.0, float(np.log(MOST)), STEPS)
    for start, end in pairwise(ends.tolist()):
        if excess(end) <= 0:
            return float(np.exp(brentq(excess, start, end, xtol=1e-6)))
    return float("inf")
