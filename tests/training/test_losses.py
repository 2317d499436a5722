"""Losses in log space against plain formulas, at both ends of the logit, in value and in gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simbench.training.losses import (
    log1mexp,
    log_feedback_probability,
    loss_negative,
    loss_positive,
    observed_nll,
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
