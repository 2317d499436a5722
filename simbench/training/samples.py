"""What a loss reads of a batch: the networks' outputs, the feedback, and mixtures of rows.

Mixed rows are ``x̃_i = μ_i x_i + (1 - μ_i) x_j``, where the partner ``j`` of row ``i`` is the next row of the
batch; batches are in random order, so that partners are random too. All replicates share features, partners
and ``μ``.
"""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, overload

import torch
from torch import Tensor

from simbench.errors import BadInput

Sampled = TypeVar("Sampled", "Outputs", "Batch")
Value = TypeVar("Value")


def required(value: Value | None, what: str) -> Value:
    """The value itself, after a check that it is not None.

    Raises
    ------
    BadInput
        If it is None: the estimator reads something that it does not name in ``needs``.
    """
    if value is None:
        raise BadInput(f"the estimator reads the {what}, but was not told it: name it in its `needs`.")
    return value


def partners(values: Tensor, dim: int = -1) -> Tensor:
    """The values of each row's partner (the next row), along the axis ``dim``."""
    return values.roll(-1, dim)


def with_mixed_rows(x: Tensor, share: Tensor) -> Tensor:
    """The inputs ``x`` of a batch, (b, d), followed by those of its mixed rows; shape (2b, d).

    ``share`` is ``μ``, the weight of each row in its mixed row, shape (b,), in [0, 1].
    """
    return torch.cat([x, partners(x, 0).lerp(x, share[:, None].to(x.dtype))])


@dataclass(frozen=True)
class Outputs:
    """Logits of the networks on a batch of b responses, for R replicates at once (float32).

    The leading axes ``...`` are ``(R,)`` in training; exact checks use others. A head that the estimator's
    ``networks`` do not have is None; :meth:`head` returns a head that must be there.

    Parameters
    ----------
    reward : Tensor, shape (..., b)
        Logit of ``γ̂``.
    propensity : Tensor, shape (..., b), or None
        Logit of ``α̂``.
    imputation : Tensor, shape (..., b), or None
        Logit of the imputed reward.
    signals : Tensor, shape (..., K, b), or None
        Propensity logits of K signals.
    parameters : Tensor, shape (..., K, b), or None
        Logits of K parameters of a click model.
    mixed : Tensor, shape (..., b), or None
        In training, where the estimator has ``mixup``: reward logits of the mixed rows.
    representation : Tensor, shape (..., h, b), or None
        In training, where the estimator ``reads_representation``: the reward network's last hidden layer.
    """

    reward: Tensor
    propensity: Tensor | None = None
    imputation: Tensor | None = None
    signals: Tensor | None = None
    parameters: Tensor | None = None
    mixed: Tensor | None = None
    representation: Tensor | None = None

    def head(self, name: Literal["propensity", "imputation", "signals", "parameters", "mixed"]) -> Tensor:
        """The logits of a head that must be there; for the shape see the attribute of that name.

        Raises
        ------
        BadInput
            If the estimator's ``networks`` have no such head.
        """
        value = getattr(self, name)
        if value is None:
            raise BadInput(
                f"the loss reads the head {name!r}, which none of the estimator's `networks` has: declare it "
                "there."
            )
        return value

    def halves(self) -> "tuple[Outputs, Outputs]":
        """The outputs of the first members of a batch of pairs, and those of their partners."""
        n = self.reward.shape[-1]
        return _take(self, n, slice(n // 2)), _take(self, n, slice(n // 2, n))


@dataclass(frozen=True)
class Batch:
    """What a loss may read of the log: b responses, for R replicates at once (float32 unless stated).

    What the estimator was not told is None; :meth:`told` returns something that it must be told.

    Parameters
    ----------
    feedback : Tensor, shape (..., b), in {0, 1}
        Feedback ``r``.
    feedback_rate : Tensor, shape (..., 1)
        Mean feedback of the *whole* training log, so that class weights do not vary from batch to batch.
    propensity : Tensor, shape (b,) or (..., b), in (0, 1], or None
        Propensity ``α``, if granted.
    class_prior : Tensor, shape () or (..., 1), or None
        Class prior ``π``, if granted or estimated.
    labels : Tensor, shape (..., b), or None
        Explicit labels of ``r*`` in {0, 1}; NaN for responses without a label.
    state : dict of Tensor, each of shape (..., b)
        What :meth:`Estimator.epoch_state` returned at the start of the epoch.
    misclick : float or None
        Misclick rate ``ε = P(r=1 | r*=0, a=1)``, if granted.
    action_rate : float or None
        Mean propensity ``E[α]``, if granted.
    always_acts : Tensor, shape (b,), bool, or None
        Responses whose users are known to act, ``α = 1``, if granted.
    strata : Tensor, shape (..., b), or None
        Stratum codes that :meth:`Estimator.prepare` put into the log.
    signals : Tensor, shape (..., K, b), in {0, 1}, or None
        Several signals; the first is the feedback.
    negative_signals : tuple of int
        Which of the K signals fire on dissatisfaction.
    mixing : Tensor, shape (b,), in [0, 1], or None
        Share ``μ`` of each row in its mixed row.
    weights : Tensor, shape (b,), or None
        How much each row counts; their mean over the log is 1.
    shown : Tensor of bool, shape (..., b), or None
        Responses that were shown; of the others a replicate tells nothing, and their feedback is 0. None if
        all were. :meth:`mean` and :meth:`sum` leave the others out.
    page_size : int or None
        Places of a page, where the estimator ``reads_pages``: the batch lists whole pages, place by place. A
        place that a page lacks is not shown.
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
    weights: Tensor | None = None
    shown: Tensor | None = None
    page_size: int | None = None

    def pages(self, values: Tensor) -> Tensor:
        """Values of whole pages, (..., b), as (..., pages, places)."""
        return values.unflatten(-1, (-1, required(self.page_size, "pages")))

    def mean(self, values: Tensor, keepdim: bool = False) -> Tensor:
        """Mean over the rows (the last axis) that were shown, each by its weight if it has one; shape (...,).

        ``values`` has one value per response, (..., b), or one per pair, (..., b/2): of pairs, those count
        both of whose members were shown. If nothing was shown, the mean is 0.
        """
        weighted = values if self.weights is None else values * self.weights
        if self.shown is None:
            return weighted.mean(-1, keepdim=keepdim)
        count = self._counted(values).sum(-1, keepdim=keepdim).clamp_min(1)
        return self.sum(weighted, keepdim) / count

    def sum(self, values: Tensor, keepdim: bool = False) -> Tensor:
        """Sum over the rows that were shown, whatever their weights, shape (...,); see :meth:`mean`."""
        return self.of_shown(values).sum(-1, keepdim=keepdim)

    def log_mean_exp(self, values: Tensor) -> Tensor:
        """Log of the mean of ``exp(values)`` over the rows that were shown, shape (...,).

        Each counts by its weight, as in :meth:`mean`, here relative to the batch's mean weight.
        """
        if self.weights is not None:
            tiny = torch.finfo(values.dtype).tiny  # a batch may hold rows without weight alone
            share = self.weights / self.weights.mean().clamp_min(tiny)
            values = values + share.clamp_min(tiny).log()
        if self.shown is None:
            return torch.logsumexp(values, -1) - math.log(values.shape[-1])
        count = self._counted(values).sum(-1).to(values.dtype)
        return torch.logsumexp(self.of_shown(values, -torch.inf), -1) - count.log()

    def of_shown(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """The values of what was shown, and ``fill`` for the others; for values see :meth:`mean`."""
        return values if self.shown is None else torch.where(self._counted(values), values, fill)

    def _counted(self, values: Tensor) -> Tensor:
        """Which responses, or which pairs, count."""
        shown = required(self.shown, "responses shown")
        if values.shape[-1] == shown.shape[-1]:
            return shown
        first, second = shown.chunk(2, dim=-1)
        return first & second

    @overload
    def told(self, name: Literal["misclick", "action rate"]) -> float: ...
    @overload
    def told(
        self,
        name: Literal["propensity", "class prior", "labels", "always acts", "strata", "signals", "mixing"],
    ) -> Tensor: ...
    def told(self, name: str) -> Any:
        """What the estimator must be told under this name of ``needs``; see the attribute of that name.

        Raises
        ------
        BadInput
            If the log does not hold it.
        """
        return required(getattr(self, name.replace(" ", "_")), name)

    def halves(self) -> "tuple[Batch, Batch]":
        """The first members of a batch of pairs, and their partners, each as a batch."""
        n = self.feedback.shape[-1]
        return _take(self, n, slice(n // 2)), _take(self, n, slice(n // 2, n))


def _take(whole: Sampled, n: int, rows: slice) -> Sampled:
    """The given samples of every tensor whose last axis has the ``n`` samples."""

    def part(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: part(tensor) for key, tensor in value.items()}
        is_sampled = isinstance(value, Tensor) and value.dim() > 0 and value.shape[-1] == n
        return value[..., rows] if is_sampled else value

    return replace(whole, **{f.name: part(getattr(whole, f.name)) for f in fields(whole)})
