"""Pointwise losses and probabilities in log space, for torch tensors of any shape and dtype."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

LINEAR = 40.0  # beyond it softplus is linear to rounding; PyTorch's own 20 is so in float32 only


def loss_positive(logit: Tensor) -> Tensor:
    """``ℓ(h, 1) = -log σ(h)``: cross-entropy were the response good."""
    return softplus(-logit, threshold=LINEAR)


def loss_negative(logit: Tensor) -> Tensor:
    """``ℓ(h, 0) = -log(1 - σ(h))``: cross-entropy were the response bad."""
    return softplus(logit, threshold=LINEAR)


def log1mexp(log_p: Tensor) -> Tensor:
    """``log(1 - exp(log_p))`` for ``log_p < 0``, accurate at both ends (Maechler, 2012)."""
    small = log_p > -math.log(2)
    # Both branches are evaluated by torch.where: keep each one's unused side finite, so that
    # its zero-weighted gradient is zero and not NaN.
    near_zero = torch.where(small, log_p, -1.0)
    far = torch.where(small, -1.0, log_p)
    return torch.where(small, torch.log(-torch.expm1(near_zero)), torch.log1p(-torch.exp(far)))


def log_feedback_probability(reward_logit: Tensor, log_propensity: Tensor) -> Tensor:
    """``log p = log γ̂ + log α̂`` with ``γ̂ = σ(reward_logit)``; strictly below 0."""
    tiny = torch.finfo(reward_logit.dtype).tiny
    return (logsigmoid(reward_logit) + log_propensity).clamp_max(-tiny)


def observed_nll(reward_logit: Tensor, log_propensity: Tensor, feedback: Tensor) -> Tensor:
    """Negative log of the observed likelihood ``(γ̂α̂)^r (1-γ̂α̂)^(1-r)``, one value a sample."""
    log_p = log_feedback_probability(reward_logit, log_propensity)
    return -(feedback * log_p + (1 - feedback) * log1mexp(log_p))
