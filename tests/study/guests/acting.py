"""Behaviours from outside for tests: some act as they should, others do what no study may suffer from."""

import ctypes
import os
import sys
import time
from dataclasses import replace

import numpy as np

from simbench import PointwiseBehaviour
from simbench.errors import BadInput
from simbench.worlds.behaviour import Behaviour
from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.sequential import SequentialBehaviour


class Steep(PointwiseBehaviour):
    """Users act on responses whose first feature is large."""

    weight: float = 1.0
    features: tuple[int, ...] = (0,)

    @property
    def keeps_rate(self) -> bool:
        return False

    def propensity(self, scene, bias_level, action_rate, signal):
        score = scene.features[:, list(self.features)].sum(1) * bias_level * self.weight
        return action_rate / (action_rate + (1 - action_rate) * np.exp(-score.astype(float)))


class Patient(SequentialBehaviour):
    """Users act on what is good half of the time, and go on unless they act."""

    @property
    def keeps_rate(self) -> bool:
        return False

    def steps(self, scene, bias_level):
        acts = np.array([0.0, 0.5])[:, None]  # by preference
        goes_on = np.array([1 / (1 + bias_level), 0.5])[None]  # by action
        of_action = np.concatenate([1 - acts, acts], axis=1)
        table = of_action[:, :, None] * np.stack([1 - goes_on, goes_on], axis=-1)
        return np.broadcast_to(table, (scene.n_rows, 2, 2, 2)).copy()


class Starred(Rating):
    """Users act on ratings."""


class Shadowing(Steep):
    """Calls a setting what something else is called."""

    asked: int = 1


class Lawful(Behaviour):
    """States a law of its own: that of Steep."""

    def law(self, scene, bias_level, channel):
        return Steep().law(scene, bias_level, channel)


class Exits(Steep):
    def propensity(self, *_):
        os._exit(0)


class Leaves(Steep):
    def propensity(self, *_):
        sys.exit(0)


class Crashes(Steep):
    def propensity(self, *_):
        ctypes.string_at(0)


class Hangs(Steep):
    def propensity(self, *_):
        time.sleep(1000)


class Loud(Steep):
    def propensity(self, *given):
        print("x" * 3_000_000)
        return super().propensity(*given)


class Raises(Steep):
    def propensity(self, *_):
        raise ValueError("[red]no[/red] [/]")


class Refuses(Steep):
    def propensity(self, *_):
        raise BadInput("the level is too low for my users.")


class Unsure(Steep):
    def propensity(self, scene, *_):
        return np.full(scene.n_rows, np.nan)


class Short(Steep):
    def propensity(self, scene, *_):
        return np.full(3, 0.5)


class Unlawful(Behaviour):
    """States a law that cannot draw."""

    how: str = "exits"

    def law(self, scene, bias_level, channel):
        law = Steep().law(scene, bias_level, channel)
        usual = law.draw

        def draw(rng):
            if self.how == "exits":
                os._exit(0)
            return replace(usual(rng), preference=np.zeros(3, dtype=bool))

        law.draw = draw
        return law
