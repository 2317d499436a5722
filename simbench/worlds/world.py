"""Worlds: responses with a known true reward, and the logs that biased users leave."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog, Truth
from simbench.streams import stream
from simbench.worlds.behaviour import BehaviourError
from simbench.worlds.channel import SignalsLaw
from simbench.worlds.config import WorldConfig
from simbench.worlds.law import Drawn, Law
from simbench.worlds.order import placed
from simbench.worlds.population import Population
from simbench.worlds.presets import preset
from simbench.worlds.responses import RatedFile, RatingLink, ResponseSet, from_file, position_of, synthetic
from simbench.worlds.rewards import rewarded
from simbench.worlds.scene import Scene
from simbench.worlds.signals import NEGATIVE
from simbench.worlds.users import UsersLaw, users_of

LARGEST_BIAS_LEVEL = 1e6  # long before it, every user acts always or never
MOST_RESPONSES = 10**9


@dataclass(frozen=True)
class World:
    """A built world: training responses, held-out test responses, and how users act on them.

    Parameters
    ----------
    config : WorldConfig
        What the world was built from.
    bias_level : float
        How unequally users act.
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
        drawn = [self.drawn(replicate) for replicate in replicates]
        signals = np.stack([one.signals for one in drawn]).astype(np.float32)
        names, train = self.config.signal_names, self.train
        more: dict[str, Any] = {}
        if len(names) > 1:
            negative = tuple(number for number, name in enumerate(names) if name == NEGATIVE)
            more = {"signals": signals, "negative_signals": negative}
        if "pages" in self.config.behaviour.logs:
            more |= {"page": train.page, "rank": train.rank}
        if train.user is not None:
            more["user"] = train.user
        if drawn[0].shown is not None:
            more["shown"] = np.stack([one.shown for one in drawn if one.shown is not None])
        feedback = np.ascontiguousarray(signals[:, 0])
        log = FeedbackLog(train.features, feedback, train.groups, train.context, **more)
        preference = np.stack([one.preference for one in drawn])
        propensity, of_good = train.propensity, None
        if drawn[0].propensity is not None:
            propensity = np.stack([one.propensity for one in drawn if one.propensity is not None])
            of_good = train.propensity
        shown = train.law.shown_probability
        return log, Truth(train.reward, propensity, preference, train.always_acts, of_good, shown)

    def drawn(self, replicate: int) -> Drawn:
        """Draw one replicate, by its number: what users thought of the training responses, and did."""
        return self.train.law.draw(stream(self.seed, "feedback", self.config.name, replicate))

    def signal_rates(self) -> dict[str, float]:
        """Return the expected share of the training responses with each signal, by its name."""
        rates = self.train.law.signal_probabilities
        return {name: float(rate.mean()) for name, rate in zip(self.config.signal_names, rates, strict=True)}

    def realised(self) -> dict[str, float]:
        """Return what the law amounts to on the training responses, in expectation over the draws."""
        gamma, alpha, law = self.train.reward, self.train.propensity, self.train.law
        positive = gamma.mean()
        return {
            "positive_rate": float(positive),
            "action_rate": float(law.action_probability.mean()),
            "feedback_rate": float(law.signal_probabilities[0].mean()),
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
        How unequally users act.
    size : int
        Number of training responses, at least 10.
    seed : int
        Seed of the responses and of all logs.

    Raises
    ------
    BadInput
        If the bias level is impossible under the behaviour, or the responses cannot be read.
    """
    if not (bias_level >= 0 and np.isfinite(bias_level)):
        raise BadInput(f"the bias level must be a number of at least 0, got {bias_level:g}.")
    if bias_level > LARGEST_BIAS_LEVEL:
        raise BadInput(f"the bias level must be at most {LARGEST_BIAS_LEVEL:g}, got {bias_level:g}.")
    if size < 10:
        raise BadInput(f"the size must be at least 10 responses, got {size}.")
    if size > MOST_RESPONSES:
        raise BadInput(f"the size must be at most {MOST_RESPONSES:,} responses, got {size:,}.")
    responses = _responses(config, size, seed)
    whole = _scene(config, responses, seed)
    train, test = (
        _population(config, whole.take(np.flatnonzero(part)), bias_level)
        for part in (responses.is_train, ~responses.is_train)
    )
    return World(config, bias_level, seed, train, test, responses.description)


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
        How unequally users act.
    size : int, optional
        Number of training responses; by default the preset's own.
    seed : int
        Seed of the responses and of all logs.
    **changes
        Settings to change, such as ``misclick=0.05`` or ``behaviour="mypackage:MyBehaviour"``; see
        :meth:`simbench.worlds.config.WorldConfig.changed`.

    Raises
    ------
    BadInput
        If there is no such preset or setting, or the bias level is impossible.
    """
    config = preset(name).changed(**changes)
    return build(config, bias_level, config.default_size if size is None else size, seed)


def _responses(config: WorldConfig, size: int, seed: int) -> ResponseSet:
    if isinstance(config.responses, RatedFile):
        assert isinstance(config.reward, RatingLink)
        return from_file(config.responses, config.reward, config.name, size, seed)
    return synthetic(config.responses, config.name, size, seed)


def _scene(config: WorldConfig, responses: ResponseSet, seed: int) -> Scene:
    """All responses with their reward, logged and held out."""
    worth = rewarded(config.reward, responses, config.name, seed)
    page, context, user = responses.pages.page, responses.context.copy(), None
    rank = placed(config.order, page, responses.pages.rank, worth.reward, stream(seed, "order", config.name))
    if config.order.ranked > 0:
        context[:, 1] = position_of(rank)
    if config.users is not None:
        rng = stream(seed, "users", config.name)
        user = users_of(page, config.users, rng)
        # what the log knows of a user's activity is the same on all of the user's pages
        context[:, 0] = rng.standard_normal(int(user.max()) + 1)[user]
    return Scene(
        features=responses.features,
        context=context,
        groups=responses.groups,
        reward=worth.reward,
        rating=worth.rating,
        page=page,
        rank=rank,
        seed=seed,
        world=config.name,
        trait=responses.trait,
        trait_name=config.responses.trait,
        ratings=worth.ratings,
        always_acts=_who_always_acts(config, responses.groups, seed),
        user=user,
    )


def _population(config: WorldConfig, scene: Scene, bias_level: float) -> Population:
    """The responses of a scene, and the law by which users act on them.

    Test responses get the law of their own population, which is never scored.
    """
    law = _law(config, scene, bias_level)
    if config.users is not None and scene.user is not None:
        law = UsersLaw(_independent(law), config.users, scene.user)
    context = scene.context if config.logs_context else None
    own = (scene.features, context, scene.groups, law, scene.page, scene.rank)
    return Population(*own, scene.always_acts, scene.trait, scene.user)


def _law(config: WorldConfig, scene: Scene, bias_level: float) -> Law:
    where = f"the behaviour {config.behaviour.kind!r} fails in the world {config.name!r} at bias level"
    try:
        law = config.behaviour.law(scene, bias_level, config.channel)
        wrong = _impossible(law, scene.n_rows)
    except BadInput:
        raise
    except BehaviourError as error:
        raise BadInput(f"{where} {bias_level:g}: {error}.") from error
    except (Exception, SystemExit) as error:  # other people's code runs here: whatever it raises
        raise BadInput(f"{where} {bias_level:g}: {type(error).__name__}: {error}.") from error
    if wrong:
        raise BadInput(f"{where} {bias_level:g}: {wrong}.")
    return law


def _impossible(law: Law, n: int) -> str:
    """What of a law's reward and propensity cannot be; empty if all can."""
    for name, values in (("reward", law.reward), ("propensity", law.propensity)):
        if np.shape(values) != (n,):
            return f"its {name} has shape {np.shape(values)}, not ({n},)"
        impossible = ~((values >= 0) & (values <= 1))  # NaN is not in either
        if impossible.any():
            return f"its {name} is not a probability on {int(impossible.sum()):,} rows"
    return ""


def _independent(law: Law) -> SignalsLaw:
    if type(law) is not SignalsLaw:
        raise BadInput("users who differ cannot yet act on ratings that are drawn: leave out `users`.")
    return law


def _who_always_acts(config: WorldConfig, groups: np.ndarray, seed: int) -> np.ndarray | None:
    """Rows whose users always act when satisfied (paid raters, a forced choice); None without such users."""
    if config.channel.always_share == 0:
        return None
    draws = stream(seed, "always acts", config.name).random(int(groups.max()) + 1)
    return draws[groups] < config.channel.always_share
