"""ImplicitRM: EM, its identities, and a reward that it learns."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from simbench_estimators.implicitrm import ImplicitRM, ImplicitRMKnown, group_posteriors

from simbench.errors import BadInput
from simbench.estimator.estimator import grant
from simbench.training.samples import Batch, Outputs


def tensors(seed, n=40):
    generator = torch.Generator().manual_seed(seed)
    reward, action = (torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(2))
    feedback = (torch.rand(n, generator=generator) < 0.4).double()
    return reward, action, Batch(feedback, feedback.mean(-1, keepdim=True))


@given(st.floats(-12, 12), st.floats(-12, 12))
def test_posteriors_are_the_group_table(g, a):
    gamma, alpha = 1 / (1 + np.exp(-g)), 1 / (1 + np.exp(-a))
    logit = torch.tensor([g, g], dtype=torch.float64)
    log_alpha = torch.nn.functional.logsigmoid(torch.tensor([a, a], dtype=torch.float64))
    log_passive = torch.nn.functional.logsigmoid(torch.tensor([-a, -a], dtype=torch.float64))
    preference, action = group_posteriors(logit, log_alpha, log_passive, torch.tensor([1.0, 0.0]))
    d = (1 - gamma) + gamma * (1 / (1 + np.exp(a)))
    assert preference.tolist() == pytest.approx([1, gamma / (1 + np.exp(a)) / d], rel=1e-6)
    assert action.tolist() == pytest.approx([1, alpha / (1 + np.exp(g)) / d], rel=1e-6)


@given(st.integers(0, 10_000))
def test_e_step_per_batch_has_the_gradient_of_the_likelihood(seed):
    """Fisher's identity: the two options differ by rounding only."""
    reward, action, batch = tensors(seed)
    gradients = []
    for e_step in ("batch", "likelihood"):
        leaves = reward.clone().requires_grad_(), action.clone().requires_grad_()
        objective = ImplicitRM(e_step=e_step).objective(Outputs(*leaves), batch)
        gradients.append(torch.cat(torch.autograd.grad(objective, leaves)))
    assert torch.allclose(*gradients, atol=1e-12, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_full_batch_em_step_never_lowers_the_likelihood(seed):
    """E-step at random logistic heads, then an exact M-step by SciPy: NLL must not rise."""
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(np.column_stack([np.ones(60), rng.standard_normal((60, 2))]))
    z = torch.as_tensor(np.column_stack([np.ones(60), rng.standard_normal((60, 2))]))
    feedback = torch.as_tensor((rng.random(60) < 0.35).astype(float))
    batch = Batch(feedback, feedback.mean(-1, keepdim=True))
    estimator = ImplicitRM(e_step="epoch")
    theta = 1.5 * rng.standard_normal(6)

    def outputs(parameters):
        return Outputs(x @ parameters[:3], z @ parameters[3:])

    for _ in range(3):
        now = torch.as_tensor(theta)
        frozen = Batch(**{**vars(batch), "state": estimator.epoch_state(outputs(now), batch)})

        def m_step(values, frozen=frozen):
            leaf = torch.tensor(values, requires_grad=True)
            loss = estimator.objective(outputs(leaf), frozen)
            return loss.item(), torch.autograd.grad(loss, leaf)[0].numpy()

        before = estimator.selection_loss(outputs(now), batch).item()
        theta = minimize(m_step, theta, jac=True, method="BFGS", options={"maxiter": 100}).x
        after = estimator.selection_loss(outputs(torch.as_tensor(theta)), batch).item()
        assert after <= before + 1e-10


def test_labels_enter_the_likelihood():
    reward, action, batch = tensors(1, n=4)
    feedback = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    labels = torch.tensor([1.0, 1.0, 0.0, torch.nan], dtype=torch.float64)
    batch = Batch(feedback, batch.feedback_rate, labels=labels)
    gamma, alpha = torch.sigmoid(reward), torch.sigmoid(action)
    expected = -torch.log(
        torch.stack(
            [
                gamma[0] * alpha[0],
                gamma[1] * (1 - alpha[1]),
                1 - gamma[2],
                1 - gamma[3] * alpha[3],
            ]
        )
    ).mean()
    estimator = ImplicitRM()
    assert estimator.selection_loss(Outputs(reward, action), batch).item() == pytest.approx(expected.item())
    leaves = reward.clone().requires_grad_(), action.clone().requires_grad_()
    by_em = torch.autograd.grad(estimator.objective(Outputs(*leaves), batch), leaves)
    by_likelihood = torch.autograd.grad(estimator.selection_loss(Outputs(*leaves), batch), leaves)
    for one, two in zip(by_em, by_likelihood, strict=True):
        assert torch.allclose(one, two, atol=1e-9)


def test_the_three_schedules_agree_and_beat_naive(small_world):
    log, truth = small_world.draw(range(4))
    log = grant(log, propensity=truth.propensity)
    mse = {
        e_step: np.mean(
            (
                ImplicitRMKnown(e_step=e_step).fit_replicates(log).predict(small_world.test.features)
                - small_world.test.reward
            )
            ** 2
        )
        for e_step in ("batch", "epoch", "likelihood")
    }
    assert max(mse.values()) < 0.08 and max(mse.values()) - min(mse.values()) < 0.02


def test_an_unknown_schedule_is_refused(small_world):
    log, _ = small_world.draw(range(1))
    with pytest.raises(BadInput, match="e_step must be"):
        ImplicitRM(e_step="never").fit_replicates(log)
