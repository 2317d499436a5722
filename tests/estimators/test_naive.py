"""Estimators that read a missing click as a dislike, against the algebra and a weighted mean."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from simbench_estimators.naive import BalancedNaive, Naive, NaiveSqrt, Oracle
from sklearn.utils.class_weight import compute_sample_weight

from simbench.score.risk import Probe, expected_loss
from simbench.training.samples import Batch, Outputs

N = 6
LOGITS = arrays(float, N, elements=st.floats(-30, 30))
REWARDS = arrays(float, N, elements=st.floats(0, 1))
PROPENSITIES = arrays(float, N, elements=st.floats(1e-3, 1))
FEEDBACK = arrays(float, N, elements=st.sampled_from([0.0, 1.0])).filter(lambda r: 0 < r.sum() < N)
repeatable = settings(derandomize=True, deadline=None)


def situation(hypothesis, reward, propensity):
    h, gamma, alpha = (torch.as_tensor(v) for v in (hypothesis, reward, propensity))
    return Probe(h, gamma, alpha, told_propensity=alpha, fitted_propensity=alpha)


def cross_entropy(logit, label):
    return np.logaddexp(0, logit) - label * logit


@repeatable
@given(LOGITS, REWARDS, PROPENSITIES)
def test_the_bias_of_naive_is_the_passive_share(h, gamma, alpha):
    """``γ(1-α)[ℓ(h,0) - ℓ(h,1)]``, and ``ℓ(h,0) - ℓ(h,1)`` is the logit itself."""
    expected = expected_loss(Naive(), situation(h, gamma, alpha)).numpy()
    ideal = gamma * cross_entropy(h, 1) + (1 - gamma) * cross_entropy(h, 0)
    bias = gamma * (1 - alpha) * (cross_entropy(h, 0) - cross_entropy(h, 1))
    assert np.allclose(expected - ideal, bias, rtol=0, atol=1e-12)
    assert np.allclose(bias, gamma * (1 - alpha) * h, rtol=0, atol=1e-12)


@repeatable
@given(LOGITS, REWARDS, PROPENSITIES)
def test_the_oracle_estimates_the_ideal_risk(h, gamma, alpha):
    expected = expected_loss(Oracle(), situation(h, gamma, alpha)).numpy()
    ideal = gamma * cross_entropy(h, 1) + (1 - gamma) * cross_entropy(h, 0)
    assert np.allclose(expected, ideal, rtol=0, atol=1e-12)


@repeatable
@given(LOGITS, FEEDBACK)
def test_balanced_naive_is_a_weighted_mean(h, r):
    batch = Batch(torch.as_tensor(r), torch.tensor([r.mean()]))
    risk = BalancedNaive().risk(Outputs(torch.as_tensor(h)), batch).item()
    by_class = (cross_entropy(h, 1)[r == 1].mean() + cross_entropy(h, 0)[r == 0].mean()) / 2
    assert risk == pytest.approx(by_class, rel=1e-12)
    weights = compute_sample_weight("balanced", r)
    assert risk == pytest.approx(np.average(cross_entropy(h, r), weights=weights), rel=1e-12)


def test_balanced_naive_weighs_by_the_log_and_not_by_the_batch():
    """A batch without a click must not divide by zero, nor lose its weight."""
    h = np.array([-1.0, 0.5, 2.0])
    batch = Batch(torch.zeros(3, dtype=torch.float64), torch.tensor([0.25], dtype=torch.float64))
    loss = BalancedNaive().reward_loss(Outputs(torch.as_tensor(h)), batch)
    assert np.allclose(loss, cross_entropy(h, 0) / (2 * 0.75), rtol=1e-12)


def test_naive_sqrt_is_the_root_of_the_very_same_fit(small_world):
    log, _ = small_world.draw(range(2))
    x = small_world.test.features
    plain, root = (kind(epochs=3).fit_replicates(log).predict(x) for kind in (Naive, NaiveSqrt))
    assert np.allclose(root, np.sqrt(plain), rtol=1e-12, atol=0)
    assert np.ptp(plain) > 0.01
    logit = torch.linspace(-80, 80, 9, dtype=torch.float64)
    assert np.allclose(NaiveSqrt().link(logit), np.exp(-np.logaddexp(0, -logit.numpy()) / 2), rtol=1e-12)
