"""Doubly robust estimators, carried over to positive-unlabelled logs.

In the literature the loss of an observed sample corrects an imputed one, ``ê + (o/α)(e - ê)``. In a
positive-unlabelled log the action is latent and only a click is seen, so the correction has to use the
*click*: with imputed reward ``q``, the pseudo-label is

    r̃ = q + (r - α q) / max(α, τ),    E r̃ = q + min(1, α/τ) (γ - q).

It is unbiased where ``α >= τ`` whatever ``q`` is, and below τ where ``q = γ``. Unclipped, ``q`` cancels and
DR *is* IPS: the unbiased pseudo-label at known α is unique (see :class:`IPS`). So imputation buys a clipped
weight without the clipped weight's bias. A right ``q`` cannot make up for a wrong α, because no action is
ever observed: in this setting "doubly robust" holds for the clip alone.
"""

from typing import ClassVar

import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import Network
from simbench.training.losses import cross_entropy, loss_negative, loss_positive
from simbench.training.parameters import Share
from simbench.training.samples import Batch, Outputs, required
from simbench_estimators.inverse_propensity import IPS


def doubly_robust_label(imputed: Tensor, feedback: Tensor, propensity: Tensor, clip: float) -> Tensor:
    """Doubly robust pseudo-label ``q + (r - αq) / max(α, τ)`` of every sample, shape (..., b)."""
    return imputed + (feedback - propensity * imputed) / propensity.clamp_min(clip)


def click_observed_label(imputation: Tensor, feedback: Tensor, propensity: Tensor) -> Tensor:
    """Pseudo-label ``r/π + (1 - r/π) q`` of the loss ``ê + (r/π)(ℓ1 - ê)``, shape (..., b).

    ``imputation`` is the logit of ``q``, which is held fixed.
    """
    weight = feedback / propensity
    return weight + (1 - weight) * torch.sigmoid(imputation).detach()


class DR(IPS):
    """Doubly robust joint learning: the imputation is trained along with the reward.

    The imputation minimises ``(r - αq)² / α``, the inverse-propensity weighted squared error of the click
    probability that it implies.
    """

    name = "dr"
    assumption = "the propensity is known exactly; below the clip, the imputed reward is right"
    source = "Wang, Zhang, Sun, Qi, ICML 2019; its correction taken of the click"
    networks = (Network(), Network(("imputation",)))
    clip = 0.1

    def imputed(self, out: Outputs) -> Tensor:
        """Imputed reward ``q``, a constant for the reward's gradient, shape (..., b)."""
        return torch.sigmoid(out.head("imputation")).detach()

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        label = doubly_robust_label(self.imputed(out), batch.feedback, batch.told("propensity"), self.clip)
        return cross_entropy(out.reward, label)

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        residual = batch.feedback - batch.told("propensity") * torch.sigmoid(out.head("imputation"))
        return residual.square() * self.imputation_weight(out, batch.told("propensity"))

    def imputation_weight(self, out: Outputs, propensity: Tensor) -> Tensor:
        """Weight of each sample's squared residual in the imputation's loss, (..., b); a constant for it."""
        return 1 / propensity.clamp_min(self.clip)


class MRDR(DR):
    """More robust doubly robust: the imputation minimises the correction's second moment.

    The random part of the risk is ``(r - αq)(ℓ1 - ℓ0) / max(α, τ)``, with the reward held fixed: hence the
    weight ``(ℓ1 - ℓ0)²/max(α, τ)²`` of the squared residual. At a reward of 1/2 a label costs nothing either
    way, and nothing is imputed for it.
    """

    name = "mrdr"
    source = "Guo et al., SIGIR 2021; its correction taken of the click"

    def imputation_weight(self, out: Outputs, propensity: Tensor) -> Tensor:
        reward = out.reward.detach()
        cost = loss_positive(reward) - loss_negative(reward)
        return cost.square() / propensity.clamp_min(self.clip).square()


class StableDR(DR):
    """StableDR: self-normalised weights from a propensity model trained to balance imputed errors.

    The paper averages the errors ``e`` of the observed, ``Σ (o/p̂) e / Σ (o/p̂)``, which is bounded however
    small a propensity is. Under its constraint ``Σ (o/p̂)(ê - Ē) = 0``, with ``Ē`` the mean of the imputed
    errors ``ê``, this *is* the self-normalised doubly robust ``Ē + Σ (o/p̂)(e - ê) / Σ (o/p̂)``. Three networks
    learn in turn, each with the others held fixed: the imputation by propensity-weighted squared error, the
    propensity by cross-entropy ``+ η (mean (o/p̂)(ê - Ē))²``, the reward by the average.

    Here the errors are ``ℓ1 - ℓ0`` of *good* responses, of which the clicked are the observed, as in
    :class:`simbench_estimators.inverse_propensity.SNIPS`. They are known for all responses and need no
    imputation, ``ê = e``. What is imputed, by ``q``, is which responses are good, and with it their number
    and mean:

        risk = mean ℓ0 + q̄ Σ (r/p̂) e / Σ (r/p̂),    Ē = Σ q e / Σ q.

    ``p̂`` reads the features and learns the told α as :class:`MultiIPS` does. At η = 0 this is SNIPS with
    the prior ``q̄``; where the constraint is met, the imputed ``mean ℓ0 + mean q e``. In the paper a right
    propensity meets the constraint whatever is imputed; here only if ``E[γ (e - Ē)] = 0``, so that a wrong
    imputation pulls ``p̂`` away from α. All three steps use the outputs from before the first of them, so one
    step on their sum is the same. The risk is a ratio of sums over the batch.
    """

    name = "stable-dr"
    networks = (Network(), Network(("propensity",)), Network(("imputation",)))
    assumption = "the mean propensity given the features is learned well, the imputation right; large batches"
    source = "Li, Zheng, Wu, ICLR 2023; its observations taken to be clicks on good responses"
    sums_over_samples = False
    clip = 0.01
    stabiliser: ClassVar[float] = 1.0  # η

    def fitted_propensity(self, out: Outputs) -> Tensor:
        """Fitted propensity ``p̂(x)``, clipped from below, shape (..., b)."""
        return torch.sigmoid(out.head("propensity")).clamp_min(self.clip)

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        of_others = batch.mean(self.auxiliary_loss(out, batch)) + self.instability(out, batch)
        return self.risk(out, batch) + of_others

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        weight = batch.feedback / self.fitted_propensity(out).detach()
        total = batch.mean(weight, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
        scale = batch.mean(self.imputed(out), keepdim=True) / total
        return batch.mean(cross_entropy(out.reward, weight * scale))

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        """Cross-entropy of the propensity plus the imputation's weighted squared error, shape (..., b)."""
        propensity = self.fitted_propensity(out).detach()
        residual = batch.feedback - propensity * torch.sigmoid(out.head("imputation"))
        told = cross_entropy(
            out.head("propensity"), batch.told("propensity").expand_as(out.head("propensity"))
        )
        return told + residual.square() / propensity

    def instability(self, out: Outputs, batch: Batch) -> Tensor:
        """Penalty ``η (mean (r/p̂)(ê - Ē))²``, shape (...,); only the propensity gets a gradient from it."""
        good, score = self.imputed(out), out.reward.detach()
        error = loss_positive(score) - loss_negative(score)
        mean = batch.sum(good * error, keepdim=True) / batch.sum(good, keepdim=True)
        weight = batch.feedback / self.fitted_propensity(out)
        return self.stabiliser * batch.mean(weight * (error - mean)).square()


class DRClickObserved(DR):
    """The textbook form with a click standing in for an observation: ``ê + (r/α)(ℓ1 - ê)``.

    ``ê = qℓ1 + (1-q)ℓ0``. Its bias is ``(1 - γ) q (ℓ1 - ℓ0)``: samples that never earn a click keep
    whatever was imputed. The imputation minimises cross-entropy on the feedback, so ``q`` tends to ``γα``.
    """

    name = "dr@click-observed"
    assumption = "the imputed reward is 0 wherever the response is bad"
    source = "Wang, Zhang, Sun, Qi, ICML 2019, as published code around ImplicitRM applies it"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        alpha = batch.told("propensity").clamp_min(self.clip)
        return cross_entropy(out.reward, click_observed_label(out.head("imputation"), batch.feedback, alpha))

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(out.head("imputation"), batch.feedback)


class OMEIPS(IPS):
    """Loss corrected for misclicks and omissions, with inverse propensity weights.

    With ``P(r=1 | r*=0, a=1) = ε`` and ``P(r=0 | r*=1, a=1) = ω`` the pseudo-label
    ``(r/α - ε) / (1 - ε - ω)`` has expectation γ.

    Parameters
    ----------
    omission : float in [0, 1)
        Omission rate ω; no world of simbench has omissions, so the default is 0.
    """

    name = "ome-ips"
    needs = frozenset({"propensity", "misclick"})
    assumption = "the propensity and both noise rates are known exactly"
    source = "Li et al., KDD 2024; CausalRM, arXiv 2603.18736"

    omission: Share = 0.0

    def require(self, log: FeedbackLog) -> None:
        super().require(log)
        if not required(log.misclick, "misclick") + self.omission < 1:
            raise BadInput(
                f"{self.name}: misclick ({log.misclick:g}) and omission ({self.omission:g}) must be below 1 "
                "together: else a click says nothing."
            )

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        clean = 1 - batch.told("misclick") - self.omission
        weight = batch.feedback / batch.told("propensity").clamp_min(self.clip)
        return cross_entropy(out.reward, (weight - batch.told("misclick")) / clean)


class OMEDR(OMEIPS):
    """The noise-corrected form with an imputation: ``q + (r - α m(q)) / (max(α, τ)(1 - ε - ω))``.

    ``m(q) = ε + (1 - ε - ω) q`` is the click probability of an acting user. The imputation minimises
    ``(r - α m(q))² / max(α, τ)``.
    """

    name = "ome-dr"
    networks = (Network(), Network(("imputation",)))
    assumption = "propensity and noise rates are known; below the clip, the imputed reward is right"
    clip = 0.1

    def residual(self, imputed: Tensor, batch: Batch) -> Tensor:
        """Residual of the click, ``r - α m(q)``, shape (..., b); ``imputed`` is ``q``."""
        click = batch.told("misclick") + (1 - batch.told("misclick") - self.omission) * imputed
        return batch.feedback - batch.told("propensity") * click

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        imputed = torch.sigmoid(out.head("imputation")).detach()
        scale = batch.told("propensity").clamp_min(self.clip) * (1 - batch.told("misclick") - self.omission)
        return cross_entropy(out.reward, imputed + self.residual(imputed, batch) / scale)

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        residual = self.residual(torch.sigmoid(out.head("imputation")), batch)
        return residual.square() / batch.told("propensity").clamp_min(self.clip)


class MultiIPS(IPS):
    """Multi-task IPS: propensity and reward are heads that share their hidden layers.

    The propensity head learns the granted α from the response features, by cross-entropy with α as a soft
    target, and the reward is weighted by its prediction, held constant. If α varies with context alone, the
    head learns ``E[α | x]``, at which ``r/E[α | x]`` is unbiased given x, with smaller weights than r/α.
    """

    name = "multi-ips"
    networks = (Network(("reward", "propensity")),)
    assumption = "the mean propensity given the features is learned well from a propensity signal"
    source = "Zhang et al., WWW 2020 (Multi-IPS)"
    clip = 0.01

    def fitted_propensity(self, out: Outputs) -> Tensor:
        """Fitted propensity ``α̂(x)``, a constant for the reward's gradient, shape (..., b)."""
        return torch.sigmoid(out.head("propensity")).detach().clamp_min(self.clip)

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(out.reward, batch.feedback / self.fitted_propensity(out))

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(
            out.head("propensity"), batch.told("propensity").expand_as(out.head("propensity"))
        )


class MultiDR(MultiIPS):
    """Multi-task doubly robust: propensity, imputation and reward heads share their hidden layers."""

    name = "multi-dr"
    networks = (Network(("reward", "propensity", "imputation")),)
    source = "Zhang et al., WWW 2020 (Multi-DR)"
    clip = 0.1

    def fitted_propensity(self, out: Outputs) -> Tensor:
        return torch.sigmoid(out.head("propensity")).detach()

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        imputed = torch.sigmoid(out.head("imputation")).detach()
        alpha = self.fitted_propensity(out)
        return cross_entropy(out.reward, doubly_robust_label(imputed, batch.feedback, alpha, self.clip))

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        alpha = self.fitted_propensity(out)
        residual = batch.feedback - alpha * torch.sigmoid(out.head("imputation"))
        imputation = residual.square() / alpha.clamp_min(self.clip)
        return super().auxiliary_loss(out, batch) + imputation
