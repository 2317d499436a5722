"""Weighted matrix factorisation's loss, on a network instead of factors."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, sigmoid

from simbench.estimator.estimator import Estimator
from simbench.training.samples import Batch, Outputs


class WMF(Estimator):
    """Squared loss that weighs missing clicks less: ``r (1 - γ̂)² + w (1 - r) γ̂²``.

    The paper weights clicks *up* by a confidence ``1 + κ count``; with binary feedback only the ratio of
    the two weights matters, here ``1 : w``. The minimiser is ``p / (p + w (1 - p))`` of the click
    probability ``p``: the order of naive, pushed up.

    Parameters
    ----------
    weight : float in (0, 1]
        Weight ``w`` of a missing click.
    """

    name = "wmf"
    assumption = "none under which it is unbiased; w below 1 hedges against missing clicks"
    source = "Hu, Koren, Volinsky, ICDM 2008"

    weight: Annotated[float, Field(gt=0, le=1)] = 0.3

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        reward, r = sigmoid(out.reward), batch.feedback
        return r * (1 - reward).square() + self.weight * (1 - r) * reward.square()
