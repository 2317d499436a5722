"""The logit law: users act on what draws their attention, ``logit α = c + λ s``."""

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import logit

from simbench.files.matrix import product
from simbench.worlds.behaviour import PointwiseBehaviour
from simbench.worlds.laws import confounded_salience, logit_law
from simbench.worlds.scene import Scene
from simbench.worlds.signals import POSITIVE
from simbench.worlds.traits import trait_salience


class Logit(PointwiseBehaviour):
    """Users act on a salience of the response; the bias level is its weight ``λ``.

    Parameters
    ----------
    action_rate : float in (0, 1)
        Mean propensity on the logged responses.
    reads : {"context", "features", "trait"}
        What the salience is made of: the context (exclusion), the features that the reward reads too, or the
        world's trait. Of the context, a click reads the user's activity and the position; every other signal
        weighs context or features in its own way.
    confounding : float in [-1, 1]
        ``ρ``, the correlation of the salience with the reward's logit.
    """

    kind: str = "logit"
    reads: Literal["context", "features", "trait"] = "context"
    confounding: float = Field(default=0.0, ge=-1, le=1)

    @property
    def logs(self) -> frozenset[str]:
        """The context, if users act on it."""
        return frozenset({"context"}) if self.reads == "context" else frozenset()

    @property
    def reads_trait(self) -> bool:
        """Whether the trait is what the salience is made of."""
        return self.reads == "trait"

    @property
    def reads_reward(self) -> bool:
        """Whether there is confounding."""
        return self.confounding != 0

    def propensity(self, scene: Scene, bias_level: float, action_rate: float, signal: str) -> np.ndarray:
        """``σ(c + λ s)``, shape (n,), with ``c`` such that the mean is ``action_rate``."""
        reward_logit = logit(np.clip(scene.reward, 1e-6, 1 - 1e-6))
        salience = confounded_salience(self._salience(scene, signal), reward_logit, self.confounding)
        return logit_law(salience, bias_level, action_rate)

    def _salience(self, scene: Scene, signal: str) -> np.ndarray:
        is_click = signal == POSITIVE[0]
        rng = scene.rng("salience", *(() if is_click else (signal,)))
        # both are always drawn, so that neither depends on what is read
        weight = rng.standard_normal(scene.features.shape[1])
        context_weight = rng.standard_normal(scene.context.shape[1])
        if self.reads == "context":
            if is_click:
                return scene.context[:, 0] + scene.context[:, 1].astype(float)
            return scene.context.astype(float) @ context_weight
        if self.reads == "trait" and is_click:
            assert scene.trait is not None  # a world whose responses have none is refused
            return trait_salience(scene.trait_name, scene.trait)
        return product(scene.features, weight)
