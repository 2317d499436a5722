"""Pairwise losses: of two responses to one prompt, the better should score higher.

The loss does not change if all scores are shifted, so scores rank but are not probabilities (``ranks_only``).
Pairs are drawn once per epoch, every response with a random partner of its prompt, and count in both
directions.
"""

from typing import ClassVar

import torch
from torch import Tensor

from simbench.estimator.estimator import Estimator
from simbench.training.contract import Network
from simbench.training.losses import cross_entropy, loss_positive
from simbench.training.samples import Batch, Outputs


class Pairwise(Estimator):
    """Base of pairwise losses ``w_ij · (-log σ(s_i - s_j)) + w_ji · (-log σ(s_j - s_i))``.

    Subclasses define the weight. A batch of 2b rows is b pairs, for which ``reward_loss`` has shape (..., b).
    """

    family = "pairwise"
    reads_pairs = True
    ranks_only = True

    def weight(self, better: tuple[Outputs, Batch], worse: tuple[Outputs, Batch]) -> Tensor:
        """Evidence that the response ``better`` is good and ``worse`` is not, shape (..., b)."""
        raise NotImplementedError(f"{type(self).__name__} must define weight.")

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        (out_i, out_j), (batch_i, batch_j) = out.halves(), batch.halves()
        first, second = (out_i, batch_i), (out_j, batch_j)
        gap = out_i.reward - out_j.reward
        forward = self.weight(first, second) * loss_positive(gap)
        return forward + self.weight(second, first) * loss_positive(-gap)


class BPR(Pairwise):
    """Bayesian personalised ranking, weight ``r_i (1 - r_j)``: a clicked response beats an unclicked one."""

    name = "bpr"
    assumption = "every missing click is a dislike (α = 1)"
    source = "Rendle, Freudenthaler, Gantner, Schmidt-Thieme, UAI 2009"

    def weight(self, better: tuple[Outputs, Batch], worse: tuple[Outputs, Batch]) -> Tensor:
        return better[1].feedback * (1 - worse[1].feedback)


class UBPR(Pairwise):
    """Unbiased BPR, weight ``(r_i/α_i)(1 - r_j/α_j)``, whose expectation is ``γ_i (1 - γ_j)``.

    The weight is negative where both are clicked.
    """

    name = "ubpr"
    needs = frozenset({"propensity"})
    assumption = "the propensity is known exactly"
    source = "Saito, ICTIR 2020"

    def weight(self, better: tuple[Outputs, Batch], worse: tuple[Outputs, Batch]) -> Tensor:
        up, down = (batch.feedback / self.propensity(batch) for _, batch in (better, worse))
        return up * (1 - down)

    def propensity(self, batch: Batch) -> Tensor:
        """Propensity ``α`` by which the weight divides, shape (b,) or (..., b)."""
        return batch.told("propensity")


class CUBPR(UBPR):
    """Clipped UBPR: propensities of at least .1, and no negative weight.

    This is the non-negative form of the paper: pairs whose weight would be negative do not count.
    """

    name = "cubpr"
    assumption = "none under which it is exactly unbiased: clipping trades bias for variance"
    source = "Saito, ICTIR 2020 (clipped, non-negative)"
    smallest: ClassVar[float] = 0.1

    def propensity(self, batch: Batch) -> Tensor:
        return super().propensity(batch).clamp_min(self.smallest)

    def weight(self, better: tuple[Outputs, Batch], worse: tuple[Outputs, Batch]) -> Tensor:
        return super().weight(better, worse).clamp_min(0)


class UPL(UBPR):
    """Weight ``(r_i/α_i)(1 - r_j) P(irrelevant_j | not clicked_j)``, which is never negative, unlike UBPR's.

    ``P(irrelevant | not clicked) = (1 - q)/(1 - qα)`` with a pointwise relevance model ``q``, trained
    alongside by the unbiased pointwise loss. It is exactly unbiased where ``q = γ``.
    """

    name = "upl"
    assumption = "the propensity is known exactly and the pointwise relevance is right"
    source = "Ren, Tang, Rong, Zhu, SIGIR 2023"
    networks = (Network(), Network(("imputation",)))

    def weight(self, better: tuple[Outputs, Batch], worse: tuple[Outputs, Batch]) -> Tensor:
        out, batch = worse
        relevance, alpha = torch.sigmoid(out.head("imputation")).detach(), self.propensity(batch)
        # 0/0 where the response is surely relevant and its user surely acts: no click, so irrelevant
        tiny = torch.finfo(relevance.dtype).eps
        irrelevant = ((1 - relevance).clamp_min(tiny) / (1 - relevance * alpha).clamp_min(tiny)).clamp_max(1)
        clicked = better[1].feedback / self.propensity(better[1])
        return clicked * (1 - batch.feedback) * irrelevant

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        pointwise = cross_entropy(out.head("imputation"), batch.feedback / self.propensity(batch))
        first, second = pointwise.chunk(2, dim=-1)
        return (first + second) / 2
