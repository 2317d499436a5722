"""ReCRec-F as published code writes it."""

from torch import Tensor

from simbench.training.samples import Batch, Outputs
from simbench_estimators.exposure_em import ReCRec


class ReCRecPublished(ReCRec):
    """ReCRec-F on all clicks and four unclicked responses per click, drawn in each epoch with replacement.

    Here weights ``r/(5ρ) + (1-r) 4/(5(1-ρ))``, with the feedback rate ρ, replace the draws: they are their
    expectation. One click in five is a prior shift that is never corrected, so the product of exposure and
    preference is fitted to ``p/ρ / (p/ρ + 4(1-p)/(1-ρ))`` in place of ``p``. The published isotonic
    regression on clean labels, which only this estimator has, is a switch of the protocol.
    """

    name = "recrec@published"
    source = "public code of the baselines of arXiv 2603.23184 (ReCRec-F); after Lin et al., ACM TOIS 2024"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return drawn_weight(batch) * super().reward_loss(out, batch)

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return drawn_weight(batch) * super().auxiliary_loss(out, batch)


def drawn_weight(batch: Batch) -> Tensor:
    """Expected number of draws of each response, scaled to a mean of 1 over the log; shape (..., b)."""
    r, rate = batch.feedback, batch.feedback_rate
    return r / (5 * rate) + (1 - r) * 4 / (5 * (1 - rate))
