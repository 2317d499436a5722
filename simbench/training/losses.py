"""Pointwise losses and log probabilities, for torch tensors of any shape and floating-point type."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

LINEAR = 40.0  # beyond it softplus is linear to rounding; PyTorch's own 20 is so in float32 only


def loss_positive(logit: Tensor) -> Tensor:
    """Cross-entropy of a good response: ``ℓ(h, 1) = -log σ(h)``."""
    return softplus(-logit, threshold=LINEAR)


def loss_negative(logit: Tensor) -> Tensor:
    """Cross-entropy of a bad response: ``ℓ(h, 0) = -log(1 - σ(h))``."""
    return softplus(logit, threshold=LINEAR)


def cross_entropy(logit: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against a target: ``t ℓ1 + (1 - t) ℓ0``.

    The target ``t`` is a label, a probability, or a pseudo-label that may lie outside [0, 1].
    """
    return target * loss_positive(logit) + (1 - target) * loss_negative(logit)


def squared_error(logit: Tensor, target: Tensor) -> Tensor:
    """Squared error against a target: ``t (1 - σ(h))² + (1 - t) σ(h)²``.

    For a label ``t`` in {0, 1} it is the squared error of the probability ``σ(h)``.
    """
    probability = torch.sigmoid(logit)
    return target * (1 - probability).square() + (1 - target) * probability.square()


def log1mexp(log_p: Tensor) -> Tensor:
    """``log(1 - exp(log_p))`` for ``log_p < 0``, accurate at both ends (Maechler, 2012)."""
    small = log_p > -math.log(2)
    # Both branches are evaluated by torch.where: keep each one's unused side finite, so that
    # its zero-weighted gradient is zero and not NaN.
    near_zero = torch.where(small, log_p, -1.0)
    far = torch.where(small, -1.0, log_p)
    return torch.where(small, torch.log(-torch.expm1(near_zero)), torch.log1p(-torch.exp(far)))


def log_click_given_action(reward_logit: Tensor, misclick: float | None = None) -> Tensor:
    """Log probability of a click from an acting user, ``log P(r=1 | a=1) = log(γ̂ + (1-γ̂)ε)``.

    ``γ̂ = σ(reward_logit)``, and ``ε`` is the misclick rate: without misclicks it is ``log γ̂``.
    """
    if not misclick:
        return logsigmoid(reward_logit)
    return torch.logaddexp(logsigmoid(reward_logit), logsigmoid(-reward_logit) + math.log(misclick))


def log_feedback_probability(
    reward_logit: Tensor, log_propensity: Tensor, misclick: float | None = None
) -> Tensor:
    """Log probability of a click, ``log P(r=1) = log(γ̂ + (1-γ̂)ε) + log α̂``; strictly below 0."""
    tiny = torch.finfo(reward_logit.dtype).tiny
    return (log_click_given_action(reward_logit, misclick) + log_propensity).clamp_max(-tiny)


def click_nll(log_p: Tensor, feedback: Tensor) -> Tensor:
    """Negative log-likelihood of the feedback, ``-r log p - (1-r) log(1-p)``, given ``log p``.

    Returns one value per sample.
    """
    return -(feedback * log_p + (1 - feedback) * log1mexp(log_p))


def observed_nll(
    reward_logit: Tensor, log_propensity: Tensor, feedback: Tensor, misclick: float | None = None
) -> Tensor:
    """Negative log of the observed likelihood ``p^r (1-p)^(1-r)``, one value per sample."""
    return click_nll(log_feedback_probability(reward_logit, log_propensity, misclick), feedback)
