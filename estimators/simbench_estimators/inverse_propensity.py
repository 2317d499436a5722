"""Inverse propensity weighting in the form for one-sided noise, and positive-unlabelled learning.

All use one formula: with propensity ``α`` (or a constant ``c``) the expectation of the loss
``(r/α) ℓ1 + (1 - r/α) ℓ0`` is the ideal loss if ``α`` is right.
"""

from dataclasses import replace

import torch
from torch import Tensor

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.training.losses import cross_entropy, loss_negative, loss_positive
from simbench.training.parameters import Share
from simbench.training.samples import Batch, Outputs
from simbench_estimators.class_prior import label_frequency, prior_of


def inverse_propensity_loss(reward_logit: Tensor, feedback: Tensor, propensity: Tensor) -> Tensor:
    """Inverse-propensity loss ``(r/α) ℓ1 + (1 - r/α) ℓ0``, one value per sample.

    The weight of ``ℓ0`` is negative where ``r = 1 > α``.
    """
    return cross_entropy(reward_logit, feedback / propensity)


class IPS(Estimator):
    """Inverse propensity scoring with given ``α(x, z)`` (Rel-MF form).

    The pseudo-label ``r/α`` is the *only* one that is exactly unbiased at known α: feedback is binary, and
    ``γα f(1) + (1 - γα) f(0) = γ`` for every γ forces ``f(0) = 0``, ``f(1) = 1/α``. It is unbounded
    below: clicked samples of low propensity carry large negative weights on ``ℓ0``.

    Parameters
    ----------
    clip : float in [0, 1)
        Smallest propensity by which the loss divides; above 0 it reduces variance at the price of the bias
        ``γ (α/clip - 1)(ℓ1 - ℓ0)`` of every sample with a smaller propensity.
    """

    name = "ips"
    needs = frozenset({"propensity"})
    assumption = "the propensity is known exactly"
    source = "Schnabel et al., ICML 2016; Saito et al. (Rel-MF), WSDM 2020"
    clip: Share = 0.0

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        clipped = batch.told("propensity").clamp_min(self.clip)
        return inverse_propensity_loss(out.reward, batch.feedback, clipped)


class ClippedIPS(IPS):
    """IPS with propensities clipped from below at .1."""

    name = "ips-clipped"
    assumption = "the propensity is known exactly and nowhere below the clip"
    clip = 0.1


class SNIPS(IPS):
    """Self-normalised IPS: the weights ``r/α`` are scaled so that they sum to the known ``nπ``.

    The risk is ``mean ℓ0 + π Σ (r/α)(ℓ1 - ℓ0) / Σ (r/α)``. In a positive-unlabelled log ``E Σ r/α = nπ``, so
    self-normalisation needs the class prior; with ``π`` estimated by ``mean(r/α)`` it *is* IPS. The risk is a
    ratio of sums over the batch: consistent, but biased for finite batches.
    """

    name = "snips"
    needs = frozenset({"propensity", "class prior"})
    assumption = "the propensity and the class prior are known exactly; large batches"
    source = "Swaminathan, Joachims, NIPS 2015; Schnabel et al., ICML 2016"
    sums_over_samples = False

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        return self.risk(out, batch)

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        weight = batch.feedback / batch.told("propensity").clamp_min(self.clip)
        # a batch without a click says nothing about the weights: all zero, as they are
        total = batch.mean(weight, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
        return batch.mean(cross_entropy(out.reward, weight * (batch.told("class prior") / total)))


class UPU(Estimator):
    """Unbiased PU risk ``π·mean_{r=1}(ℓ1-ℓ0) + mean_all ℓ0``.

    Here it is written per sample: ``π/mean(r)`` is ``1/c`` with the label frequency ``c = P(r=1|r*=1)``, so
    this is the inverse-propensity loss at the constant ``c``. If ``π`` is not given, the label frequency is
    estimated from the log (Elkan and Noto, 2008).
    """

    name = "upu"
    optional = frozenset({"class prior"})
    assumption = "SCAR, and the class prior is right"
    source = "du Plessis, Niu, Sugiyama, NIPS 2014 / ICML 2015"

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        return log if log.class_prior is not None else with_estimated_prior(log, self)

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        frequency = batch.feedback_rate / batch.told("class prior")
        return inverse_propensity_loss(out.reward, batch.feedback, frequency)


class IPSScar(UPU):
    """Inverse propensity scoring with one constant propensity, always estimated from the log."""

    name = "ips-scar"
    optional = frozenset()
    assumption = "SCAR, and some responses are surely good (Elkan-Noto)"
    source = "Elkan, Noto, KDD 2008, in the IPS loss"

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        return with_estimated_prior(log, self)


class NNPU(UPU):
    """uPU whose estimated negative risk is kept non-negative.

    If ``mean ℓ0 - π mean_{r=1} ℓ0 < -β``, the step *ascends* that part, scaled by ``γ`` (Algorithm 1 of the
    paper, with β = 0 and γ = 1). The risk is not a sum over samples, because batch means decide.
    """

    name = "nnpu"
    source = "Kiryo, Niu, du Plessis, Sugiyama, NIPS 2017"
    sums_over_samples = False

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        positive, negative = self.risk_parts(out, batch)
        return torch.where(negative >= 0, positive + negative, -negative)

    def selection_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return self.risk(out, batch)

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        positive, negative = self.risk_parts(out, batch)
        return positive + negative.clamp_min(0)

    def risk_parts(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """Positive and negative part of the risk: ``π mean_{r=1} ℓ1`` and ``mean ℓ0 - π mean_{r=1} ℓ0``.

        Each has shape (...,).
        """
        weight = batch.feedback * batch.told("class prior") / batch.feedback_rate
        positive = batch.mean(weight * loss_positive(out.reward))
        return positive, batch.mean((1 - weight) * loss_negative(out.reward))


def with_estimated_prior(log: FeedbackLog, estimator: Estimator) -> FeedbackLog:
    """The log with class prior ``π = mean(r)/c``, where ``c`` is estimated for each replicate.

    The label frequency ``c`` is that of :func:`simbench_estimators.class_prior.label_frequency`, with the
    estimator's held-out share and seed.
    """
    frequency = label_frequency(log, estimator.validation_share, estimator.seed)
    return replace(log, class_prior=prior_of(log, frequency))
