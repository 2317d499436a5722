"""The contract of a behaviour: a way in which users act."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import get_annotations
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simbench.errors import BadInput
from simbench.worlds.channel import Channel, RatedSignalsLaw, SignalsLaw
from simbench.worlds.law import Law
from simbench.worlds.scene import Scene


class BehaviourError(Exception):
    """What a behaviour from outside did instead of answering, in one line."""


class Behaviour(BaseModel, ABC):
    """A way in which users act on whole pages, at any bias level.

    Parameters
    ----------
    kind : str
        Name under which the behaviour is found; by default ``module:Class``.
    action_rate : float in (0, 1)
        Mean propensity on the logged responses.

    Attributes
    ----------
    scar_at_0 : bool
        Declares that at bias level 0 every response has the same propensity.
    composes : frozenset of str
        Settings of :class:`simbench.worlds.channel.Channel` that it can be combined with, and "users" if it
        can be combined with :class:`simbench.worlds.users.Users`.
    """

    # not as keywords of the class, which type checkers would ask of every subclass again
    model_config = ConfigDict(frozen=True, extra="forbid")

    scar_at_0: ClassVar[bool] = True
    composes: ClassVar[frozenset[str]] = frozenset()

    kind: str = ""
    action_rate: float = Field(default=0.3, gt=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _is_named(cls, values: Any) -> Any:
        # a subclass is another behaviour: it does not inherit the name
        own = "kind" in get_annotations(cls)
        named = (own and cls.model_fields["kind"].default) or f"{cls.__module__}:{cls.__qualname__}"
        return {"kind": named, **values} if isinstance(values, Mapping) else values

    @abstractmethod
    def law(self, scene: Scene, bias_level: float, channel: Channel) -> Law:
        """How users act on the responses of a scene.

        Parameters
        ----------
        scene : Scene
        bias_level : float
            How unequally users act, at least 0.
        channel : Channel
            What is logged; only settings that the behaviour composes with differ from a plain channel.

        Raises
        ------
        BadInput
            If the bias level is impossible.
        """

    @property
    def keeps_rate(self) -> bool:
        """Declares that the mean propensity is ``action_rate`` at every bias level."""
        return True

    @property
    def logs(self) -> frozenset[str]:
        """What the log holds besides features and feedback: "context", "pages", "attempts"."""
        return frozenset()

    @property
    def reads_trait(self) -> bool:
        """Whether acting depends on the trait of the responses, which then must have one."""
        return False

    @property
    def reads_reward(self) -> bool:
        """Whether acting depends on the reward beyond what the log tells of it."""
        return False

    def signal_names(self, channel: Channel) -> tuple[str, ...]:
        """Names of the logged signals; the first is the feedback."""
        return channel.signal_names


class PointwiseBehaviour(Behaviour):
    """A behaviour whose users act on every response by itself: all that it states is a propensity."""

    composes: ClassVar[frozenset[str]] = frozenset({*Channel.model_fields, "users"})

    @abstractmethod
    def propensity(self, scene: Scene, bias_level: float, action_rate: float, signal: str) -> np.ndarray:
        """Propensity of one signal.

        Parameters
        ----------
        scene : Scene
        bias_level : float
            How unequally users act, at least 0.
        action_rate : float in (0, 1)
            Mean propensity to meet.
        signal : str
            Name of the signal: "click", "copy", "upvote", "regenerate".

        Returns
        -------
        ndarray, shape (n,), in (0, 1]; or (L, 1) for the L levels of ``scene.ratings``.
        """

    def law(self, scene: Scene, bias_level: float, channel: Channel) -> Law:
        """Every signal has the propensity of its kind; users who always act have propensity 1."""
        # every exposure follows the law of the click
        kinds = [name.split(":")[0] for name in channel.signal_names]
        alphas = [self._with_those_who_always_act(scene, bias_level, kind) for kind in kinds]
        if scene.ratings is not None and alphas[0].ndim == 2:
            return RatedSignalsLaw(scene.ratings, np.stack(alphas), channel)
        return SignalsLaw(scene.reward, np.stack(alphas), channel)

    def _with_those_who_always_act(self, scene: Scene, bias_level: float, signal: str) -> np.ndarray:
        """The others follow the law at the rate that keeps the mean of all at its target."""
        if scene.always_acts is None:
            alpha = np.asarray(self.propensity(scene, bias_level, self.action_rate, signal), dtype=float)
            return alpha if alpha.ndim == 1 else np.broadcast_to(alpha, (len(alpha), scene.n_rows))
        others = np.flatnonzero(~scene.always_acts)
        rate = rate_of_others(self.action_rate, 1 - len(others) / scene.n_rows)
        alpha = self.propensity(scene.take(others), bias_level, rate, signal)
        whole = np.ones((*alpha.shape[:-1], scene.n_rows))
        whole[..., others] = alpha
        return whole


def rate_of_others(action_rate: float, always_share: float) -> float:
    """Mean propensity of those who do not always act, such that the mean of all meets the target.

    Raises
    ------
    BadInput
        If those who always act are more than the action rate.
    """
    rate = (action_rate - always_share) / (1 - always_share)
    if rate <= 0:
        raise BadInput(
            f"{always_share:.0%} of the responses are shown to users who always act, more than the "
            f"action rate {action_rate:g}: lower always_share, or raise the action rate."
        )
    return rate
