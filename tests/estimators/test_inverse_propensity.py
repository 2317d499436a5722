"""Inverse propensity weighting and PU risks against scikit-learn, pulearn, NumPy and enumeration."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pulearn.metrics import pu_non_negative_risk, pu_unbiased_risk
from scipy.special import expit
from simbench_estimators.inverse_propensity import IPS, NNPU, UPU, IPSScar
from sklearn.metrics import log_loss

from simbench.score.risk import Probe, expected_loss
from simbench.training.samples import Batch, Outputs

N = 8
LOGITS = arrays(float, N, elements=st.floats(-12, 12))
REWARDS = arrays(float, N, elements=st.floats(0, 1))
PROPENSITIES = arrays(float, N, elements=st.floats(0.01, 1))
FEEDBACK = arrays(float, N, elements=st.sampled_from([0.0, 1.0])).filter(lambda r: 0 < r.sum() < N)
PRIOR = st.floats(0.05, 0.95)
repeatable = settings(derandomize=True, deadline=None)


def cross_entropy(logit, label):
    return np.logaddexp(0, logit) - label * logit


def batch_of(r, propensity=None, prior=None):
    return Batch(
        torch.as_tensor(r),
        torch.tensor([np.mean(r)]),
        propensity=None if propensity is None else torch.as_tensor(propensity),
        class_prior=None if prior is None else torch.tensor(prior, dtype=torch.float64),
    )


def outputs(h):
    return Outputs(torch.as_tensor(h))


@repeatable
@given(LOGITS, FEEDBACK, PROPENSITIES)
def test_ips_is_weighted_log_loss(h, r, alpha):
    """Every response twice: as good with weight ``r/α``, as bad with weight ``1 - r/α``."""
    found = IPS().reward_loss(outputs(h), batch_of(r, alpha)).numpy()
    for i in range(N):
        weights = [r[i] / alpha[i], 1 - r[i] / alpha[i]]
        twice = log_loss([1, 0], expit([h[i], h[i]]), sample_weight=weights, normalize=False)
        assert found[i] == pytest.approx(twice, rel=1e-8, abs=1e-8)


@repeatable
@given(LOGITS, REWARDS, PROPENSITIES)
def test_ips_is_exactly_unbiased(h, gamma, alpha):
    tensors = [torch.as_tensor(v) for v in (h, gamma, alpha)]
    at = Probe(*tensors, told_propensity=tensors[2], fitted_propensity=tensors[2])
    ideal = gamma * cross_entropy(h, 1) + (1 - gamma) * cross_entropy(h, 0)
    assert np.allclose(expected_loss(IPS(), at), ideal, rtol=0, atol=1e-11)


@repeatable
@given(LOGITS, REWARDS.filter(lambda g: g.mean() > 0.01), st.floats(0.01, 1))
def test_upu_is_exactly_unbiased_at_one_constant_propensity(h, gamma, alpha):
    alphas = torch.full((N,), alpha, dtype=torch.float64)
    at = Probe(torch.as_tensor(h), torch.as_tensor(gamma), alphas, alphas, alphas)
    ideal = gamma * cross_entropy(h, 1) + (1 - gamma) * cross_entropy(h, 0)
    assert np.allclose(expected_loss(UPU(), at), ideal, rtol=0, atol=1e-11)


@repeatable
@given(LOGITS, FEEDBACK, PRIOR)
def test_upu_is_the_risk_of_the_paper(h, r, prior):
    """``π mean_{r=1}(ℓ1-ℓ0) + mean ℓ0``; pulearn counts the clicked among the unlabelled if told so."""
    positive, negative = cross_entropy(h, 1), cross_entropy(h, 0)
    paper = prior * (positive - negative)[r == 1].mean() + negative.mean()
    for kind in (UPU, IPSScar):
        assert kind().risk(outputs(h), batch_of(r, prior=prior)).item() == pytest.approx(paper, abs=1e-12)
    assert pu_unbiased_risk(*one_sample(h, r), prior) == pytest.approx(paper, abs=1e-8)


@repeatable
@given(LOGITS, FEEDBACK, PRIOR)
def test_nnpu_keeps_the_negative_part_at_zero(h, r, prior):
    positive, negative = cross_entropy(h, 1), cross_entropy(h, 0)
    rest = negative.mean() - prior * negative[r == 1].mean()
    paper = prior * positive[r == 1].mean() + max(0.0, rest)
    assert NNPU().risk(outputs(h), batch_of(r, prior=prior)).item() == pytest.approx(paper, abs=1e-12)
    assert pu_non_negative_risk(*one_sample(h, r), prior) == pytest.approx(paper, abs=1e-8)


def one_sample(h, r):
    """A log as pulearn's two samples: the clicked as positives, all responses as unlabelled."""
    labels = np.concatenate([np.ones(int(r.sum())), np.zeros(len(r))]).astype(int)
    return labels, expit(np.concatenate([h[r == 1], h]))


@repeatable
@given(LOGITS, FEEDBACK, PRIOR)
def test_the_corrective_step_ascends_the_negative_part(h, r, prior):
    """Algorithm 1 of Kiryo et al. with β = 0, γ = 1, its gradients written out: ``∂ℓ0 = σ(h)``,
    ``∂ℓ1 = σ(h) - 1``."""
    leaf = torch.tensor(h, requires_grad=True)
    objective = NNPU().objective(Outputs(leaf), batch_of(r, prior=prior))
    gradient = torch.autograd.grad(objective, leaf)[0].numpy()
    share = r / r.sum()
    negative = cross_entropy(h, 0).mean() - prior * (share @ cross_entropy(h, 0))
    of_negative = expit(h) * (1 / N - prior * share)
    of_positive = prior * share * (expit(h) - 1)
    if abs(negative) < 1e-12:
        return  # rounding decides the sign
    expected = of_positive + of_negative if negative > 0 else -of_negative
    assert np.allclose(gradient, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("sure", [True, False])
def test_both_sides_of_the_clamp_occur(sure):
    """A hypothesis that is sure of what was clicked and of nothing else binds the clamp."""
    r = np.array([1.0, 1.0, 0.0, 0.0])
    h = np.where(r == 1, 9.0, -9.0) if sure else np.zeros(4)
    batch = batch_of(r, prior=0.6)
    positive, negative = NNPU().risk_parts(outputs(h), batch)
    assert (negative < 0) == sure
    assert NNPU().objective(outputs(h), batch) == (-negative if sure else positive + negative)


def test_each_replicate_decides_its_own_step():
    """Replicates are stacked: one below the clamp must not turn its neighbour's step."""
    r = np.tile([1.0, 1.0, 0.0, 0.0], (2, 1))
    h = np.stack([np.where(r[0] == 1, 9.0, -9.0), np.zeros(4)])
    batch = Batch(torch.as_tensor(r), torch.full((2, 1), 0.5), class_prior=torch.full((2, 1), 0.6))
    together = NNPU().objective(outputs(h), batch)
    alone = [NNPU().objective(outputs(row), batch_of(r[0], prior=0.6)).item() for row in h]
    assert together.tolist() == pytest.approx(alone, rel=1e-6)
