"""What splits the product where it is told: marginals, users who always act, repeated exposure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from simbench_estimators.implicitrm import ImplicitRM, ImplicitRMPrior, marginal_loss
from simbench_estimators.signals import ImplicitRMSignals
from torch.nn.functional import logsigmoid

from simbench.study.config import StudyConfig, cells_of
from simbench.training.samples import Batch, Outputs
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def test_a_told_marginal_is_least_where_the_mean_meets_it():
    """Witness: NumPy's cross-entropy of two numbers."""
    logit = torch.linspace(-2, 1, 9, dtype=torch.float64)
    mean = torch.sigmoid(logit).mean().item()
    batch = Batch(logit, logit)
    for told in (0.1, 0.45, mean):
        found = marginal_loss(logsigmoid(logit), logsigmoid(-logit), told, batch).item()
        assert found == pytest.approx(-told * np.log(mean) - (1 - told) * np.log(1 - mean))
    logit.requires_grad_()
    marginal_loss(logsigmoid(logit), logsigmoid(-logit), mean, batch).backward()
    assert logit.grad is not None and logit.grad.abs().max() < 1e-12


@pytest.mark.parametrize("e_step", ["batch", "likelihood"])
def test_of_users_who_always_act_a_missing_click_is_a_dislike(e_step):
    """Their likelihood is that of an explicit label; of the propensity they tell nothing."""
    reward, action = torch.tensor([0.3, -1.0]), torch.tensor([0.2, 0.7])
    tensors = [tensor.double().requires_grad_() for tensor in (reward, action)]
    feedback = torch.tensor([1.0, 0.0], dtype=torch.float64)
    always = torch.tensor([True, True])
    batch = Batch(feedback, feedback.mean(-1, keepdim=True), always_acts=always)
    estimator = ImplicitRM(e_step=e_step)
    out = Outputs(reward=tensors[0], propensity=tensors[1])
    estimator.objective(out, batch).backward()
    gradient = (torch.sigmoid(reward.double()) - feedback) / 2  # of logistic regression
    assert torch.allclose(tensors[0].grad, gradient)
    assert tensors[1].grad is None or tensors[1].grad.abs().max() == 0
    expected = -(logsigmoid(reward[0]) + logsigmoid(-reward[1])) / 2
    assert estimator.selection_loss(out, batch).item() == pytest.approx(expected.item())


def test_knowledge_fixes_the_level():
    """In exclusive at bias level .8 the level is weakly identified; each of these fixes it.

    As the log grows: at 5,000 responses early stopping keeps up to .11 of the error.
    """
    config = WorldConfig().changed(name="always", always_share=0.1)
    log, truth = build(config, 0.8, 10_000, 0).draw(range(8))
    assert truth.always_acts is not None and 0.05 < truth.always_acts.mean() < 0.15
    prior, rate = float(truth.reward.mean()), float(truth.propensity.mean())
    fits = {
        "nothing": ImplicitRM().fit_replicates(log),
        "prior": ImplicitRMPrior().fit_replicates(replace(log, class_prior=prior)),
        "rate": ImplicitRM().fit_replicates(replace(log, action_rate=rate)),
        "always": ImplicitRM().fit_replicates(replace(log, always_acts=truth.always_acts)),
    }
    off = {name: abs(fit.predict(log.features).mean() - prior) for name, fit in fits.items()}
    assert off["nothing"] > 0.1
    assert max(off["prior"], off["rate"], off["always"]) < 0.08


def test_the_same_response_shown_twice_identifies_what_one_exposure_does_not():
    config = PRESETS["shared"].changed(exposures=2)
    log, truth = build(config, 1.0, 10_000, 0).draw(range(2))
    assert log.signals is not None and log.signals.shape[1] == 2
    both = log.signals.prod(1).mean()
    assert both == pytest.approx((truth.reward * truth.propensity**2).mean(), abs=0.01)
    twice = ImplicitRMSignals().fit_replicates(log).predict(log.features)
    once = ImplicitRM().fit_replicates(log.with_feedback(log.feedback)).predict(log.features)
    assert ((twice - truth.reward) ** 2).mean() < 0.5 * ((once - truth.reward) ** 2).mean()


def test_alternatives_are_tried_one_at_a_time():
    config = StudyConfig(
        estimators=("naive", "implicitrm", "implicitrm-known"),
        alternatives=((), ("labels=0.01",), ("action rate",), ("propensity",)),
    )
    grants: dict[str, list[tuple[str, ...]]] = {}
    for cell in cells_of(config):
        grants.setdefault(cell.estimator, []).append(cell.grant)
    assert grants == {
        "naive": [()],
        "implicitrm": [(), ("labels=0.01",), ("action rate",)],
        "implicitrm-known": [("propensity",)],
    }
