"""EM estimators of a reward and a propensity other than ImplicitRM, whose posteriors they share.

If the log does not identify the reward, the networks' first fit decides where EM ends. So SAR-EM and LBE
start as their papers do (:attr:`simbench.estimator.estimator.Estimator.initial_epochs`).
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from simbench.training.contract import Network
from simbench.training.losses import click_nll, cross_entropy, log_feedback_probability
from simbench.training.samples import Batch, Outputs
from simbench_estimators.implicitrm import ImplicitRM


class LabellingEM(ImplicitRM):
    """EM with one latent variable, r*: the propensity is fitted on the expected positives alone.

    With ``ŷ = P(r*=1 | r, x, z)``, the reward's loss is ``ŷ ℓ1 + (1 - ŷ) ℓ0``, and the propensity's is
    ``-ŷ [r log α̂ + (1-r) log(1-α̂)]``. ImplicitRM has the action as a second latent variable and fits the
    propensity on all samples: the observed likelihood is the same, and so is its optimum.
    """

    optional = frozenset()
    also_reads = frozenset()
    reads_marginals = False

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        preference, _ = self.posteriors(out, batch)
        return self.labelling_loss(out, batch, preference.detach())

    def labelling_loss(self, out: Outputs, batch: Batch, preference: Tensor) -> Tensor:
        """Cross-entropy of the feedback under the propensity ``α̂``, weighted by ``ŷ``, shape (..., b)."""
        return preference * cross_entropy(out.head("propensity"), batch.feedback)


class SAREM(LabellingEM):
    """SAR-EM: logistic reward and propensity, with posteriors renewed before each epoch.

    It starts from a fit that takes the feedback for the label, with both classes weighing the same,
    ``[r (1-ρ) + (1-r) ρ] ℓ(γ̂, r)``, and from a propensity whose ``ŷ`` is ``r + (1-r) γ̂``.

    It differs from the authors' code in three ways: epochs of Adam in place of exact M-steps, early stopping
    on the held-out observed likelihood in place of the propensities' slope, and no final fit of the
    classifier by inverse *estimated* propensities, whose weights are unbounded.

    If reward and propensity read the same features, the start decides the end. AUROC on simbench's
    shared world, from this start / a random one / naive: .79 / .58 / .78 at bias level 0, and
    .63 / .69 / .68 at level 2, where it is worse than naive.

    Parameters
    ----------
    e_step, hidden, lr, batch_size, epochs, patience, weight_decay, validation_share, seed, device
        See :class:`simbench_estimators.implicitrm.ImplicitRM`; logistic heads are ``hidden=()``.
    """

    name = "sar-em"
    assumption = "no misclicks, logistic reward and propensity, and context moves only the propensity"
    source = "Bekker, Robberechts, Davis, ECML-PKDD 2019"
    initial_epochs = 20

    e_step = "epoch"
    hidden = ()
    lr = 3e-2
    epochs = 150
    patience = 12

    def initial_objective(self, out: Outputs, batch: Batch) -> Tensor:
        r, rate = batch.feedback, batch.feedback_rate
        label = (r * (1 - rate) + (1 - r) * rate) * cross_entropy(out.reward, r)
        preference = r + (1 - r) * torch.sigmoid(out.reward).detach()
        return batch.mean(label + self.labelling_loss(out, batch, preference))


class LBE(LabellingEM):
    """Label-bias EM: ``P(r=1|x) = h(x) η(x)`` with two networks on the *features*, both free.

    The E-step computes ``P(r*=1 | x, r)``, the M-step fits ``h`` to it and ``η`` to the feedback of the
    expected positives, as in SAR-EM but with networks, and with no covariates of its own for ``η``: only the
    starting point and the networks' bias distinguish reward from propensity. As in the paper, ``h`` starts
    as a classifier of the feedback, here with ``η = ½``; posteriors are renewed at each step rather than
    after many steps.
    """

    name = "lbe"
    assumption = "none that identifies it: reward and propensity read the same features"
    source = "Gong et al., TPAMI 2021"
    networks = (Network(), Network(("propensity",)))
    initial_epochs = 10

    def initial_objective(self, out: Outputs, batch: Batch) -> Tensor:
        even = torch.full_like(out.head("propensity"), 0.5)
        naive = cross_entropy(out.reward, batch.feedback)
        return batch.mean(naive + cross_entropy(out.head("propensity"), even))


class ReCRec(ImplicitRM):
    """ReCRec-F: exposure ``μ`` times preference ``γ``, with the preference also fitted through the click.

    ``L_γ = ℓ(γ̂, Q) + ℓ(sg(μ̂) γ̂, r)`` with ``Q = P(r*=1 | r)``, and ``L_μ = ℓ(μ̂, P)`` with
    ``P = P(exposed | r)``, where ``sg`` stops the gradient; posteriors are renewed before each step. It uses
    all samples (the published code resamples) and no calibration.

    At the true posteriors the first term is the ideal loss in expectation and the second is not, so the risk
    is biased. Yet at the current posteriors both terms have the *same* gradient (Fisher's identity): the step
    is that of ImplicitRM on the features with the reward's gradient doubled, which Adam's scaling undoes, and
    both end at the same rewards.
    """

    name = "recrec"
    assumption = "none that identifies it: reward and propensity read the same features"
    source = "Lin et al., ACM TOIS 2024 (ReCRec-F)"
    networks = (Network(), Network(("propensity",)))
    optional = frozenset()
    also_reads = frozenset()
    reads_marginals = False

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        preference, _ = self.posteriors(out, batch)
        click = log_feedback_probability(out.reward, logsigmoid(out.head("propensity")).detach())
        return cross_entropy(out.reward, preference.detach()) + click_nll(click, batch.feedback)
