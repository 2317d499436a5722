"""The true reward of responses: a function of their features, or the link of their ratings."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator
from scipy.optimize import brentq
from scipy.special import expit

from simbench.files.matrix import Matrix
from simbench.streams import stream
from simbench.worlds.ratings import Ratings
from simbench.worlds.responses import RatingLink, ResponseSet, shared_columns


class _OfFeatures(BaseModel, frozen=True, extra="forbid"):
    """A logit that is a fixed function of the features.

    Parameters
    ----------
    reward_scale : float
        Standard deviation of the reward's logit.
    prompt_difficulty : float
        Size of the prompt's part of the reward's logit, relative to the response's part.
    """

    reward_scale: float = Field(default=1.5, gt=0, le=1000)
    prompt_difficulty: float = Field(default=0.75, ge=0, le=1000)


class _OfARate(_OfFeatures, frozen=True):
    """A logit whose intercept gives the reward its mean.

    Parameters
    ----------
    base_rate : float in (0, 1)
        Mean reward of the logged responses.
    """

    base_rate: float = Field(default=0.5, gt=0, lt=1)


class LinearReward(_OfARate, frozen=True):
    """A logit that is linear in the features."""

    kind: Literal["linear"] = "linear"


class NetworkReward(_OfARate, frozen=True):
    """A logit that is a random network of 16 hidden units."""

    kind: Literal["mlp"] = "mlp"


class DrawnRatings(_OfFeatures, frozen=True):
    """Ratings that are drawn per log, ``t ~ P(t | x)``, and decide the preference, ``r* = 1[t > τ]``.

    Parameters
    ----------
    levels : tuple of float
        Possible ratings, in ascending order.
    shares : tuple of float
        Share of the responses at each level; they sum to 1.
    threshold : float
        ``τ``; at least the lowest level and below the highest.
    """

    kind: Literal["ratings"] = "ratings"
    levels: tuple[float, ...]
    shares: tuple[float, ...]
    threshold: float

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if len(self.levels) != len(self.shares) or sorted(set(self.levels)) != list(self.levels):
            raise ValueError("levels must be in ascending order, with one share for each")
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"shares must be positive and sum to 1, they sum to {sum(self.shares):g}")
        if not self.levels[0] <= self.threshold < self.levels[-1]:
            raise ValueError(f"the threshold {self.threshold:g} does not separate the levels")
        return self

    @property
    def base_rate(self) -> float:
        """Share of the responses above the threshold."""
        return sum(share for t, share in zip(self.levels, self.shares, strict=True) if t > self.threshold)


Reward = Annotated[LinearReward | NetworkReward | DrawnRatings | RatingLink, Field(discriminator="kind")]


@dataclass(frozen=True)
class Rewarded:
    """The true reward of n responses, and what it was made from.

    Parameters
    ----------
    reward : ndarray, shape (n,), in [0, 1]
        ``γ(x)``.
    rating : ndarray, shape (n,)
        The rating of each response; of a synthetic reward, its quintile from 1 to 5.
    ratings : Ratings, optional
        The distribution of ratings, where they are drawn per log.
    """

    reward: np.ndarray
    rating: np.ndarray
    ratings: Ratings | None = None


def rewarded(config: Reward, responses: ResponseSet, name: str, seed: int) -> Rewarded:
    """The reward of the responses of the world called ``name``, the same function at every size."""
    if responses.reward is not None and responses.rating is not None:
        return Rewarded(responses.reward, responses.rating)
    assert not isinstance(config, RatingLink)
    signal, is_train = _signal(config, responses.features, stream(seed, "reward", name)), responses.is_train
    signal = config.reward_scale * (signal - signal[is_train].mean()) / signal[is_train].std()
    if isinstance(config, DrawnRatings):
        above = 1 - np.cumsum(config.shares)[:-1]
        exceeds = np.stack([expit(signal + intercept(signal[is_train], share)) for share in above])
        ratings = Ratings(exceeds, np.array(config.levels), np.array(config.shares), config.threshold)
        return Rewarded(ratings.reward, ratings.mean, ratings)
    reward = expit(signal + intercept(signal[is_train], config.base_rate))
    # ordinal ratings 1 to 5: the true reward cut at its quintiles
    levels = np.searchsorted(np.quantile(reward, [0.2, 0.4, 0.6, 0.8]), reward, side="right")
    return Rewarded(reward, 1.0 + levels)


def intercept(signal: np.ndarray, rate: float) -> float:
    """Return ``b`` such that ``mean σ(b + signal)`` equals ``rate``."""
    bound = 50 + np.abs(signal).max()
    return float(brentq(lambda b: expit(b + signal).mean() - rate, -bound, bound, xtol=1e-13))


def _signal(config: _OfFeatures, features: Matrix, rng: np.random.Generator) -> np.ndarray:
    """The reward's logit before scale and intercept: a fixed function of the features."""
    d = features.shape[1]
    shared = shared_columns(d)
    weight = rng.standard_normal(d)
    # Prompt difficulty is the prompt columns' share of the logit, relative to the response's.
    weight[:shared] *= config.prompt_difficulty / np.linalg.norm(weight[:shared])
    weight[shared:] /= np.linalg.norm(weight[shared:])
    x = np.asarray(features).astype(float)
    if not isinstance(config, NetworkReward):
        return x @ weight
    hidden = rng.standard_normal((d, 16)) * np.abs(weight)[:, None] * 2
    return np.tanh(x @ hidden + rng.standard_normal(16)) @ rng.standard_normal(16)
