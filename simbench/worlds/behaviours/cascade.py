"""The cascade: users go down a page until a response satisfies them."""

import numpy as np

from simbench.errors import BadInput
from simbench.worlds.scene import Scene
from simbench.worlds.sequential import SequentialBehaviour, reached


class Cascade(SequentialBehaviour):
    """Users read from the top; one whom a response satisfies acts on it with probability ``c``, and stops
    with probability ``λ``, acted or not. The bias level is ``λ``: at 0 everybody reads the whole page, at 1
    nobody reads on behind a good response (Craswell, Zoeter, Taylor, Ramsey, WSDM 2008).

    So a response is clicked less where the responses above it are good. ``c`` is such that the mean
    propensity is ``action_rate``.

    Parameters
    ----------
    action_rate : float in (0, 1)
        Mean propensity on the logged responses.
    """

    kind: str = "cascade"

    @property
    def reads_reward(self) -> bool:
        """Users reach a response or not by how good those above it are."""
        return True

    def steps(self, scene: Scene, bias_level: float) -> np.ndarray:
        """Given a good response the user acts with ``c`` and goes on with ``1 - λ``; else goes on."""
        if not 0 <= bias_level <= 1:
            raise BadInput(
                f"bias level {bias_level:g} is not possible with the behaviour cascade, where it is the "
                "probability that a satisfied user stops: choose one in [0, 1]."
            )
        acts = self.action_rate / float(reached(1 - bias_level * scene.reward, scene.pages).mean())
        if acts > 1:
            raise BadInput(
                f"with the behaviour cascade at bias level {bias_level:g} users reach only "
                f"{self.action_rate / acts:.0%} of the responses, less than the action rate "
                f"{self.action_rate:g}: lower one of them."
            )
        steps = np.zeros((scene.n_rows, 2, 2, 2))
        steps[:, 0, 0, 1] = 1.0
        of_action, of_going_on = np.array([1 - acts, acts]), np.array([bias_level, 1 - bias_level])
        steps[:, 1] = of_action[:, None] * of_going_on
        return steps
