"""What a loss reads of a batch: the networks' outputs, the feedback, and mixtures of rows.

Mixed rows are ``x̃_i = μ_i x_i + (1 - μ_i) x_j`` with the partner ``j`` of ``i``: the next row of the batch,
whose order is random, so that partners are random too. Features are shared by the replicates, and so are
partners and ``μ``.
"""

from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

Sampled = TypeVar("Sampled", "Outputs", "Batch")


def partners(values: Tensor, dim: int = -1) -> Tensor:
    """The values of each row's partner; rows lie along ``dim``."""
    return values.roll(-1, dim)


def with_mixed_rows(x: Tensor, share: Tensor) -> Tensor:
    """Inputs (b, d) of a batch, then those of its mixed rows, (2b, d); ``share`` is ``μ``, shape (b,)."""
    return torch.cat([x, partners(x, 0).lerp(x, share[:, None].to(x.dtype))])


@dataclass(frozen=True)
class Outputs:
    """Logits of the networks on a batch; each of shape (..., b), None for a head that is not there.

    ``signals`` holds the propensity logits of all signals, shape (..., K, b). In training alone, for an
    estimator that asks for them: ``mixed``, the reward logits of the mixed rows, shape (..., b), and
    ``representation``, the reward network's last hidden layer, shape (..., h, b), None where it has none.
    """

    reward: Tensor
    propensity: Tensor | None = None
    imputation: Tensor | None = None
    signals: Tensor | None = None
    mixed: Tensor | None = None
    representation: Tensor | None = None

    def halves(self) -> "tuple[Outputs, Outputs]":
        """A batch of pairs holds the first members, then their partners."""
        n = self.reward.shape[-1]
        return _take(self, n, slice(n // 2)), _take(self, n, slice(n // 2, n))


@dataclass(frozen=True)
class Batch:
    """What a loss may read of the log.

    Parameters
    ----------
    feedback : Tensor, shape (..., b), in {0, 1}
        ``r``.
    feedback_rate : Tensor, shape (..., 1)
        Mean feedback of the *whole* training log, so that class weights are not batch noise.
    propensity : Tensor, shape (b,) or (..., b), in (0, 1], or None
        ``α`` where granted.
    class_prior : Tensor, shape () or (..., 1), or None
        ``π`` where granted or estimated.
    labels : Tensor, shape (..., b), or None
        Explicit labels of ``r*`` in {0, 1}; NaN where there is none.
    state : dict of Tensor, each of shape (..., b)
        What :meth:`Estimator.epoch_state` returned at the start of the epoch.
    misclick : float or None
        ``ε = P(r=1 | r*=0, a=1)`` where granted.
    action_rate : float or None
        ``E[α]`` where granted.
    always_acts : Tensor, shape (b,), bool, or None
        Responses whose users are known to act, ``α = 1``, where granted.
    strata : Tensor, shape (..., b), or None
        Stratum codes that :meth:`Estimator.prepare` put into the log.
    signals : Tensor, shape (..., K, b), in {0, 1}, or None
        Several signals; the first is the feedback.
    negative_signals : tuple of int
        Which of the K fire on dissatisfaction.
    mixing : Tensor, shape (b,), in [0, 1], or None
        ``μ``, each row's share in its mixed row.
    """

    feedback: Tensor
    feedback_rate: Tensor
    propensity: Tensor | None = None
    class_prior: Tensor | None = None
    labels: Tensor | None = None
    state: dict[str, Tensor] = field(default_factory=dict)
    misclick: float | None = None
    action_rate: float | None = None
    always_acts: Tensor | None = None
    strata: Tensor | None = None
    signals: Tensor | None = None
    negative_signals: tuple[int, ...] = ()
    mixing: Tensor | None = None

    def halves(self) -> "tuple[Batch, Batch]":
        """The first members of a batch of pairs, and their partners."""
        n = self.feedback.shape[-1]
        return _take(self, n, slice(n // 2)), _take(self, n, slice(n // 2, n))


def _take(whole: Sampled, n: int, rows: slice) -> Sampled:
    """These samples of every tensor whose last axis is the ``n`` samples."""

    def part(value):
        if isinstance(value, dict):
            return {key: part(tensor) for key, tensor in value.items()}
        is_sampled = isinstance(value, Tensor) and value.dim() > 0 and value.shape[-1] == n
        return value[..., rows] if is_sampled else value

    return replace(whole, **{f.name: part(getattr(whole, f.name)) for f in fields(whole)})
