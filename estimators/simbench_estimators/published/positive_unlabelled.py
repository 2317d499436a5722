"""Positive-unlabelled risks, as published code has them: the unlabelled set leaves out the labelled."""

from torch import Tensor

from simbench.training.losses import loss_negative, loss_positive
from simbench.training.samples import Batch, Outputs
from simbench_estimators.inverse_propensity import NNPU, UPU


class UPUPublished(UPU):
    """``π mean_{r=1}(ℓ1 - ℓ0) + mean_{r=0} ℓ0``.

    The prior is that of the whole population, while the mean of ``ℓ0`` is over the unclicked alone: positives
    are taken off twice, and even under SCAR with the right prior the risk is biased. Rates of the whole log
    stand for those of a batch.
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
    """``π mean_{r=1} ℓ1 + max(0, mean_{r=0} ℓ0 - π mean_{r=1} ℓ0)``, means over the batch.

    A plain clamp: where the second part is negative it has no gradient, and there is no step that ascends it.
    As in :class:`UPUPublished`, the unlabelled set leaves out the clicked. A batch without a sample of one
    kind counts 0 for it.
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
        return good, _mean(bad, 1 - r) - taken_off


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the marked, 0 where none is; shape (...,)."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp_min(1)
