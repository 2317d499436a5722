"""A chat: attempts follow each other until one satisfies, or the user's patience ends."""

from typing import Literal

import numpy as np
from pydantic import Field

from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.scene import Scene
from simbench.worlds.sequential import SequentialBehaviour


class Regenerate(SequentialBehaviour):
    """The responses to a prompt are attempts: only the first is sure to be shown.

    A user whom an attempt does not satisfy asks for another with probability ``patience``; one whom it
    satisfies does so with probability ``curiosity``, and else stays and may copy it, by the logit law
    ``logit α = c + λ s`` at bias level λ. Asking for another is logged (``regenerate``), a signal against
    the attempt before; attempts that were never made are not in the log.

    Parameters
    ----------
    action_rate : float in (0, 1)
        Mean probability, over the responses, that a good attempt at which a user stays is copied.
    patience : float in [0, 1]
        Probability that an unsatisfied user asks for another attempt.
    curiosity : float in [0, 1)
        Probability that a satisfied user does.
    reads : {"context", "features"}
        What the salience of copying is made of.
    """

    kind: str = "regenerate"
    reach_is_logged = True

    patience: float = Field(default=0.8, ge=0, le=1)
    curiosity: float = Field(default=0.0, ge=0, lt=1)
    reads: Literal["context", "features"] = "context"

    @property
    def keeps_rate(self) -> bool:
        """Whether no satisfied user leaves before copying."""
        return self.curiosity == 0

    @property
    def logs(self) -> frozenset[str]:
        """The order of attempts and which were made, and the context if users act on it."""
        return super().logs if self.reads == "context" else super().logs - {"context"}

    def steps(self, scene: Scene, bias_level: float) -> np.ndarray:
        """Unsatisfied: go on or give up. Satisfied: go on, copy, or neither."""
        law = Logit(reads=self.reads, action_rate=self.action_rate)
        copies = law.propensity(scene, bias_level, self.action_rate, "click")
        steps = np.zeros((scene.n_rows, 2, 2, 2))
        steps[:, 0, 0] = [1 - self.patience, self.patience]
        steps[:, 1, 0, 1] = self.curiosity
        steps[:, 1, 1, 0] = (1 - self.curiosity) * copies
        steps[:, 1, 0, 0] = (1 - self.curiosity) * (1 - copies)
        return steps
