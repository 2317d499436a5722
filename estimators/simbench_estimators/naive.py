"""Estimators that take a missing click for a dislike, and the oracle that is told the truth."""

from torch import Tensor

from simbench.estimator.estimator import Estimator
from simbench.training.losses import cross_entropy, loss_negative, loss_positive
from simbench.training.samples import Batch, Outputs


class Naive(Estimator):
    """Cross-entropy on the feedback, ``ℓ(γ̂, r)``.

    It is biased under every propensity below 1, by exactly ``γ(1-α)[ℓ(h,0) - ℓ(h,1)]`` (theory, section 2).
    """

    name = "naive"
    assumption = "every missing click is a dislike (α = 1)"
    source = "none"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(out.reward, batch.feedback)


class Oracle(Naive):
    """Cross-entropy on the latent preference, ``ℓ(γ̂, r*)``: the ceiling for every other estimator.

    The bench gives it a log whose feedback is the latent preference.
    """

    name = "oracle"
    needs = frozenset({"truth"})
    assumption = "the latent preferences are seen"


class NaiveSqrt(Naive):
    """Naive with the prediction replaced by its root, ``γ̂ ← √γ̂``, as an even split of ``γα`` would give.

    It is a control that debiases nothing (theory, section 3); a claim of debiasing must beat it.
    """

    name = "naive-sqrt"
    assumption = "γ = α"
    source = "control of this project"
    link_formula = "sqrt(sigmoid(s))"

    def link(self, reward_logit: Tensor, calibration: Tensor | None = None) -> Tensor:
        return super().link(reward_logit).sqrt()


class BalancedNaive(Estimator):
    """Naive with equal class weights: half of the mean ``ℓ1`` over r=1 plus the mean ``ℓ0`` over r=0.

    The class weights ``1/(2ρ)`` and ``1/(2(1-ρ))`` use the log's feedback rate ρ.
    """

    name = "balanced-naive"
    assumption = "the classes are equally frequent, and a missing click is a dislike"
    source = "strongest simple baseline of the published results"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        r, rate = batch.feedback, batch.feedback_rate
        clicked = r / (2 * rate) * loss_positive(out.reward)
        return clicked + (1 - r) / (2 * (1 - rate)) * loss_negative(out.reward)
