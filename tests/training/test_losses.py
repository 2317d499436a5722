"""Losses in log space against plain formulas, at both ends of the logit, in value and in gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from simbench.training.losses import (
    click_nll,
    cross_entropy,
    log1mexp,
    log_click_given_action,
    log_feedback_probability,
    loss_negative,
    loss_positive,
    observed_nll,
    squared_error,
)

EXTREME = np.array([-80.0, -40.0, -21.0, -17.0, -1.0, 0.0, 1.0, 17.0, 21.0, 40.0, 80.0])
PAIRS = np.array([(h, a) for h in EXTREME for a in EXTREME])
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}
either_dtype = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
repeatable = settings(derandomize=True, deadline=None)


def log_sigmoid(logit):
    return -np.logaddexp(0, -logit)


def log_missing(log_gamma, log_bad, log_alpha, log_passive):
    """``log(1 - γα)``: where γα is large, ``log((1-γ) + γ(1-α))``, a sum in which nothing cancels."""
    p = np.exp(log_gamma + log_alpha)
    return np.where(p < 0.5, np.log1p(-p.clip(max=0.5)), np.logaddexp(log_bad, log_gamma + log_passive))


@either_dtype
def test_cross_entropy(dtype):
    logit = torch.tensor(EXTREME, dtype=dtype)
    for loss, sign in ((loss_positive, 1), (loss_negative, -1)):
        assert loss(logit).dtype == dtype
        expected = np.logaddexp(0, -sign * EXTREME)
        assert np.allclose(loss(logit).double(), expected, rtol=TOLERANCE[dtype], atol=1e-40)
        leaf = logit.clone().requires_grad_()
        slope = torch.autograd.grad(loss(leaf).sum(), leaf)[0].double()
        expected = -sign * np.exp(log_sigmoid(-sign * EXTREME))
        assert np.allclose(slope, expected, rtol=TOLERANCE[dtype], atol=1e-40)


@repeatable
@given(st.floats(-700, np.log(0.5)))
def test_log1mexp_of_a_small_or_a_large_probability(log_q):
    """``p = q`` and ``p = 1-q`` with ``q ≤ 1/2``: ``log1p(-q)`` and ``log q`` are the right answers."""
    q = np.exp(log_q)
    log_p = torch.tensor([log_q, np.log1p(-q)], dtype=torch.float64)
    assert log1mexp(log_p).tolist() == pytest.approx([np.log1p(-q), log_q], rel=1e-12, abs=1e-300)


@repeatable
@given(st.floats(-80, -1e-30))
def test_the_gradient_of_log1mexp(log_p):
    """``d/dx log(1-e^x) = -1/(e^-x - 1)``, with no NaN from the branch that is not taken."""
    leaf = torch.tensor([log_p], dtype=torch.float64, requires_grad=True)
    gradient = torch.autograd.grad(log1mexp(leaf).sum(), leaf)[0].item()
    assert gradient == pytest.approx(-1 / np.expm1(-log_p), rel=1e-12)


@either_dtype
def test_feedback_probability_is_the_product(dtype):
    reward, action = torch.tensor(PAIRS.T, dtype=dtype)
    found = log_feedback_probability(reward, torch.nn.functional.logsigmoid(action))
    expected = log_sigmoid(PAIRS[:, 0]) + log_sigmoid(PAIRS[:, 1])
    assert np.allclose(found.double(), expected, rtol=TOLERANCE[dtype], atol=1e-37)


@either_dtype
@pytest.mark.parametrize("logit", [-1e4, 200.0, 1e4])
def test_a_certain_click_stays_below_probability_one(dtype, logit):
    """``log 1 = 0`` would make the missing click's likelihood ``-inf``."""
    leaf = torch.tensor([logit], dtype=dtype, requires_grad=True)
    log_p = log_feedback_probability(leaf, torch.zeros(1, dtype=dtype))
    assert log_p.item() < 0
    value = observed_nll(leaf, torch.zeros(1, dtype=dtype), torch.zeros(1, dtype=dtype))
    assert torch.isfinite(value).all()
    assert torch.isfinite(torch.autograd.grad(value.sum(), leaf)[0]).all()


@either_dtype
def test_observed_nll_and_its_gradient(dtype):
    """``-∂/∂h log(1-γα) = γα(1-γ)/(1-γα)`` and ``-∂/∂h log γα = -(1-γ)``; in ``a`` by symmetry."""
    h, a = PAIRS.T
    for feedback in (0.0, 1.0):
        reward, action = (torch.tensor(v, dtype=dtype, requires_grad=True) for v in (h, a))
        r = torch.full((len(PAIRS),), feedback, dtype=dtype)
        nll = observed_nll(reward, torch.nn.functional.logsigmoid(action), r)
        if feedback:
            expected = -log_sigmoid(h) - log_sigmoid(a)
            slopes = [-np.exp(log_sigmoid(-h)), -np.exp(log_sigmoid(-a))]
        else:
            missing = log_missing(*(log_sigmoid(v) for v in (h, -h, a, -a)))
            both = log_sigmoid(h) + log_sigmoid(a) - missing
            expected = -missing
            slopes = [np.exp(both + log_sigmoid(-h)), np.exp(both + log_sigmoid(-a))]
        tolerance = TOLERANCE[dtype]
        assert np.allclose(nll.detach().double(), expected, rtol=tolerance, atol=1e-37)
        for found, slope in zip(torch.autograd.grad(nll.sum(), (reward, action)), slopes, strict=True):
            assert np.allclose(found.double(), slope, rtol=10 * tolerance, atol=1e-37)


@repeatable
@given(st.floats(-80, 80), st.floats(1e-6, 1), st.integers(0, 1))
def test_observed_nll_at_a_known_propensity(logit, propensity, feedback):
    """α is told and may be 1, where a missing click is a certain dislike."""
    leaf = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    log_alpha = torch.tensor([np.log(propensity)], dtype=torch.float64)
    nll = observed_nll(leaf, log_alpha, torch.tensor([float(feedback)], dtype=torch.float64))
    logit, propensity = np.array(logit), np.array(propensity)
    with np.errstate(divide="ignore"):
        logs = log_sigmoid(logit), log_sigmoid(-logit), np.log(propensity), np.log1p(-propensity)
    expected = -(logs[0] + logs[2]) if feedback else -log_missing(*logs)
    # log α is rounded: where γ is near 1, 1 - α = 1 - e^(log α) holds only so many digits
    assert nll.item() == pytest.approx(expected, rel=1e-9, abs=1e-16)
    assert torch.isfinite(torch.autograd.grad(nll.sum(), leaf)[0]).all()


TARGETS = np.array([-0.5, 0.0, 0.3, 1.0, 1.7])  # a pseudo-label may leave [0, 1]


@either_dtype
def test_a_soft_target_mixes_the_two_losses(dtype):
    logit, target = (torch.tensor(v, dtype=dtype) for v in np.meshgrid(EXTREME, TARGETS))
    h, t = np.meshgrid(EXTREME, TARGETS)
    expected = t * np.logaddexp(0, -h) + (1 - t) * np.logaddexp(0, h)
    assert np.allclose(cross_entropy(logit, target).double(), expected, rtol=1e-5, atol=1e-6)
    p = 1 / (1 + np.exp(-h))
    expected = t * (1 - p) ** 2 + (1 - t) * p**2
    assert np.allclose(squared_error(logit, target).double(), expected, rtol=1e-5, atol=1e-6)


def test_losses_of_labels_are_those_of_scikit_learn():
    """At both labels and some middling logits: the log loss, and the squared error of the probability."""
    logit, label = np.array([-2.0, 0.3, 1.5, 4.0]), np.array([1, 0, 1, 0])
    p, tensors = 1 / (1 + np.exp(-logit)), (torch.tensor(logit), torch.tensor(label))
    assert cross_entropy(*tensors).mean().item() == pytest.approx(log_loss(label, p))
    assert squared_error(*tensors).mean().item() == pytest.approx(brier_score_loss(label, p))


@either_dtype
@pytest.mark.parametrize("misclick", [None, 0.0, 0.02, 0.3])
def test_a_misclick_lends_dissatisfied_users_its_share(dtype, misclick):
    """``log(γ + (1-γ)ε)``, and times ``α`` the probability of a click."""
    reward, action = torch.tensor(PAIRS.T, dtype=dtype)
    gamma, bad = (np.exp(log_sigmoid(sign * PAIRS[:, 0])) for sign in (1, -1))
    expected = np.log(gamma + bad * (misclick or 0.0))
    tolerance = {"rtol": 10 * TOLERANCE[dtype], "atol": 1e-6 if dtype == torch.float32 else 1e-14}
    assert np.allclose(log_click_given_action(reward, misclick).double(), expected, **tolerance)
    log_alpha = torch.nn.functional.logsigmoid(action)
    found = log_feedback_probability(reward, log_alpha, misclick).double()
    assert np.allclose(found, expected + log_sigmoid(PAIRS[:, 1]), **tolerance)


@pytest.mark.parametrize("misclick", [None, 0.1])
@pytest.mark.parametrize("feedback", [0.0, 1.0])
def test_observed_nll_is_the_log_loss_of_the_click_probability(misclick, feedback):
    h, alpha = np.array([-3.0, -0.4, 0.7, 2.0]), np.array([0.9, 0.2, 0.5, 1.0])
    gamma = 1 / (1 + np.exp(-h))
    p = (gamma + (1 - gamma) * (misclick or 0.0)) * alpha
    r = torch.full((4,), feedback, dtype=torch.float64)
    found = observed_nll(torch.tensor(h), torch.tensor(np.log(alpha)), r, misclick)
    expected = -np.log(p) if feedback else -np.log(1 - p)
    assert found.numpy() == pytest.approx(expected, rel=1e-12)
    assert click_nll(torch.tensor(np.log(p)), r).numpy() == pytest.approx(expected, rel=1e-12)


def test_a_soft_feedback_mixes_click_and_missing_click():
    log_p = torch.tensor([np.log(0.3)], dtype=torch.float64)
    found = click_nll(log_p, torch.tensor([0.25], dtype=torch.float64)).item()
    assert found == pytest.approx(-0.25 * np.log(0.3) - 0.75 * np.log(0.7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_certain_click_is_kept_one_smallest_number_below_certainty(dtype):
    """Not an epsilon: a probability of ``1 - 1e-20`` must stay what it is."""
    log_p = log_feedback_probability(torch.tensor([1e4], dtype=dtype), torch.zeros(1, dtype=dtype))
    assert log_p.item() == pytest.approx(-torch.finfo(dtype).tiny, rel=1e-6, abs=0)
    small = log_feedback_probability(torch.tensor([46.0], dtype=dtype), torch.zeros(1, dtype=dtype))
    assert small.item() == pytest.approx(-np.exp(-46), rel=1e-5, abs=0)
