"""Positive-unlabelled risks as published code writes them: the unlabelled set excludes the labelled."""

from torch import Tensor

from simbench.training.losses import loss_negative, loss_positive
from simbench.training.samples import Batch, Outputs
from simbench_estimators.inverse_propensity import NNPU, UPU


class UPUPublished(UPU):
    """uPU with the mean of ``ℓ0`` over the unclicked: ``π mean_{r=1}(ℓ1 - ℓ0) + mean_{r=0} ℓ0``.

    The prior is that of the whole population, while the mean of ``ℓ0`` is over the unclicked alone. So
    positives are subtracted twice, and even under SCAR with the right prior the risk is biased. The rates of
    the whole log are used in place of a batch's.
    """

    name = "upu@published"
    assumption = "none under which it is unbiased: the unlabelled set excludes the labelled"
    source = "public code of the baselines of arXiv 2603.23184; after du Plessis et al., NIPS 2014"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        r, rate = batch.feedback, batch.feedback_rate
        clicked = (
            r * batch.told("class prior") / rate * (loss_positive(out.reward) - loss_negative(out.reward))
        )
        return clicked + (1 - r) / (1 - rate) * loss_negative(out.reward)


class NNPUPublished(NNPU):
    """nnPU with a plain clamp: ``π mean_{r=1} ℓ1 + max(0, mean_{r=0} ℓ0 - π mean_{r=1} ℓ0)``.

    Means are over the batch; a mean over no sample is 0. If the second part is negative it has no gradient,
    and no step ascends it. As in :class:`UPUPublished`, the unlabelled set excludes the clicked.
    """

    name = "nnpu@published"
    assumption = "none under which it is unbiased: the unlabelled set excludes the labelled"
    source = "public code of the baselines of arXiv 2603.23184; after Kiryo et al., NIPS 2017"

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        return self.risk(out, batch)

    def risk_parts(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        prior, r = batch.told("class prior").squeeze(-1), batch.feedback
        good = prior * _mean(loss_positive(out.reward), r)
        bad, taken_off = loss_negative(out.reward), prior * _mean(loss_negative(out.reward), r)
        return good, _mean(bad, batch.of_shown(1 - r)) - taken_off


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the marked values, 0 if none is marked; shape (...,)."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp_min(1)
