"""Losses divided by a propensity, as published code writes them."""

from typing import ClassVar

import torch
from torch import Tensor

from simbench.training.contract import Network
from simbench.training.losses import cross_entropy, squared_error
from simbench.training.samples import Batch, Outputs
from simbench_estimators.doubly_robust import MultiDR, MultiIPS, click_observed_label
from simbench_estimators.inverse_propensity import IPS


class IPSPublished(IPS):
    """The naive loss divided by the propensity, ``ℓ(γ̂, r) / max(π, τ)``, over *all* samples.

    Inverse propensity scoring divides the loss of what was observed; here the loss of a missing click is
    divided as well, as if it were an observed dislike. The expectation is ``[γα ℓ1 + (1 - γα) ℓ0] / π``. If π
    is a function of x, its minimum is at ``γα``, so that it estimates what naive does. Told the label-derived
    propensity, it is a class weighting that counts a missing click up to ``1/τ`` times a click, and its
    estimates are below naive's.
    """

    name = "ips@published"
    assumption = "none under which it is unbiased, unless everyone acts (α = 1)"
    source = "public code of the baselines of arXiv 2603.23184; after Schnabel et al., ICML 2016"
    clip = 0.1

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(out.reward, batch.feedback) / batch.told("propensity").clamp(self.clip, 1)


class MultiIPSPublished(MultiIPS):
    """:class:`IPSPublished` with a propensity ``e(x)`` from a head that learns the told one.

    The head minimises squared error in place of cross-entropy, for ten epochs before the reward is trained.
    The published early stopping watches those ten epochs as well, and can keep an untrained reward; here it
    does not.
    """

    name = "multi-ips@published"
    assumption = "none under which it is unbiased, unless everyone acts (α = 1)"
    source = "public code of the baselines of arXiv 2603.23184; after Zhang et al., WWW 2020"
    clip = 0.1
    initial_epochs = 10

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(out.reward, batch.feedback) / self.fitted_propensity(out)

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return propensity_error(out, batch)

    def initial_objective(self, out: Outputs, batch: Batch) -> Tensor:
        return batch.mean(propensity_error(out, batch))


class MultiDRPublished(MultiDR):
    """The doubly robust form with a click for an observation, ``ê + (r/e)(ℓ1 - ê)``, on shared layers.

    It is the loss of ``dr@click-observed``, with the propensity head of :class:`MultiIPSPublished`.
    """

    name = "multi-dr@published"
    assumption = "the imputed reward is 0 wherever the response is bad"
    source = "public code of the baselines of arXiv 2603.23184; after Zhang et al., WWW 2020"
    initial_epochs = 10

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        alpha = self.fitted_propensity(out).clamp_min(self.clip)
        return cross_entropy(out.reward, click_observed_label(out.head("imputation"), batch.feedback, alpha))

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return propensity_error(out, batch) + cross_entropy(out.head("imputation"), batch.feedback)

    def initial_objective(self, out: Outputs, batch: Batch) -> Tensor:
        return batch.mean(propensity_error(out, batch))


def propensity_error(out: Outputs, batch: Batch) -> Tensor:
    """Squared error of the propensity head, ``(e(x) - π)²``, one value per sample."""
    return (torch.sigmoid(out.head("propensity")) - batch.told("propensity")).square()


class StableDRPublished(IPS):
    """StableDR's three networks in turn; the reward's loss is :class:`IPSPublished` with a fitted propensity.

    With reward ``p``, imputation ``q``, propensity ``e`` (clipped at τ), and the other networks held fixed in
    each step, the losses are: imputation ``mean (ℓ(p, r) - ℓ(q, p))² / e``; propensity
    ``{mean[ℓ(e, π) + η (1 - 1/e)(h - h̄)]}²`` with ``h = ℓ(q, p)``, the square of the *whole* batch mean;
    reward ``mean ℓ(p, r) / e``. The doubly robust part reaches the reward only through ``e``. The published
    steps use the outputs from before the first of them, so one step on the sum is the same.
    """

    name = "stable-dr@published"
    assumption = "none under which it is unbiased, unless everyone acts (α = 1)"
    source = "public code of the baselines of arXiv 2603.23184 (sdr2); after Li, Zheng, Wu, ICLR 2023"
    networks = (Network(), Network(("propensity",)), Network(("imputation",)))
    clip = 0.1
    stabiliser: ClassVar[float] = 1.0  # η

    def fitted_propensity(self, out: Outputs) -> Tensor:
        """Fitted propensity ``e(x)``, clipped from below, shape (..., b)."""
        return torch.sigmoid(out.head("propensity")).clamp_min(self.clip)

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(out.reward, batch.feedback) / self.fitted_propensity(out).detach()

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        propensity, score = self.fitted_propensity(out), out.reward.detach()
        error = cross_entropy(score, batch.feedback) - cross_entropy(
            out.head("imputation"), torch.sigmoid(score)
        )
        imputation = batch.mean(error.square() / propensity.detach())
        imputed = cross_entropy(out.head("imputation").detach(), torch.sigmoid(score))
        balance = self.stabiliser * (1 - 1 / propensity) * (imputed - batch.mean(imputed, keepdim=True))
        told = cross_entropy(
            out.head("propensity"), batch.told("propensity").expand_as(out.head("propensity"))
        )
        return self.risk(out, batch) + imputation + batch.mean(told + balance).square()

    def selection_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return self.risk(out, batch)


class RMFPublished(IPS):
    """Rel-MF's squared loss: ``(r/π)(1 - γ̂)² + (1 - r/π) γ̂²``, on a network instead of factors.

    It is :class:`simbench_estimators.inverse_propensity.IPS` with a squared loss, so exactly unbiased *for
    the squared ideal loss* at known α. With the label-derived propensity, π at a click is one constant; if
    that is 1, this is the naive squared loss.
    """

    name = "rmf@published"
    assumption = "the propensity is known exactly"
    source = "Saito et al. (Rel-MF), WSDM 2020, as published code around arXiv 2603.23184 has it"
    clip = 1e-8

    def ideal_loss(self, reward_logit: Tensor, target: Tensor) -> Tensor:
        return squared_error(reward_logit, target)

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return self.ideal_loss(out.reward, batch.feedback / batch.told("propensity").clamp(self.clip, 1))
