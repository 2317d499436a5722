"""The channel: what is logged of users' actions on a response, and by whose hand."""

from itertools import combinations, product

import numpy as np
from pydantic import BaseModel, Field

from simbench.worlds.law import Drawn, Law, Outcomes
from simbench.worlds.ratings import Ratings
from simbench.worlds.signals import (
    NEGATIVE,
    POSITIVE,
    action_correlation,
    action_probabilities,
    dependent_actions,
    joint_propensity,
)


class Channel(BaseModel, frozen=True, extra="forbid"):
    """What is logged of the actions on a response.

    Parameters
    ----------
    misclick : float in [0, 1)
        Probability that an active user clicks a bad response by a slip; it concerns the click alone.
    signals : int
        Number of positive signals, each with a propensity of its own.
    regenerate : bool
        Whether a negative signal is logged as well, with a propensity of its own.
    signal_dependence : float in [0, 1)
        Copula correlation of a user's actions on one response.
    exposures : int
        How many users see every response. Each acts independently, while r* belongs to the response; their
        clicks are logged as separate signals.
    always_share : float in [0, 1)
        Share of the prompts whose users always act.
    """

    misclick: float = Field(default=0.0, ge=0, lt=1)
    signals: int = Field(default=1, ge=1, le=len(POSITIVE))
    regenerate: bool = False
    signal_dependence: float = Field(default=0.0, ge=0, lt=1)
    exposures: int = Field(default=1, ge=1, le=10)
    always_share: float = Field(default=0.0, ge=0, lt=1)

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the logged signals; the first is the feedback."""
        more_exposures = tuple(f"{POSITIVE[0]}:{number}" for number in range(2, self.exposures + 1))
        more = (*more_exposures, *POSITIVE[1 : self.signals])
        return (POSITIVE[0], *more, *((NEGATIVE,) if self.regenerate else ()))

    def used(self) -> list[str]:
        """Names of the settings that differ from a plain channel of one click."""
        return [name for name, value in self if value != type(self).model_fields[name].default]


class SignalsLaw(Law):
    """Users act on every response by itself: given preference and response, K actions through a channel.

    Parameters
    ----------
    reward : ndarray, shape (n,)
        ``γ``.
    propensities : ndarray, shape (K, n), in (0, 1]
        ``P(a_k = 1 | r*)`` of every signal: of the positive ones given ``r* = 1``, of the negative one given
        ``r* = 0``.
    channel : Channel
    bad_click : ndarray, shape (n,), optional
        ``P(a_1 = 1 | r* = 0)``, where it differs from ``propensities[0]``.
    slip : float or ndarray of shape (n,), in [0, 1], optional
        Probability that an active user clicks a bad response, where it is not the channel's.
    """

    def __init__(
        self,
        reward: np.ndarray,
        propensities: np.ndarray,
        channel: Channel,
        bad_click: np.ndarray | None = None,
        slip: float | np.ndarray | None = None,
    ):
        self._reward, self.propensities, self.channel = reward, propensities, channel
        self.bad_click: np.ndarray = propensities[0] if bad_click is None else bad_click
        self.slip: np.ndarray = np.broadcast_to(channel.misclick if slip is None else slip, reward.shape)
        # signals of the user who clicks first; those between are the clicks of others who see the response
        self._own = np.array([0, *range(channel.exposures, len(propensities))])

    @property
    def reward(self) -> np.ndarray:
        """``γ``, shape (n,)."""
        return self._reward

    @property
    def propensity(self) -> np.ndarray:
        """``P(a_1 = 1 | r* = 1)``, shape (n,)."""
        return self.propensities[0]

    @property
    def signal_probabilities(self) -> np.ndarray:
        """``P(s_k = 1)``, shape (K, n)."""
        rates = self.propensities * self.reward
        rates[0] = rates[0] + self.bad_click * (1 - self.reward) * self.slip
        if self.channel.regenerate:
            rates[-1] = self.propensities[-1] * (1 - self.reward)
        return rates

    @property
    def is_one_click(self) -> bool:
        """Whether nothing but one click is logged, and no one slips."""
        return len(self.propensities) == 1 and not self.slip.any()

    def action_correlation(self) -> float:
        """Mean correlation of two positive actions of a user on one response, over responses and pairs."""
        own = self._own[: self.channel.signals]
        pairs = [self._correlation(first, second).mean() for first, second in combinations(own, 2)]
        return float(np.mean(pairs)) if pairs else 0.0

    def _correlation(self, first: int, second: int) -> np.ndarray:
        """Correlation of two actions of one user on each response, shape (n,)."""
        return action_correlation(
            self.propensities[first], self.propensities[second], self.channel.signal_dependence
        )

    def acting(self, uniform: np.ndarray) -> np.ndarray:
        """Propensities in one replicate, (K, n); ``uniform`` (n,) is what the preference was drawn from."""
        return self.propensities

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw preferences, then actions."""
        count, n = self.propensities.shape
        draws = rng.random((3, n))
        # further signals draw behind the first: it is the same at every number of signals
        uniform = np.concatenate([draws[1:2], rng.random((count - 1, n))])
        propensities = self.acting(draws[0])
        acts, own = uniform < propensities, self._own
        acts[own] = dependent_actions(uniform[own], propensities[own], self.channel.signal_dependence)
        preference = draws[0] < self.reward
        signals = acts & preference
        signals[0] = acts[0] & (preference | (draws[2] < self.slip))
        if self.channel.regenerate:
            signals[-1] = acts[-1] & ~preference
        per_replicate = None if propensities is self.propensities else propensities[0]
        return Drawn(preference, signals, propensity=per_replicate)

    def outcomes(self, rows: np.ndarray) -> Outcomes:
        """Enumerate the signals of a page: responses are independent of each other."""
        return mixture(self.patterns(rows)[None], np.ones(1))

    def patterns(self, rows: np.ndarray) -> np.ndarray:
        """Probability of each pattern of signals on these responses, (k, 2^K); signal j is bit j."""
        alphas, gamma = self.propensities[:, rows], self.reward[rows]
        of_bad = np.concatenate([self.bad_click[None, rows], alphas[1:]])
        good, bad = (self._logged(given, rows, of) for given, of in ((alphas, True), (of_bad, False)))
        return (gamma * good + (1 - gamma) * bad).T

    def _logged(self, alphas: np.ndarray, rows: np.ndarray, good: bool) -> np.ndarray:
        """Probability of each pattern of signals, (2^K, k), given the preference and propensities, (K, k)."""
        acts, slip = self._acts(alphas), self.slip[rows]
        negative = 1 << (len(alphas) - 1) if self.channel.regenerate else 0
        found = np.zeros(acts.shape)
        for pattern, probability in enumerate(acts):
            if good:
                found[pattern & ~negative] += probability
            else:
                found[pattern & (1 | negative)] += slip * probability
                found[pattern & negative & ~1] += (1 - slip) * probability
        return found

    def _acts(self, alphas: np.ndarray) -> np.ndarray:
        """Probability of each pattern of actions, (2^K, k): those of one user depend on each other."""
        exposures, pattern = self.channel.exposures, np.arange(2 ** len(alphas))
        own = action_probabilities(alphas[self._own], self.channel.signal_dependence)
        others = action_probabilities(alphas[1:exposures], 0.0)
        of_own = (pattern & 1) | (pattern >> exposures << 1)
        of_others = (pattern >> 1) & ((1 << (exposures - 1)) - 1)
        return own[of_own] * others[of_others]


def mixture(patterns: np.ndarray, weights: np.ndarray) -> Outcomes:
    """Everything that can be logged of a page whose responses are independent within each of M cases.

    Parameters
    ----------
    patterns : ndarray, shape (M, k, 2^K)
        Probability of each pattern of K signals on each of k responses.
    weights : ndarray, shape (M,)
        Probability of each case.
    """
    _, k, count = patterns.shape
    index = np.array(list(product(range(count), repeat=k)))
    joint = np.ones((len(patterns), len(index)))
    for place in range(k):
        joint *= patterns[:, place, index[:, place]]
    bits = (index[:, None, :] >> np.arange(count.bit_length() - 1)[:, None]) & 1
    return Outcomes(bits.astype(bool), np.ones((len(index), k), dtype=bool), weights @ joint)


class RatedSignalsLaw(SignalsLaw):
    """As :class:`SignalsLaw`, where users act on a rating that is drawn and also decides the preference.

    Parameters
    ----------
    ratings : Ratings
    levels : ndarray, shape (K, L, n), in (0, 1]
        Propensity of each signal at each rating.
    channel : Channel
    """

    def __init__(self, ratings: Ratings, levels: np.ndarray, channel: Channel):
        good = np.stack([ratings.mean_if(level, good=True) for level in levels])
        bad = np.stack([ratings.mean_if(level, good=False) for level in levels])
        if channel.regenerate:
            good[-1] = bad[-1]  # it fires on bad responses alone
        super().__init__(ratings.reward, good, channel, bad[0])
        self.ratings, self.levels = ratings, levels

    @property
    def action_probability(self) -> np.ndarray:
        """``P(a_1 = 1)``, shape (n,)."""
        return (self.levels[0] * self.ratings.level_probability).sum(0)

    @property
    def is_one_click(self) -> bool:
        """False: action and preference depend on each other through the rating."""
        return False

    def acting(self, uniform: np.ndarray) -> np.ndarray:
        """Propensities at the ratings drawn, shape (K, n)."""
        level = self.ratings.drawn(uniform)
        return self.levels[:, level, np.arange(len(level))]

    def _correlation(self, first: int, second: int) -> np.ndarray:
        """Two actions meet in the rating too."""
        probability = self.ratings.level_probability
        one, other = self.levels[first], self.levels[second]
        both = (joint_propensity(one, other, self.channel.signal_dependence) * probability).sum(0)
        p, q = ((alpha * probability).sum(0) for alpha in (one, other))
        spread = np.sqrt(p * (1 - p) * q * (1 - q))
        return np.divide(both - p * q, spread, out=np.zeros(len(p)), where=spread > 0)

    def patterns(self, rows: np.ndarray) -> np.ndarray:
        """As for any law, level by level; shape (k, 2^K)."""
        probability = self.ratings.level_probability[:, rows]
        levels = self.levels[:, :, rows].swapaxes(0, 1)
        of_level = zip(levels, probability, self.ratings.good, strict=True)
        each = [p * self._logged(alphas, rows, bool(good)) for alphas, p, good in of_level]
        return np.sum(each, axis=0).T
