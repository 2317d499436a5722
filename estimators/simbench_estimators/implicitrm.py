"""ImplicitRM (arXiv 2603.23184): stratify the log into four latent groups, and learn from the strata.

Groups: positive-active (PA), negative-active (NA), positive-passive (PP), negative-passive (NP). With
``D = 1 - γ̂α̂``, the posteriors are: r=1 is PA; at r=0, ``φPP = γ̂(1-α̂)/D``, ``φNA = (1-γ̂)α̂/D``.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import FittedReplicates, Network
from simbench.training.holdout import Holdout
from simbench.training.losses import (
    cross_entropy,
    log1mexp,
    log_click_given_action,
    log_feedback_probability,
    loss_negative,
    loss_positive,
    observed_nll,
)
from simbench.training.parameters import Count
from simbench.training.restarts import train_restarts
from simbench.training.samples import Batch, Outputs
from simbench.training.trained import require_trained
from simbench.training.trainer import Execution

NEVER = -1e3  # log of a probability of 0 that stays finite


def group_posteriors(
    reward_logit: Tensor,
    log_alpha: Tensor,
    log_passive: Tensor,
    feedback: Tensor,
    misclick: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Posterior probabilities of a preference and of an action, ``(φPA + φPP, φPA + φNA)``.

    With a misclick rate ε a click may come from a negative-active user, so that
    ``φPA = γ̂ / (γ̂ + (1-γ̂)ε)`` at r=1, and ``φNA = (1-γ̂)(1-ε)α̂ / D`` at r=0.

    Parameters
    ----------
    reward_logit : Tensor, shape (..., b)
        Logit of ``γ̂``.
    log_alpha, log_passive : Tensor, shape (..., b)
        ``log α̂`` and ``log(1 - α̂)``.
    feedback : Tensor, shape (..., b), in {0, 1}
    misclick : float, optional
        Misclick rate ε.

    Returns
    -------
    preference, action : Tensor, shape (..., b), in [0, 1]
    """
    log_d = log1mexp(log_feedback_probability(reward_logit, log_alpha, misclick))
    log_positive, log_negative = logsigmoid(reward_logit), logsigmoid(-reward_logit)
    positive_passive = torch.exp(log_positive + log_passive - log_d).clamp_max(1)
    log_no_slip = math.log1p(-misclick) if misclick else 0.0
    negative_active = torch.exp(log_negative + log_no_slip + log_alpha - log_d).clamp_max(1)
    clicked_and_good = torch.exp(log_positive - log_click_given_action(reward_logit, misclick))
    unclicked = 1 - feedback
    return (
        feedback * clicked_and_good + unclicked * positive_passive,
        feedback + unclicked * negative_active,
    )


def marginal_loss(
    log_probability: Tensor, log_complement: Tensor, told: Tensor | float, batch: Batch
) -> Tensor:
    """Cross-entropy of a told marginal against the batch's mean probability, shape (...,).

    It weighs as much as one anonymous answer per response would, and is smallest if both are equal.

    Parameters
    ----------
    log_probability, log_complement : Tensor, shape (..., b)
        Log of each response's probability, and of its complement.
    told : Tensor or float, in [0, 1]
        The marginal.
    batch : Batch
        Its mean is over what was shown, by the weights.
    """
    log_mean, log_rest = batch.log_mean_exp(log_probability), batch.log_mean_exp(log_complement)
    return -(told * log_mean + (1 - told) * log_rest)


def _labelled(preference: Tensor, action: Tensor, log_alpha: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Posteriors given an explicit label: a good response without a click proves a passive user."""
    known, good = ~torch.isnan(batch.told("labels")), batch.told("labels") == 1
    # a bad response: a click proves an action; without one, an active user who did not slip
    alpha, eps = torch.exp(log_alpha).expand_as(action), batch.misclick or 0.0
    silent = alpha * (1 - eps) / (1 - alpha * eps)
    bad = torch.where(batch.feedback == 1, torch.ones_like(silent), silent)
    given_label = torch.where(good, batch.feedback, bad)
    return (
        torch.where(known, good.to(preference.dtype), preference),
        torch.where(known, given_label, action),
    )


def _labelled_nll(
    nll: Tensor, reward_logit: Tensor, log_alpha: Tensor, log_passive: Tensor, batch: Batch
) -> Tensor:
    """Replace the observed NLL by that of (click, label) where there is a label."""
    clicked = batch.feedback == 1
    # r(1-r) = 0, and 0 * -inf is avoided: a certain action has no passive branch
    acted = torch.where(clicked, log_alpha, log_passive.clamp_min(NEVER))
    good = loss_positive(reward_logit) - acted
    bad = loss_negative(reward_logit)
    if batch.misclick:
        log_slip = log_alpha + math.log(batch.misclick)
        bad = bad - torch.where(clicked, log_slip, log1mexp(log_slip))
    labelled = torch.where(batch.told("labels") == 1, good, bad)
    return torch.where(torch.isnan(batch.told("labels")), nll, labelled)


class ImplicitRM(Estimator):
    """ImplicitRM with unknown propensity: EM on the observed likelihood ``Π (γ̂α̂)^r (1-γ̂α̂)^(1-r)``.

    The propensity network reads the context if the log has some, else the features. The log alone identifies
    only the product ``γα``: see theory, section 3, for what else is needed.

    Parameters
    ----------
    e_step : {"batch", "epoch", "likelihood"}
        When the posteriors are renewed: before each step, before each epoch, or never, ascending the
        observed likelihood directly. The gradient of "batch" equals that of "likelihood" (Fisher's
        identity), so those two differ by rounding only.
    restarts : int, at least 1
        Number of fits from different starting points; if several reach the same held-out likelihood with
        different rewards, a stated rule chooses (:data:`simbench.training.restarts.RULE`), with a warning.

    Notes
    -----
    Further knowledge helps to split the product: explicit labels and users who always act (``α = 1``) enter
    the likelihood; a class prior and an action rate enter through :func:`marginal_loss`.
    """

    name = "implicitrm"
    assumption = "no misclicks, and the product γα can be split: context moves only the propensity"
    source = "ImplicitRM, arXiv 2603.23184, section 3.2"
    networks = (Network(), Network(("propensity",), "context"))
    optional = frozenset({"labels", "misclick", "action rate", "always acts"})
    also_reads = frozenset({"class prior"})
    reads_marginals = True
    weighs_rows = True

    e_step: Literal["batch", "epoch", "likelihood"] = "batch"
    restarts: Count = 1

    def initial_shift(self, head: str, restart: int) -> float:
        """Shift by restart: the first starts at even odds, others sure that users like but are passive, or
        the reverse."""
        shift = (0.0, 2.0, -2.0, 1.0, -1.0)[restart % 5]
        return shift if head == "reward" else -shift

    def fit_replicates(
        self,
        log: FeedbackLog,
        replicates: Sequence[int] | None = None,
        holdout: Holdout | None = None,
        execution: Execution | None = None,
    ) -> FittedReplicates:
        self.check_parameters()
        if self.restarts == 1 or "propensity" not in self.heads():
            return super().fit_replicates(log, replicates, holdout, execution)
        self.require(log)
        if log.weights is not None:
            raise BadInput("restarts are compared on rows that count alike: give no weights, or restarts=1.")
        numbers = replicates or range(log.n_replicates)
        found = train_restarts(self, log, numbers, self.restarts, holdout, execution)
        require_trained(found, self.name)
        return found

    @property
    def has_epoch_state(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the posteriors are renewed once per epoch."""
        return self.e_step == "epoch"

    def posteriors(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """Preference and action posteriors, each (..., b): the epoch's, or those of the current networks."""
        if "preference" in batch.state:
            return batch.state["preference"], batch.state["action"]
        log_alpha, log_passive = self.log_propensity(out, batch)
        posteriors = group_posteriors(out.reward, log_alpha, log_passive, batch.feedback, batch.misclick)
        return posteriors if batch.labels is None else _labelled(*posteriors, log_alpha, batch)

    def log_propensity(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log propensity ``log α̂`` and its complement ``log(1 - α̂)``, each of shape (..., b)."""
        log_alpha, log_passive = logsigmoid(out.head("propensity")), logsigmoid(-out.head("propensity"))
        if batch.always_acts is None:
            return log_alpha, log_passive
        return (
            torch.where(batch.always_acts, 0.0, log_alpha),
            torch.where(batch.always_acts, NEVER, log_passive),
        )

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        preference, _ = self.posteriors(out, batch)
        return cross_entropy(out.reward, preference.detach())

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor | float:
        _, action = self.posteriors(out, batch)
        loss = cross_entropy(out.head("propensity"), action.detach())
        # of those who always act nothing is to be learned about the others
        return loss if batch.always_acts is None else torch.where(batch.always_acts, 0.0, loss)

    def marginals(self, out: Outputs, batch: Batch) -> Tensor | float:
        """Loss of the told marginals, shape (...,); 0 if none is told."""
        loss: Tensor | float = 0.0
        if not self.reads_marginals:
            return loss
        if batch.class_prior is not None:
            good, bad = logsigmoid(out.reward), logsigmoid(-out.reward)
            loss = loss + marginal_loss(good, bad, batch.class_prior.squeeze(-1), batch)
        if batch.action_rate is not None and out.propensity is not None:
            told = self.log_propensity(out, batch)
            loss = loss + marginal_loss(*told, batch.action_rate, batch)
        return loss

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        if self.e_step == "likelihood":
            return self.selection_loss(out, batch)
        return super().objective(out, batch) + self.marginals(out, batch)

    def selection_loss(self, out: Outputs, batch: Batch) -> Tensor:
        log_alpha, log_passive = self.log_propensity(out, batch)
        nll = observed_nll(out.reward, log_alpha, batch.feedback, batch.misclick)
        if batch.labels is not None:
            nll = _labelled_nll(nll, out.reward, log_alpha, log_passive, batch)
        return batch.mean(nll) + self.marginals(out, batch)

    def epoch_state(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        preference, action = self.posteriors(out, batch)
        return {"preference": preference, "action": action}


class ImplicitRMKnown(ImplicitRM):
    """ImplicitRM with given ``α(x, z)``: maximum likelihood of the reward alone."""

    name = "implicitrm-known"
    needs = frozenset({"propensity"})
    optional = frozenset({"labels", "misclick"})
    assumption = "the propensity is known exactly, no misclicks"
    networks = (Network(),)

    def log_propensity(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        return torch.log(batch.told("propensity")), torch.log1p(-batch.told("propensity"))

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor | float:
        return 0.0


class ImplicitRMPrior(ImplicitRM):
    """ImplicitRM with unknown propensity and a known class prior ``π = E[γ]``, which fixes the level."""

    name = "implicitrm-prior"
    needs = frozenset({"class prior"})
    assumption = "the class prior is known, no misclicks, and context moves the propensity or labels tell it"


class ImplicitRMPrinted(ImplicitRM):
    """Eq. (6) of the paper as printed: ``φNA ∝ γ̂(1-α̂)`` and ``φPP ∝ γ̂α̂``.

    Kept apart to show its exact bias; the group table and the proof of the paper use the
    definitions of :class:`ImplicitRM`.
    """

    name = "implicitrm@printed"
    assumption = "none under which it is unbiased: the printed numerators are misplaced"
    source = "ImplicitRM, arXiv 2603.23184, Eq. (6) as printed"

    def posteriors(self, out: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        if "preference" in batch.state:
            return batch.state["preference"], batch.state["action"]
        log_alpha, log_passive = self.log_propensity(out, batch)
        log_p = log_feedback_probability(out.reward, log_alpha)
        log_d = log1mexp(log_p)
        unclicked = 1 - batch.feedback
        # min(., 1): as printed, the numerators need not stay below D
        printed_pp = torch.exp(log_p - log_d).clamp_max(1)
        printed_na = torch.exp(logsigmoid(out.reward) + log_passive - log_d).clamp_max(1)
        return batch.feedback + unclicked * printed_pp, batch.feedback + unclicked * printed_na
