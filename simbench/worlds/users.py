"""Users: people who see several pages, and differ in how active, how lenient and how careful they are."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from pydantic import BaseModel, Field
from scipy.optimize import brentq
from scipy.special import expit, logit

from simbench.worlds.channel import SignalsLaw, mixture
from simbench.worlds.law import Drawn, Outcomes

_NODES, _WEIGHTS = hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Users(BaseModel, frozen=True, extra="forbid"):
    """Who sees the pages. Every replicate draws its users anew: what a study measures is over users too.

    Parameters
    ----------
    pages_per_user : int
        How many pages one user sees.
    activity : float
        Standard deviation of a user's effect on the logit of the propensity, beside what the log holds.
    leniency : float
        Standard deviation of a user's effect on the logit of the reward. The true reward of a response is
        the mean over users.
    careless : float in [0, 1)
        Share of the users who click without regard to the response: on a bad one as on a good one.
    """

    pages_per_user: int = Field(default=5, ge=1, le=1_000_000)
    activity: float = Field(default=0.0, ge=0, le=20)
    leniency: float = Field(default=0.0, ge=0, le=20)
    careless: float = Field(default=0.0, ge=0, lt=1)


@dataclass(frozen=True)
class _Effects:
    """Effects of users on responses, each of shape (n,)."""

    activity: np.ndarray
    leniency: np.ndarray
    careless: np.ndarray


def users_of(page: np.ndarray, users: Users, rng: np.random.Generator) -> np.ndarray:
    """Deal the pages to users at random; returns the user of every response, shape (n,), int64."""
    numbers, code = np.unique(page, return_inverse=True)
    return rng.permutation(len(numbers))[code] // users.pages_per_user


class UsersLaw(SignalsLaw):
    """A law of independent responses, made dependent by the users whom they share.

    What it declares of single responses are means over users: activity, leniency and care are independent.

    Parameters
    ----------
    base : SignalsLaw
        What a user without effects would do.
    users : Users
    user : ndarray of int64, shape (n,)
        User of every response.
    """

    def __init__(self, base: SignalsLaw, users: Users, user: np.ndarray):
        self.base, self.users = base, users
        _, self.user = np.unique(user, return_inverse=True)
        # users differ in who acts, and not in how many act
        self._shift = np.array([_shift(alpha, users.activity) for alpha in base.propensities])[:, None]
        reward = _mean(logit(base.reward), users.leniency)
        propensities = _mean(logit(base.propensities) + self._shift, users.activity)
        slip = users.careless + (1 - users.careless) * base.channel.misclick
        super().__init__(reward, propensities, base.channel, slip=slip)

    @property
    def is_one_click(self) -> bool:
        """False: the clicks of one user depend on each other."""
        return False

    def action_correlation(self) -> float:
        """Mean correlation of two positive actions of a user without effects."""
        return self.base.action_correlation()

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw users, then what they do."""
        count = int(self.user.max()) + 1
        activity, leniency = rng.standard_normal((2, count))
        careless = rng.random(count) < self.users.careless
        effects = _Effects(activity[self.user], leniency[self.user], careless[self.user])
        return self._given(effects).draw(rng)

    def outcomes(self, rows: np.ndarray) -> Outcomes:
        """Enumerate one page, which one user sees: the mean over users of what they leave."""
        effects, weights = self._kinds_of_user()
        activity, leniency, careless = (np.repeat(values, len(rows)) for values in effects)
        each = _Effects(activity, leniency, careless)
        law = self._given(each, np.tile(rows, len(weights)))
        patterns = law.patterns(np.arange(len(each.activity)))
        return mixture(patterns.reshape(len(weights), len(rows), -1), weights)

    def _given(self, effects: _Effects, rows: np.ndarray | slice = slice(None)) -> SignalsLaw:
        """The law of these responses for users of these effects."""
        reward = expit(logit(self.base.reward[rows]) + self.users.leniency * effects.leniency)
        active = self._shift + self.users.activity * effects.activity
        alphas = expit(logit(self.base.propensities[:, rows]) + active)
        slip = np.where(effects.careless, 1.0, self.base.channel.misclick)
        return SignalsLaw(reward, alphas, self.base.channel, slip=slip)

    def _kinds_of_user(self) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        """Quadrature over users: their effects (activity, leniency, careless), and their weights."""
        alike, normal = [(0.0, 1.0)], list(zip(_NODES, _WEIGHTS, strict=True))
        activity = normal if self.users.activity > 0 else alike
        leniency = normal if self.users.leniency > 0 else alike
        share = self.users.careless
        care = [(False, 1 - share), (True, share)]
        kinds = list(product(activity, leniency, care))
        values = tuple(np.array([kind[axis][0] for kind in kinds]) for axis in range(3))
        return (values[0], values[1], values[2]), np.array([a[1] * b[1] * c[1] for a, b, c in kinds])


def _mean(logits: np.ndarray, spread: float) -> np.ndarray:
    """``E[σ(logit + spread u)]`` with ``u ~ N(0, 1)``, of the shape of the logits."""
    if spread == 0:
        return expit(logits)
    total = np.zeros(np.shape(logits))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total += weight * expit(logits + spread * node)
    return total


def _shift(alpha: np.ndarray, spread: float) -> float:
    """``c`` such that ``mean E[σ(logit α + c + spread u)]`` is ``mean α``."""
    if spread == 0:
        return 0.0
    logits, target = logit(alpha), alpha.mean()
    bound = 40.0 + 10 * spread
    return float(brentq(lambda c: _mean(logits + c, spread).mean() - target, -bound, bound, xtol=1e-12))
