"""The responses of a world and their true reward: synthetic, or read from a file."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from simbench.files.matrix import Matrix
from simbench.streams import stream
from simbench.worlds.config import WorldConfig
from simbench.worlds.laws import standardise
from simbench.worlds.traits import trait_column, trait_salience


@dataclass(frozen=True)
class Base:
    """Responses of a world and their true reward, before users act; n rows.

    Parameters
    ----------
    features : ndarray or MappedMatrix, shape (n, d), float32
        Response features ``x``.
    context : ndarray, shape (n, k), float32
        Context that only the propensity may depend on.
    groups : ndarray, shape (n,)
        Prompt ids.
    reward : ndarray, shape (n,), in [0, 1]
        ``γ(x)``.
    rating : ndarray, shape (n,)
        What the rating law reads.
    signal : ndarray, shape (n,), optional
        The reward's logit without its intercept, if the reward is synthetic.
    trait : ndarray, shape (n,), optional
        The named property, if the world has one.
    """

    features: Matrix
    context: np.ndarray
    groups: np.ndarray
    reward: np.ndarray
    rating: np.ndarray
    signal: np.ndarray | None = None
    trait: np.ndarray | None = None


def synthetic(config: WorldConfig, size: int, seed: int) -> tuple[Base, np.ndarray, str]:
    """Make responses whose reward is a function of their features.

    Returns
    -------
    base : Base
        Responses to be logged and held-out responses together.
    is_train : ndarray of bool, shape (n,)
        Which of them are logged.
    description : str
        One line about them.
    """
    per_prompt = config.responses_per_prompt
    n_train = max(2, round(size / per_prompt))
    n_prompts = n_train + max(2, round(config.test_size / per_prompt))
    groups = np.repeat(np.arange(n_prompts), per_prompt)
    rng = stream(seed, "responses", config.name, size)
    features = _features(config, groups, n_prompts, rng)
    is_train = groups < n_train
    # The reward function is the world's own: the same at every size.
    signal = _signal(config, features, stream(seed, "reward", config.name))
    signal = config.reward_scale * (signal - signal[is_train].mean()) / signal[is_train].std()
    reward = expit(signal + intercept(signal[is_train], config.base_rate))
    context = _context(config, groups, rng)
    text = f"{int(is_train.sum()):,} responses to {n_train:,} prompts, {config.n_features} features"
    trait = None if config.trait is None else features[:, trait_column(config.trait, config.n_features)]
    return Base(features, context, groups, reward, _rating_levels(reward), signal, trait), is_train, text


def _features(
    config: WorldConfig, groups: np.ndarray, n_prompts: int, rng: np.random.Generator
) -> np.ndarray:
    """Features of which a quarter of the columns belongs to the prompt and is shared by its responses."""
    shared = max(1, config.n_features // 4)
    prompt = rng.standard_normal((n_prompts, shared))
    response = rng.standard_normal((len(groups), config.n_features - shared))
    return np.concatenate([prompt[groups], response], axis=1).astype(np.float32)


def _signal(config: WorldConfig, features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The reward's logit before scale and intercept: a fixed function of the features."""
    d = config.n_features
    shared = max(1, d // 4)
    weight = rng.standard_normal(d)
    # Prompt difficulty is the prompt columns' share of the logit, relative to the response's.
    weight[:shared] *= config.prompt_difficulty / np.linalg.norm(weight[:shared])
    weight[shared:] /= np.linalg.norm(weight[shared:])
    x = features.astype(float)
    if config.reward == "linear":
        return x @ weight
    hidden = rng.standard_normal((d, 16)) * np.abs(weight)[:, None] * 2
    return np.tanh(x @ hidden + rng.standard_normal(16)) @ rng.standard_normal(16)


def intercept(signal: np.ndarray, rate: float) -> float:
    """Return ``b`` such that ``mean σ(b + signal)`` equals ``rate``."""
    bound = 50 + np.abs(signal).max()
    return float(brentq(lambda b: expit(b + signal).mean() - rate, -bound, bound, xtol=1e-13))


def _rating_levels(reward: np.ndarray) -> np.ndarray:
    """Ordinal ratings 1 to 5: the true reward cut at its quintiles."""
    return 1.0 + np.searchsorted(np.quantile(reward, [0.2, 0.4, 0.6, 0.8]), reward, side="right")


PAGE = 10  # responses that one user sees at most; a prompt with more is shown to several users


def _context(config: WorldConfig, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """User activity (one user per page), position on the page, then session noise; (n, k) float32."""
    n = len(groups)
    order = np.lexsort((rng.random(n), groups))
    starts = np.searchsorted(groups[order], np.arange(int(groups.max()) + 1))
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n) - starts[groups[order]]
    _, page = np.unique(np.column_stack([groups, place // PAGE]), axis=0, return_inverse=True)
    activity = rng.standard_normal(int(page.max()) + 1)[page]
    # log: attention falls fast over the first places, then slowly
    position = standardise(-np.log1p(place % PAGE))
    rest = rng.standard_normal((n, config.n_context - 2))
    return np.column_stack([activity, position, rest]).astype(np.float32)


def from_real(config: WorldConfig, size: int, seed: int) -> tuple[Base, np.ndarray, str]:
    """Read rated responses from a file or the hub; returns what :func:`synthetic` returns.

    Raises
    ------
    BadInput
        If the responses cannot be read.
    """
    from simbench.log.rated_responses import load_responses

    assert config.real is not None
    total = round(size * 1.25)  # a fifth of the prompts or rows becomes the test set
    data = load_responses(**config.real.model_dump(), trait=config.trait, size=total, seed=seed)
    rng = stream(seed, "responses", config.name, size)
    is_train = _split(data.groups, rng)
    context = _context(config, data.groups, rng)
    features = data.features
    if data.trait is not None:
        features = np.column_stack([features, trait_salience(config.trait, data.trait)]).astype(np.float32)
    base = Base(features, context, data.groups, data.reward, data.rating, trait=data.trait)
    text = f"{data.description}; {int(is_train.sum()):,} to train, {int((~is_train).sum()):,} to test"
    return base, is_train, text


def _split(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mark four fifths for training, by whole prompts, or by rows if there are fewer than 20 prompts."""
    names = np.unique(groups)
    if len(names) < 20:
        return rng.permutation(len(groups)) >= len(groups) // 5
    held_out = rng.permutation(names)[: len(names) // 5]
    return ~np.isin(groups, held_out)
