"""Positive-unlabelled learning beyond uPU: Elkan-Noto's division, PUSB's order, VPU's variational bound."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from simbench.estimator.estimator import Estimator
from simbench.training.samples import Batch, Outputs, partners, required
from simbench_estimators.inverse_propensity import NNPU
from simbench_estimators.naive import Naive


class ElkanNoto(Naive):
    """The naive click probability divided by the label frequency ``c``, at most 1.

    ``c`` is the mean click probability that the fitted classifier gives to held-out clicked responses
    (estimator ``e1`` of the paper). This is right if every clicked response is surely good. If γ varies, then
    under SCAR ``c`` tends to ``E[γ²α]/E[γα]`` in place of α, which is too small: predictions are too large,
    and those beyond 1 become ties. Measured on simbench's exclusive world: ``c`` is .19 where α is .3, a
    third of the predictions is 1, and AUROC is .01 below naive's, which it would equal without the ties.
    """

    name = "elkan-noto"
    assumption = "SCAR, and clicked responses are surely good (γ = 1 where r = 1)"
    source = "Elkan, Noto, KDD 2008"
    link_formula = "minimum(sigmoid(s) / c, 1)"

    def calibration(self, out: Outputs, batch: Batch) -> Tensor:
        """The label frequency ``c`` of every replicate, shape (R, 1)."""
        clicked = batch.feedback.sum(-1, keepdim=True)
        mean = (batch.feedback * torch.sigmoid(out.reward)).sum(-1, keepdim=True) / clicked.clamp_min(1)
        # no click is held out: divide by nothing
        return torch.where(clicked > 0, mean, 1.0).clamp_min(1e-6)

    def link(self, reward_logit: Tensor, calibration: Tensor | None = None) -> Tensor:
        return (super().link(reward_logit) / required(calibration, "calibration")).clamp_max(1)


class PUSB(NNPU):
    """PU learning under a selection bias that keeps the order: threshold the density ratio at the prior.

    The score is learned by the non-negative PU risk with logistic loss, whose minimiser is
    ``π p(x) / E[p]`` of the click probability ``p`` while below 1. If the click probability among the
    good rises with the reward, that score orders responses as the reward does (the paper's invariance of
    order), though its values are wrong. The paper classifies the share ``π`` with the highest scores
    as good; as a probability this gives ``σ(s - θ)``, with ``θ`` the ``1 - π`` quantile of the scores of
    held-out responses. Only the order and the threshold are claimed, not the values between.
    """

    name = "pusb"
    needs = frozenset({"class prior"})
    optional = frozenset()
    assumption = "the click probability of good responses rises with the reward; prior right"
    source = "Kato, Teshima, Honda, ICLR 2019"
    link_formula = "sigmoid(s - c)"

    def calibration(self, out: Outputs, batch: Batch) -> Tensor:
        """The threshold ``θ`` of every replicate, shape (R, 1)."""
        # what was not shown stands behind everything else
        ordered = batch.of_shown(out.reward, torch.inf).sort(-1).values
        shown = batch.sum(torch.ones_like(ordered), keepdim=True)
        place = ((1 - batch.told("class prior")) * (shown - 1)).round().long()
        return ordered.gather(-1, place.expand(len(ordered), 1))

    def link(self, reward_logit: Tensor, calibration: Tensor | None = None) -> Tensor:
        return torch.sigmoid(reward_logit - required(calibration, "calibration"))


class VPU(Estimator):
    """Variational PU: ``L_var + λ L_reg``, with ``Φ = γ̂``, which needs no class prior.

    ``L_var = log mean Φ - mean_{r=1} log Φ`` bounds the divergence between the clicked responses and those
    that ``Φ`` calls good; ``mean Φ`` is over all responses, clicked or not. MixUp makes ``Φ`` consistent:
    ``L_reg = mean (log Φ̃ - log Φ(x̃))²`` at ``x̃ = μ x' + (1 - μ) x''`` with ``x'`` clicked and ``x''`` any
    response, ``Φ̃ = μ · 1 + (1 - μ) Φ(x'')`` and ``μ ~ Beta(.3, .3)``. Its gradient reaches ``Φ̃`` too. λ
    is .03 as in the authors' code; the paper chooses it by the held-out ``L_var``.

    Here a batch's pairs are its rows and their partners, the same in all replicates, and a pair counts
    where its first member is clicked; ``μ`` is drawn for each pair (the authors' code: for each batch), which
    leaves the expectation as it is. The authors draw as many clicked responses a step as others. As in
    the paper, ``L_var`` alone is the criterion of early stopping. It is also the whole loss where nothing is
    mixed: in the verdicts, and for language models, whose inputs are tokens.

    ``L_var`` does not see the scale of ``Φ``, so predictions are divided by the largest one among the
    held-out responses (in the paper, among the training responses). The risk is not a sum over samples.
    """

    name = "vpu"
    assumption = "SCAR, and some responses are surely good"
    source = "Chen, Liu, Wang, Zhao, Wu, NeurIPS 2020"
    mixup: ClassVar[float | None] = 0.3  # α of the paper
    consistency: ClassVar[float] = 0.03  # λ
    sums_over_samples: ClassVar[bool] = False
    link_formula: ClassVar[str] = "minimum(sigmoid(s) / c, 1)"

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        return self.risk(out, batch)

    def selection_loss(self, out: Outputs, batch: Batch) -> Tensor:
        return self.variational_loss(out, batch)

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        bound = self.variational_loss(out, batch)
        return bound if out.mixed is None else bound + self.consistency * self.mixing_loss(out, batch)

    def variational_loss(self, out: Outputs, batch: Batch) -> Tensor:
        """The variational loss ``L_var``, shape (...,)."""
        log_phi = logsigmoid(out.reward)
        return batch.log_mean_exp(log_phi) - _mean_of_clicked(log_phi, batch.feedback)

    def mixing_loss(self, out: Outputs, batch: Batch) -> Tensor:
        """The consistency loss ``L_reg`` on mixed rows, shape (...,)."""
        interpolated = torch.logaddexp(
            batch.told("mixing").log(), (-batch.told("mixing")).log1p() + logsigmoid(partners(out.reward))
        )
        clicked = batch.feedback if batch.shown is None else batch.feedback * partners(batch.shown)
        return _mean_of_clicked((interpolated - logsigmoid(out.head("mixed"))).square(), clicked)

    def calibration(self, out: Outputs, batch: Batch) -> Tensor:
        """The largest held-out ``Φ`` of every replicate, shape (R, 1)."""
        return batch.of_shown(torch.sigmoid(out.reward)).amax(-1, keepdim=True).clamp_min(1e-6)

    def link(self, reward_logit: Tensor, calibration: Tensor | None = None) -> Tensor:
        return (torch.sigmoid(reward_logit) / required(calibration, "calibration")).clamp_max(1)


def _mean_of_clicked(values: Tensor, clicked: Tensor) -> Tensor:
    """Mean over the clicked responses, 0 if there is none; shape (...,)."""
    return (clicked * values).sum(-1) / clicked.sum(-1).clamp_min(1)
