"""Worlds: responses with a known true reward, and the logs that biased users leave."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from pydantic import ValidationError
from scipy.special import logit

from simbench.errors import BadInput
from simbench.files.matrix import Matrix, product, take_rows
from simbench.log.feedback import FeedbackLog, Truth
from simbench.streams import stream
from simbench.worlds.config import WorldConfig
from simbench.worlds.laws import confounded_salience, logit_law, rating_law
from simbench.worlds.presets import preset
from simbench.worlds.ratings import RatedPopulation, rate
from simbench.worlds.responses import Base, from_real, synthetic
from simbench.worlds.signals import NEGATIVE, POSITIVE, action_correlation, dependent_actions
from simbench.worlds.traits import trait_salience


@dataclass(frozen=True)
class Population:
    """Responses, their true reward and their propensities, before users act; n rows.

    Parameters
    ----------
    features : ndarray or MappedMatrix, shape (n, d), float32
        Response features ``x``.
    context : ndarray, shape (n, k), float32, or None
        Context ``z``, if the log holds it.
    groups : ndarray, shape (n,)
        Prompt ids.
    reward : ndarray, shape (n,), in [0, 1]
        ``γ(x)``.
    propensity : ndarray, shape (n,), in (0, 1]
        ``α`` of the first signal. If ratings are drawn, ``P(a=1 | r*=1, x)``: multiplied by the reward, it is
        the probability of feedback in this case too.
    more_propensities : ndarray, shape (K - 1, n), optional
        ``α`` of the further signals.
    always_acts : ndarray, shape (n,), bool, optional
        Responses whose users always act.
    rated : RatedPopulation, optional
        The distribution of ratings, if they are drawn.
    trait : ndarray, shape (n,), optional
        The world's named property of the responses, in its own unit.
    """

    features: Matrix
    context: np.ndarray | None
    groups: np.ndarray
    reward: np.ndarray
    propensity: np.ndarray
    more_propensities: np.ndarray | None = None
    always_acts: np.ndarray | None = None
    rated: RatedPopulation | None = None
    trait: np.ndarray | None = None

    @property
    def propensities(self) -> np.ndarray:
        """Propensities of every signal, shape (K, n)."""
        if self.more_propensities is None:
            return self.propensity[None]
        return np.concatenate([self.propensity[None], self.more_propensities])

    def take(self, rows: np.ndarray) -> "Population":
        """Return the population of some of the responses."""
        context = None if self.context is None else self.context[rows]
        more = None if self.more_propensities is None else self.more_propensities[:, rows]
        always = None if self.always_acts is None else self.always_acts[rows]
        rated = None if self.rated is None else self.rated.take(rows)
        trait = None if self.trait is None else self.trait[rows]
        own = (take_rows(self.features, rows), context, self.groups[rows], self.reward[rows])
        return Population(*own, self.propensity[rows], more, always, rated, trait)


@dataclass(frozen=True)
class World:
    """A built world: training responses, held-out test responses, and how users act on them.

    Parameters
    ----------
    config : WorldConfig
        What the world was built from.
    bias_level : float
        How unequally users act; 0 is SCAR.
    seed : int
        Seed of the responses and of all logs.
    train, test : Population
        Logged and held-out responses.
    description : str
        One line about the responses.
    """

    config: WorldConfig
    bias_level: float
    seed: int
    train: Population
    test: Population
    description: str

    def draw(self, replicates: range) -> tuple[FeedbackLog, Truth]:
        """Draw the feedback of some replicates on the training responses.

        Replicate ``i`` is the same in every range that holds it, and for every estimator.

        Parameters
        ----------
        replicates : range
            Numbers of the R replicates.

        Returns
        -------
        log : FeedbackLog
            Feedback of shape (R, n); neither propensity nor prior is granted yet.
        truth : Truth
            What is true of that log.
        """
        if self.train.rated is not None:
            return self._draw_rated(self.train.rated, replicates)
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

    def _draw_rated(self, rated: RatedPopulation, replicates: range) -> tuple[FeedbackLog, Truth]:
        """Draw, per replicate, a rating of every response, the preference it implies, and an action on it."""
        shape = (len(replicates), len(self.train.reward))
        preference, propensity = np.empty(shape, dtype=bool), np.empty(shape)
        feedback = np.empty(shape, dtype=np.float32)
        for row, replicate in enumerate(replicates):
            rng = stream(self.seed, "feedback", self.config.name, replicate)
            uniform = rng.random((2, shape[1]))
            level = rated.drawn(uniform[0])
            preference[row], propensity[row] = rated.good[level], rated.level_propensity[level]
            feedback[row] = preference[row] & (uniform[1] < propensity[row])
        log = FeedbackLog(self.train.features, feedback, self.train.groups)
        return log, Truth(self.train.reward, propensity, preference, None, self.train.propensity)

    def signal_rates(self) -> dict[str, float]:
        """Return the expected share of the training responses with each signal, by its name."""
        gamma, alphas = self.train.reward, self.train.propensities
        rates = {name: (alpha * gamma) for name, alpha in zip(self.config.signal_names, alphas, strict=True)}
        rates[POSITIVE[0]] = alphas[0] * (gamma + (1 - gamma) * self.config.misclick)
        if self.config.regenerate:
            rates[NEGATIVE] = alphas[-1] * (1 - gamma)
        return {name: float(rate.mean()) for name, rate in rates.items()}

    def realised_dependence(self) -> float:
        """Return the correlation of the actions of two positive signals given the response.

        It is the mean over training responses and pairs of signals; 0 if there is one signal.
        """
        alphas = self.train.propensities[: self.config.signals]
        pairs = [
            action_correlation(first, second, self.config.signal_dependence).mean()
            for first, second in combinations(alphas, 2)
        ]
        return float(np.mean(pairs)) if pairs else 0.0

    def realised(self) -> dict[str, float]:
        """Return what the law amounts to on the training responses, in expectation over the draws."""
        gamma, alpha, eps = self.train.reward, self.train.propensity, self.config.misclick
        positive, rated = gamma.mean(), self.train.rated
        acted = alpha if rated is None else rated.action_probability
        return {
            "positive_rate": float(positive),
            "action_rate": float(acted.mean()),
            "feedback_rate": float((alpha * (gamma + (1 - gamma) * eps)).mean()),
            "positives_without_feedback": float((gamma * (1 - alpha)).mean() / positive),
            "smallest_propensity": float(alpha.min()),
            "propensity_1_percent": float(np.quantile(alpha, 0.01)),
        }


def build(config: WorldConfig, bias_level: float, size: int, seed: int) -> World:
    """Build a world of about ``size`` training responses at one bias level.

    The responses depend on the seed, the world and the size, but not on the bias level, so that curves over
    the bias level compare the same responses.

    Parameters
    ----------
    config : WorldConfig
        The world.
    bias_level : float
        How unequally users act; 0 is SCAR.
    size : int
        Number of training responses, at least 10.
    seed : int
        Seed of the responses and of all logs.

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
        base, is_train, description = synthetic(config, size, seed)
    else:
        base, is_train, description = from_real(config, size, seed)
    if config.ratings is not None and base.signal is not None:
        law = (bias_level, config.action_rate, config.capped)
        rated = rate(config.ratings, base.signal, is_train, *law)
        own = (base.features, None, base.groups, rated.reward, rated.propensity_of_good)
        whole = Population(*own, rated=rated)
    else:
        whole = _population(config, base, is_train, bias_level, seed)
    train, test = np.flatnonzero(is_train), np.flatnonzero(~is_train)
    return World(config, bias_level, seed, whole.take(train), whole.take(test), description)


def world(
    name: str = "exclusive",
    *,
    bias_level: float = 0.8,
    size: int | None = None,
    seed: int = 0,
    **changes: Any,
) -> World:
    """Build a world by its name, ready to :meth:`~World.draw` logs from.

    Parameters
    ----------
    name : str
        Name of a preset; ``simbench list worlds`` prints them.
    bias_level : float
        How unequally users act; 0 is SCAR.
    size : int, optional
        Number of training responses; by default the preset's own.
    seed : int
        Seed of the responses and of all logs.
    **changes
        Settings of :class:`simbench.worlds.config.WorldConfig` to change, such as ``misclick=0.05``.

    Raises
    ------
    BadInput
        If there is no such preset or setting, or the bias level is impossible.
    """
    config = preset(name)
    try:
        config = WorldConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the world"
        raise BadInput(f"{where}: {first['msg']}, got {first['input']!r}.") from error
    return build(config, bias_level, config.default_size if size is None else size, seed)


def _population(
    config: WorldConfig, base: Base, is_train: np.ndarray, bias_level: float, seed: int
) -> Population:
    """Responses whose preference and actions are independent of each other given what is logged."""
    always = _who_always_acts(config, base.groups, seed)
    alpha = [
        _propensity(config, base, is_train, always, bias_level, seed, name) for name in config.signal_names
    ]
    context = base.context if config.logs_context else None
    more = np.stack(alpha[1:]) if len(alpha) > 1 else None
    own = (base.features, context, base.groups, base.reward, alpha[0])
    return Population(*own, more, always, trait=base.trait)


def _who_always_acts(config: WorldConfig, groups: np.ndarray, seed: int) -> np.ndarray | None:
    """Rows whose users always act when satisfied (paid raters, a forced choice); None without such users."""
    if config.always_share == 0:
        return None
    draws = stream(seed, "always acts", config.name).random(int(groups.max()) + 1)
    return draws[groups] < config.always_share


def _propensity(
    config: WorldConfig,
    base: Base,
    is_train: np.ndarray,
    always: np.ndarray | None,
    bias_level: float,
    seed: int,
    signal: str,
) -> np.ndarray:
    """``α`` of every response for one signal; the action rate is solved on the training responses.

    If some users always act, the others follow the law at the rate that keeps the mean of all at its target.
    Test responses get the propensity of their own population, which is never scored. The click reads the
    user's activity and the position; every other signal weighs features or context in its own way.
    """
    alpha = np.ones(len(base.reward))
    is_click = signal.split(":")[0] == POSITIVE[0]  # every exposure follows the law of the click
    rng = stream(seed, "salience", config.name, *(() if is_click else (signal,)))
    weight = rng.standard_normal(base.features.shape[1])
    context_weight = rng.standard_normal(base.context.shape[1])
    for part in (is_train, ~is_train):
        rows = part if always is None else part & ~always
        mean_rate = _rate_of_others(config.action_rate, 1 - rows.sum() / part.sum())
        if config.law == "rating":
            alpha[rows] = rating_law(base.rating[rows], bias_level, mean_rate, None, config.capped)
            continue
        if config.salience == "context":
            salience = base.context[rows, 0] + base.context[rows, 1].astype(float)
            if not is_click:
                salience = base.context[rows].astype(float) @ context_weight
        elif config.salience == "trait" and is_click:
            assert base.trait is not None
            salience = trait_salience(config.trait, base.trait[rows])
        else:
            salience = product(take_rows(base.features, np.flatnonzero(rows)), weight)
        reward_logit = logit(np.clip(base.reward[rows], 1e-6, 1 - 1e-6))
        salience = confounded_salience(salience, reward_logit, config.confounding)
        alpha[rows] = logit_law(salience, bias_level, mean_rate)
    return alpha


def _rate_of_others(action_rate: float, always_share: float) -> float:
    """Mean propensity of those who do not always act, such that the mean of all meets the target."""
    rate = (action_rate - always_share) / (1 - always_share)
    if rate <= 0:
        raise BadInput(
            f"{always_share:.0%} of the responses are shown to users who always act, more than the action "
            f"rate {action_rate:g}: lower always_share, or raise the action rate."
        )
    return rate
