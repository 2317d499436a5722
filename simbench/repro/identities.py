"""Formulae of the paper, compared with enumeration at arbitrary hypotheses, rewards and propensities."""

from dataclasses import replace

import torch
from torch import Tensor

from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find
from simbench.score.risk import CASES, Probe, batch_for, expected_loss, ideal_loss, situation
from simbench.training.losses import loss_negative, loss_positive
from simbench.training.samples import Outputs

POINTS = 4096  # of each case
OURS = "implicitrm"
WITHOUT_MISCLICKS = tuple(
    case for case in CASES if case not in ("misclicks", "imputation right", "true posteriors")
)


def naive_bias_error(case: str) -> float:
    """Return the largest deviation of naive's exact bias from ``γ(1-α)[ℓ(h,0) - ℓ(h,1)]``."""
    at = situation(case, n=POINTS)
    bias = expected_loss(find("naive")(), at, case) - ideal_loss(at.hypothesis, at.reward)
    return float((bias - stated_naive_bias(at)).abs().max())


def stated_naive_bias(at: Probe) -> Tensor:
    """Return the bias as the paper states it, one value per sample."""
    gap = loss_negative(at.hypothesis) - loss_positive(at.hypothesis)
    return at.reward * (1 - at.propensity) * gap


def group_error(case: str) -> float:
    """Return the largest error of the four groups, in both directions.

    The joint probabilities of preference, action and feedback are enumerated. The posteriors that ImplicitRM
    computes, of a preference and of an action, are compared with Bayes' rule on them, at each feedback.
    """
    at = situation(case, n=POINTS)
    truth = Outputs(torch.logit(at.reward), torch.logit(at.propensity))
    worst = 0.0
    for click in (1.0, 0.0):
        feedback = torch.full_like(at.reward, click)
        state = find(OURS)().epoch_state(truth, batch_for(find(OURS)(), at, feedback, case))
        joint = {
            (good, acts): _mass(at.reward, good) * _mass(at.propensity, acts)
            for good in (1, 0)
            for acts in (1, 0)
            if good * acts == click
        }
        total = torch.stack(list(joint.values())).sum(0)
        for place, name in enumerate(("preference", "action")):
            parts = [mass for group, mass in joint.items() if group[place] == 1]
            bayes = torch.stack(parts).sum(0) / total
            worst = max(worst, float((state[name] - bayes).abs().max()))
    return worst


def _mass(probability: Tensor, happens: int) -> Tensor:
    return probability if happens else 1 - probability


def likelihood_error(case: str) -> float:
    """Return the largest difference of two gradients in the logits of reward and propensity.

    One is that of the learning objective with the posteriors held fixed, the other that of the observed
    likelihood (Fisher's identity), each at arbitrary fits of both.
    """
    at, worst = situation(case, n=POINTS), 0.0
    for click in (1.0, 0.0):
        feedback = torch.full_like(at.reward, click)
        estimator = find(OURS)()
        objective = _gradient(estimator, at, feedback, case)
        ascending = find(OURS)().set_params(e_step="likelihood")
        likelihood = _gradient(ascending, at, feedback, case)
        worst = max(worst, float((objective - likelihood).abs().max()))
    return worst * POINTS  # the objective is a mean over the points


def _gradient(estimator: Estimator, at: Probe, feedback: Tensor, case: str) -> Tensor:
    """The gradient of the objective in both logits, shape (2, n)."""
    logits = torch.stack([at.hypothesis, torch.logit(at.fitted_propensity)]).requires_grad_()
    out = replace(at.outputs, reward=logits[0], propensity=logits[1])
    risk = estimator.objective(out, batch_for(estimator, at, feedback, case))
    return torch.autograd.grad(risk, logits)[0]


IDENTITIES_OF = {
    "naive bias": (naive_bias_error, WITHOUT_MISCLICKS),
    "four groups": (group_error, ("known α",)),
    "likelihood": (likelihood_error, ("unknown α",)),
}
