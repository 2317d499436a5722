"""The rating power law of the published protocol: users act on better rated responses more."""

import numpy as np

from simbench.worlds.behaviour import PointwiseBehaviour
from simbench.worlds.laws import rating_law
from simbench.worlds.scene import Scene


class Rating(PointwiseBehaviour):
    """Users act by ``α = min(1, k κ^(5-t))`` on the rating ``t``; the bias level is ``1 - κ``.

    Where ratings are drawn per log, users act on the rating that is drawn, which decides the preference too:
    then ``r*`` and the action depend on each other given x (see ``docs/twins.md``).

    Parameters
    ----------
    action_rate : float in (0, 1)
        Mean propensity on the logged responses.
    capped : bool
        False for the law as published, whose scale ignores the cap at 1: the realised rate falls below
        ``action_rate``.
    """

    kind: str = "rating"
    capped: bool = True

    @property
    def keeps_rate(self) -> bool:
        """Whether the scale is solved with the cap."""
        return self.capped

    def kappa(self, bias_level: float) -> float:
        """The published parameter ``κ`` at a bias level."""
        return 1 - bias_level

    def propensity(self, scene: Scene, bias_level: float, action_rate: float, signal: str) -> np.ndarray:
        """The propensity of each response, (n,), or of each level of drawn ratings, (L, 1)."""
        drawn = scene.ratings
        if drawn is None:
            return rating_law(scene.rating, bias_level, action_rate, None, self.capped)
        # a scale for the shares, not for one draw of ratings: the law is the same in every replicate
        return rating_law(drawn.levels, bias_level, action_rate, drawn.shares, self.capped)[:, None]
