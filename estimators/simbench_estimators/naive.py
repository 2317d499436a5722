"""Estimators that take a missing click for a dislike, and the oracle that is told the truth."""

from torch import Tensor

from simbench.estimator.estimator import Estimator
from simbench.training.losses import cross_entropy, loss_negative, loss_positive
from simbench.training.samples import Batch, Outputs


class Naive(Estimator):
    """``ℓ(γ̂, r)``: cross-entropy on the feedback.

    Biased under every propensity below 1, by exactly ``γ(1-α)[ℓ(h,0) - ℓ(h,1)]`` (theory,
    section 2).
    """

    name = "naive"
    assumption = "every missing click is a dislike (α = 1)"
    source = "none"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(out.reward, batch.feedback)


class Oracle(Naive):
    """The ceiling: ``ℓ(γ̂, r*)``. The bench hands it a log whose feedback is the latent preference."""

    name = "oracle"
    needs = frozenset({"truth"})
    assumption = "the latent preferences are seen"


class NaiveSqrt(Naive):
    """Naive, then ``γ̂ ← √γ̂``: what an even split of ``γα`` looks like.

    A control that debiases nothing (theory, section 3); a claim of debiasing must beat it.
    """

    name = "naive-sqrt"
    assumption = "γ = α"
    source = "control of this project"
    link_formula = "sqrt(sigmoid(s))"

    def link(self, reward_logit: Tensor, calibration: Tensor | None = None) -> Tensor:
        return super().link(reward_logit).sqrt()


class BalancedNaive(Estimator):
    """Mean over r=1 of ``ℓ1`` plus mean over r=0 of ``ℓ0``, halved.

    The class weights ``1/(2ρ)`` and ``1/(2(1-ρ))`` use the log's feedback rate ρ.
    """

    name = "balanced-naive"
    assumption = "the classes are equally frequent, and a missing click is a dislike"
    source = "strongest simple baseline of the published results"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        r, rate = batch.feedback, batch.feedback_rate
        clicked = r / (2 * rate) * loss_positive(out.reward)
        return clicked + (1 - r) / (2 * (1 - rate)) * loss_negative(out.reward)
