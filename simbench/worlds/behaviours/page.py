"""Position-based examination: users look at the first responses of a page more often than at the last."""

import numpy as np

from simbench.worlds.behaviour import PointwiseBehaviour
from simbench.worlds.laws import rank_law
from simbench.worlds.scene import Scene


class PositionBased(PointwiseBehaviour):
    """Users act by ``α = min(1, k (1 + rank)^-η)``, whatever stands there; the bias level is ``η``.

    Parameters
    ----------
    action_rate : float in (0, 1)
        Mean propensity on the logged responses.
    """

    kind: str = "page"

    @property
    def logs(self) -> frozenset[str]:
        """The place of each response, and the context, which holds it too."""
        return frozenset({"context", "pages"})

    def propensity(self, scene: Scene, bias_level: float, action_rate: float, signal: str) -> np.ndarray:
        """The same for every signal, shape (n,): who does not look does nothing."""
        return rank_law(scene.rank, bias_level, action_rate)
