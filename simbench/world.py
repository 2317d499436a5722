"""Worlds: responses with a known true reward, and the log that biased users would leave."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator
from scipy.optimize import brentq
from scipy.special import expit, logit

from simbench.errors import BadInput
from simbench.log import FeedbackLog, Truth
from simbench.propensity import confounded_salience, logit_law, rating_law, standardise
from simbench.signals import NEGATIVE, POSITIVE, action_correlation, dependent_actions
from simbench.streams import stream
from simbench.traits import trait_column, trait_salience


class RealResponses(BaseModel, frozen=True, extra="forbid"):
    """Where real rated responses come from (see :func:`simbench.data.responses.load_responses`)."""

    path: str
    features: str | None = None
    prompt_column: str | None = None
    text_column: str | None = None
    rating_column: str | None = None
    votes_column: str | None = None
    link: Literal["auto", "votes", "logistic", "threshold"] = "auto"
    slope: float = 1.5
    threshold: float | None = None


class WorldConfig(BaseModel, frozen=True, extra="forbid"):
    """A world as a value; its canonical JSON names its shards on disk.

    ``salience`` says what the propensity reads: ``context`` (exclusion), ``features`` (the same
    responses' features as the reward). ``confounding`` ρ correlates it with the reward's logit.
    ``signals`` positive signals, and a negative one with ``regenerate``, each with a salience of its own;
    ``exposures`` users see every response and act each for themselves, while r* belongs to the response:
    their clicks are logged as so many signals. ``always_share`` of the prompts have users who always act.
    ``signal_dependence`` is the copula correlation of their actions on one response. A misclick is a
    slip of the click alone. ``trait`` names a property of the responses that policies are judged by, and
    that the propensity reads where ``salience`` is ``trait``: ``feature:K`` of synthetic responses;
    ``length`` (of the text, in characters) or a numeric column of real ones, which becomes a feature as
    well, since whoever reads a response sees how long it is.
    """

    name: str = "exclusive"
    law: Literal["logit", "rating"] = "logit"
    salience: Literal["context", "features", "trait"] = "context"
    trait: str | None = None
    confounding: float = Field(default=0.0, ge=-1, le=1)
    misclick: float = Field(default=0.0, ge=0, lt=1)
    signals: int = Field(default=1, ge=1, le=len(POSITIVE))
    regenerate: bool = False
    signal_dependence: float = Field(default=0.0, ge=0, lt=1)
    exposures: int = Field(default=1, ge=1, le=10)
    always_share: float = Field(default=0.0, ge=0, lt=1)
    action_rate: float = Field(default=0.3, gt=0, lt=1)
    reward: Literal["linear", "mlp"] = "linear"
    base_rate: float = Field(default=0.5, gt=0, lt=1)
    reward_scale: float = Field(default=1.5, gt=0)
    prompt_difficulty: float = Field(default=0.75, ge=0)
    responses_per_prompt: int = Field(default=5, ge=1)
    n_features: int = Field(default=32, ge=2)
    n_context: int = Field(default=4, ge=2)
    test_size: int = Field(default=5000, ge=100)
    real: RealResponses | None = None

    @model_validator(mode="after")
    def _trait_is_there(self) -> "WorldConfig":
        if self.salience == "trait" and self.trait is None:
            raise ValueError("salience 'trait' needs a trait, such as feature:31 or length")
        if self.trait is not None and self.real is None:
            trait_column(self.trait, self.n_features)
        return self

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the logged signals; the first is the feedback."""
        more_exposures = tuple(f"{POSITIVE[0]}:{number}" for number in range(2, self.exposures + 1))
        return (
            POSITIVE[:1]
            + more_exposures
            + POSITIVE[1 : self.signals]
            + ((NEGATIVE,) if self.regenerate else ())
        )

    @property
    def logs_context(self) -> bool:
        """Whether the log holds context: where the propensity reads it."""
        return self.salience == "context" and self.law == "logit"


PRESETS: dict[str, WorldConfig] = {
    "exclusive": WorldConfig(),
    "shared": WorldConfig(name="shared", salience="features"),
    "confounded": WorldConfig(name="confounded", confounding=0.5),
    "rating": WorldConfig(name="rating", law="rating", salience="features"),
    "misclick": WorldConfig(name="misclick", misclick=0.05),
    "always": WorldConfig(name="always", salience="features", always_share=0.05),
    "signals": WorldConfig(name="signals", salience="features", signals=2),
    "copyable": WorldConfig(name="copyable", salience="trait", trait="feature:31", responses_per_prompt=32),
}

DESCRIPTIONS = {
    "exclusive": "propensity reads context only, reward reads features only (exclusion)",
    "shared": "propensity and reward read the same features; no context is logged",
    "confounded": "propensity reads context and, with correlation .5, the reward itself",
    "rating": "rating power law of the published protocol, capped: better responses are acted on more",
    "misclick": "exclusive, and an active user clicks a bad response with probability .05",
    "always": "shared, and the users of 5 % of the prompts always act when satisfied",
    "signals": "shared, and several signals are logged: click and copy, unless --signals says more",
    "copyable": "propensity reads one feature of the response (say, how easily it is copied); 32 responses "
    "a prompt",
}


@dataclass(frozen=True)
class Population:
    """Responses and their true reward, before anyone acted. Arrays of n rows.

    ``more_propensities``, shape (K - 1, n), are those of the signals after the first, where there are any;
    ``trait``, shape (n,), is the world's named property of the responses in its own unit.
    """

    features: np.ndarray
    context: np.ndarray | None
    groups: np.ndarray
    reward: np.ndarray
    propensity: np.ndarray
    more_propensities: np.ndarray | None = None
    always_acts: np.ndarray | None = None
    trait: np.ndarray | None = None

    @property
    def propensities(self) -> np.ndarray:
        """Of every signal, shape (K, n)."""
        if self.more_propensities is None:
            return self.propensity[None]
        return np.concatenate([self.propensity[None], self.more_propensities])

    def take(self, rows: np.ndarray) -> "Population":
        context = None if self.context is None else self.context[rows]
        more = None if self.more_propensities is None else self.more_propensities[:, rows]
        always = None if self.always_acts is None else self.always_acts[rows]
        trait = None if self.trait is None else self.trait[rows]
        own = (self.features[rows], context, self.groups[rows], self.reward[rows], self.propensity[rows])
        return Population(*own, more, always, trait)


@dataclass(frozen=True)
class World:
    """A built world: training responses, held-out test responses, and how users click."""

    config: WorldConfig
    bias_level: float
    seed: int
    train: Population
    test: Population
    description: str

    def draw(self, replicates: range) -> tuple[FeedbackLog, Truth]:
        """Draw the feedback of these replicates on the training responses.

        Replicate ``i`` is the same whatever range it is drawn in, and for every estimator.

        Returns
        -------
        log : FeedbackLog
            Feedback of shape (R, n); neither propensity nor prior is granted yet.
        truth : Truth
        """
        n, names = len(self.train.reward), self.config.signal_names
        propensities = self.train.propensities
        preference = np.empty((len(replicates), n), dtype=bool)
        signals = np.empty((len(replicates), len(names), n), dtype=np.float32)
        for row, replicate in enumerate(replicates):
            rng = stream(self.seed, "feedback", self.config.name, replicate)
            draws = rng.random((3, n))
            # further signals draw behind the first: it is the same at every number of signals
            uniform = np.concatenate([draws[1:2], rng.random((len(names) - 1, n))])
            acts = dependent_actions(uniform, propensities, self.config.signal_dependence)
            preference[row] = draws[0] < self.train.reward
            misclicks = draws[2] < self.config.misclick
            signals[row] = acts & preference[row]
            signals[row, 0] = acts[0] & (preference[row] | misclicks)
            if self.config.regenerate:
                signals[row, -1] = acts[-1] & ~preference[row]
        several = {}
        if len(names) > 1:
            negative = (len(names) - 1,) if self.config.regenerate else ()
            several = {"signals": signals, "negative_signals": negative}
        feedback = np.ascontiguousarray(signals[:, 0])
        log = FeedbackLog(self.train.features, feedback, self.train.groups, self.train.context, **several)
        return log, Truth(self.train.reward, self.train.propensity, preference, self.train.always_acts)

    def signal_rates(self) -> dict[str, float]:
        """Share of the training responses with each signal, in expectation over the draws."""
        gamma, alphas = self.train.reward, self.train.propensities
        rates = {name: (alpha * gamma) for name, alpha in zip(self.config.signal_names, alphas, strict=True)}
        rates[POSITIVE[0]] = alphas[0] * (gamma + (1 - gamma) * self.config.misclick)
        if self.config.regenerate:
            rates[NEGATIVE] = alphas[-1] * (1 - gamma)
        return {name: float(rate.mean()) for name, rate in rates.items()}

    def realised_dependence(self) -> float:
        """Correlation of two positive signals' actions given the response, mean over responses and pairs."""
        alphas = self.train.propensities[: self.config.signals]
        pairs = [
            action_correlation(first, second, self.config.signal_dependence).mean()
            for first, second in combinations(alphas, 2)
        ]
        return float(np.mean(pairs)) if pairs else 0.0

    def realised(self) -> dict[str, float]:
        """What the law realised on the training responses, in expectation over the draws."""
        gamma, alpha, eps = self.train.reward, self.train.propensity, self.config.misclick
        positive = gamma.mean()
        return {
            "positive_rate": float(positive),
            "action_rate": float(alpha.mean()),
            "feedback_rate": float((alpha * (gamma + (1 - gamma) * eps)).mean()),
            "positives_without_feedback": float((gamma * (1 - alpha)).mean() / positive),
            "smallest_propensity": float(alpha.min()),
            "propensity_1_percent": float(np.quantile(alpha, 0.01)),
        }


def build(config: WorldConfig, bias_level: float, size: int, seed: int) -> World:
    """Build a world of about ``size`` training responses at one bias level.

    Responses depend on the seed, the world and the size, not on the bias level or the estimator, so
    that curves over the bias level compare the same responses.

    Raises
    ------
    BadInput
        If the bias level is impossible under the law, or the responses cannot be read.
    """
    if bias_level < 0:
        raise BadInput(f"the bias level must not be negative, got {bias_level:g}.")
    if size < 10:
        raise BadInput(f"the size must be at least 10 responses, got {size}.")
    if config.real is None:
        base, is_train, description = _synthetic(config, size, seed)
    else:
        base, is_train, description = _from_real(config, size, seed)
    always = _who_always_acts(config, base.groups, seed)
    alpha = [
        _propensity(config, base, is_train, always, bias_level, seed, name) for name in config.signal_names
    ]
    context = base.context if config.logs_context else None
    more = np.stack(alpha[1:]) if len(alpha) > 1 else None
    whole = Population(base.features, context, base.groups, base.reward, alpha[0], more, always, base.trait)
    train, test = np.flatnonzero(is_train), np.flatnonzero(~is_train)
    return World(config, bias_level, seed, whole.take(train), whole.take(test), description)


@dataclass(frozen=True)
class _Base:
    features: np.ndarray
    context: np.ndarray
    groups: np.ndarray
    reward: np.ndarray
    rating: np.ndarray
    trait: np.ndarray | None = None


def _synthetic(config: WorldConfig, size: int, seed: int) -> tuple[_Base, np.ndarray, str]:
    per_prompt = config.responses_per_prompt
    n_train = max(2, round(size / per_prompt))
    n_prompts = n_train + max(2, round(config.test_size / per_prompt))
    groups = np.repeat(np.arange(n_prompts), per_prompt)
    rng = stream(seed, "responses", config.name, size)
    features = _features(config, groups, n_prompts, rng)
    is_train = groups < n_train
    # The reward function is the world's own: the same at every size.
    signal = _signal(config, features, stream(seed, "reward", config.name))
    reward = _with_base_rate(signal, is_train, config)
    context = _context(config, groups, rng)
    text = f"{int(is_train.sum()):,} responses to {n_train:,} prompts, {config.n_features} features"
    trait = None if config.trait is None else features[:, trait_column(config.trait, config.n_features)]
    return _Base(features, context, groups, reward, _rating_levels(reward), trait), is_train, text


def _features(config: WorldConfig, groups: np.ndarray, n_prompts: int, rng) -> np.ndarray:
    """A quarter of the columns belongs to the prompt and is shared by its responses."""
    shared = max(1, config.n_features // 4)
    prompt = rng.standard_normal((n_prompts, shared))
    response = rng.standard_normal((len(groups), config.n_features - shared))
    return np.concatenate([prompt[groups], response], axis=1).astype(np.float32)


def _signal(config: WorldConfig, features: np.ndarray, rng) -> np.ndarray:
    """Reward logit before scale and intercept; a fixed function of the features."""
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


def _with_base_rate(signal: np.ndarray, is_train: np.ndarray, config: WorldConfig) -> np.ndarray:
    signal = config.reward_scale * (signal - signal[is_train].mean()) / signal[is_train].std()
    b = brentq(lambda b: expit(b + signal[is_train]).mean() - config.base_rate, -50, 50, xtol=1e-13)
    return expit(b + signal)


def _rating_levels(reward: np.ndarray) -> np.ndarray:
    """Ordinal ratings 1 to 5: the true reward cut at its quintiles."""
    return 1.0 + np.searchsorted(np.quantile(reward, [0.2, 0.4, 0.6, 0.8]), reward, side="right")


PAGE = 10  # responses that one user sees at most; a prompt with more is shown to several users


def _context(config: WorldConfig, groups: np.ndarray, rng) -> np.ndarray:
    """User activity (one user a page), position on the page, then session noise; (n, k) float32."""
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


def _who_always_acts(config: WorldConfig, groups: np.ndarray, seed: int) -> np.ndarray | None:
    """Rows whose user always acts when satisfied (paid raters, a forced choice); None if there are none."""
    if config.always_share == 0:
        return None
    draws = stream(seed, "always acts", config.name).random(int(groups.max()) + 1)
    return draws[groups] < config.always_share


def _from_real(config: WorldConfig, size: int, seed: int) -> tuple[_Base, np.ndarray, str]:
    from simbench.data.responses import load_responses

    assert config.real is not None
    total = round(size * 1.25)  # a fifth of the prompts or rows becomes the test set
    data = load_responses(**config.real.model_dump(), trait=config.trait, size=total, seed=seed)
    rng = stream(seed, "responses", config.name, size)
    is_train = _split(data.groups, rng)
    context = _context(config, data.groups, rng)
    features = data.features
    if data.trait is not None:
        features = np.column_stack([features, trait_salience(config.trait, data.trait)]).astype(np.float32)
    base = _Base(features, context, data.groups, data.reward, data.rating, data.trait)
    text = f"{data.description}; {int(is_train.sum()):,} to train, {int((~is_train).sum()):,} to test"
    return base, is_train, text


def _split(groups: np.ndarray, rng) -> np.ndarray:
    """Four fifths to train, by whole prompts; by rows where there are fewer than 20 prompts."""
    names = np.unique(groups)
    if len(names) < 20:
        return rng.permutation(len(groups)) >= len(groups) // 5
    held_out = rng.permutation(names)[: len(names) // 5]
    return ~np.isin(groups, held_out)


def _propensity(
    config: WorldConfig,
    base: _Base,
    is_train: np.ndarray,
    always: np.ndarray | None,
    bias_level: float,
    seed: int,
    signal: str,
) -> np.ndarray:
    """``α`` of every response for one signal; the action rate is solved on the training responses.

    Where some users always act, the others follow the law, at the rate that leaves the mean of all at its
    target. Test responses get the propensity of their own population: it is never scored. The click reads
    the user's activity and the position; every other signal weighs features or context in its own way.
    """
    alpha = np.ones(len(base.reward))
    is_click = signal.split(":")[0] == POSITIVE[0]  # every exposure follows the law of the click
    rng = stream(seed, "salience", config.name, *(() if is_click else (signal,)))
    weight = rng.standard_normal(base.features.shape[1])
    context_weight = rng.standard_normal(base.context.shape[1])
    for part in (is_train, ~is_train):
        rows = part if always is None else part & ~always
        rate = _rate_of_others(config.action_rate, 1 - rows.sum() / part.sum())
        if config.law == "rating":
            alpha[rows] = rating_law(base.rating[rows], bias_level, rate)
            continue
        if config.salience == "context":
            salience = base.context[rows, 0] + base.context[rows, 1].astype(float)
            if not is_click:
                salience = base.context[rows].astype(float) @ context_weight
        elif config.salience == "trait" and is_click:
            assert base.trait is not None
            salience = trait_salience(config.trait, base.trait[rows])
        else:
            salience = base.features[rows].astype(float) @ weight
        reward_logit = logit(np.clip(base.reward[rows], 1e-6, 1 - 1e-6))
        salience = confounded_salience(salience, reward_logit, config.confounding)
        alpha[rows] = logit_law(salience, bias_level, rate)
    return alpha


def _rate_of_others(action_rate: float, always_share: float) -> float:
    """Mean propensity of those who do not always act, that all together may meet the target."""
    rate = (action_rate - always_share) / (1 - always_share)
    if rate <= 0:
        raise BadInput(
            f"{always_share:.0%} of the responses are shown to users who always act, more than the action "
            f"rate {action_rate:g}: lower always_share, or raise the action rate."
        )
    return rate
