"""EM estimators of a reward and a propensity, before and beside ImplicitRM; they share its posteriors."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from estimators.implicitrm import ImplicitRM
from simbench.estimator import Batch, Network, Outputs
from simbench.losses import click_nll, cross_entropy, log_feedback_probability


class SAREM(ImplicitRM):
    """SAR-EM: logistic reward and propensity, posteriors renewed before each epoch.

    Expected labels ``ŷ = P(r*=1 | r, x, z)`` weight the classifier, ``ŷ ℓ1 + (1 - ŷ) ℓ0``, and the
    propensity model is fitted on the expected positives alone, ``ŷ [r log α̂ + (1-r) log(1-α̂)]``. That
    is the M-step of the same likelihood as ImplicitRM's, with one latent variable in place of two: the
    optimum is the same, the path differs.

    Parameters
    ----------
    e_step, hidden, lr, batch_size, epochs, patience, weight_decay, validation_share, seed, device
        See :class:`estimators.implicitrm.ImplicitRM`; logistic heads are ``hidden=()``.
    """

    name = "sar-em"
    assumption = "no misclicks, logistic reward and propensity, and context moves only the propensity"
    source = "Bekker, Robberechts, Davis, ECML-PKDD 2019"
    optional = frozenset()

    def __init__(
        self,
        e_step="epoch",
        hidden: tuple[int, ...] = (),
        lr: float = 3e-2,
        batch_size: int = 512,
        epochs: int = 150,
        patience: int = 12,
        weight_decay: float = 1e-4,
        validation_share: float = 0.2,
        seed: int = 0,
        device: str = "cpu",
    ):
        super().__init__(
            e_step, hidden, lr, batch_size, epochs, patience, weight_decay, validation_share, seed, device
        )

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        preference, _ = self.posteriors(out, batch)
        assert out.propensity is not None
        return preference.detach() * cross_entropy(out.propensity, batch.feedback)


class LBE(ImplicitRM):
    """Label-bias EM: ``P(r=1|x) = h(x) η(x)`` with two networks on the *features*, both free.

    The E-step computes ``P(r*=1 | x, r)``, the M-step fits ``h`` to it and ``η`` to the feedback of the
    expected positives, as in SAR-EM but with networks and with no covariates of its own for ``η``: only
    the starting point and the networks' bias tell reward from propensity. The paper starts ``h`` from a
    classifier of the feedback; here both start from the common random draw.
    """

    name = "lbe"
    assumption = "none that identifies it: reward and propensity read the same features"
    source = "Gong et al., TPAMI 2021; without its initialisation"
    networks = (Network(), Network(("propensity",)))
    optional = frozenset()

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        preference, _ = self.posteriors(out, batch)
        assert out.propensity is not None
        return preference.detach() * cross_entropy(out.propensity, batch.feedback)


class ReCRec(LBE):
    """ReCRec-F: exposure ``μ`` times preference ``γ``, preference also fitted through the click.

    ``L_γ = ℓ(γ̂, Q) + ℓ(sg(μ̂) γ̂, r)`` with ``Q = P(r*=1 | r)``, and ``L_μ = ℓ(μ̂, P)`` with
    ``P = P(exposed | r)``; posteriors before each step. Uses all samples (the published code resamples) and
    no calibration.
    """

    name = "recrec"
    source = "Lin et al., ACM TOIS 2024 (ReCRec-F)"

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        assert out.propensity is not None
        preference, _ = self.posteriors(out, batch)
        click = log_feedback_probability(out.reward, logsigmoid(out.propensity).detach())
        return cross_entropy(out.reward, preference.detach()) + click_nll(click, batch.feedback)

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor:
        _, action = self.posteriors(out, batch)
        assert out.propensity is not None
        return cross_entropy(out.propensity, action.detach())
