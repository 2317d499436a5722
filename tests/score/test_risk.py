"""Unbiasedness by enumeration, float64, over arbitrary hypotheses, rewards and propensities."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simbench.estimator.registry import find
from simbench.score.risk import Probe, _monte_carlo, check, expected_loss, ideal_loss
from simbench.training.losses import loss_negative, loss_positive

UNIT = st.floats(0.02, 0.98)
repeatable = settings(derandomize=True, deadline=None, max_examples=40)


def situation(h, gamma, alpha):
    tensors = [torch.tensor([v], dtype=torch.float64) for v in (h, gamma, alpha)]
    return Probe(*tensors, told_propensity=tensors[2], fitted_propensity=tensors[2])


@repeatable
@given(st.floats(-8, 8), UNIT, UNIT)
def test_ips_is_exactly_unbiased_at_the_true_propensity(h, gamma, alpha):
    at = situation(h, gamma, alpha)
    error = expected_loss(find("ips")(), at) - ideal_loss(at.hypothesis, at.reward)
    assert error.abs().item() <= 1e-12


@repeatable
@given(st.floats(-8, 8), UNIT, UNIT)
def test_naive_has_exactly_the_bias_of_the_theory(h, gamma, alpha):
    at = situation(h, gamma, alpha)
    error = expected_loss(find("naive")(), at) - ideal_loss(at.hypothesis, at.reward)
    expected = gamma * (1 - alpha) * (loss_negative(at.hypothesis) - loss_positive(at.hypothesis))
    assert torch.allclose(error, expected, atol=1e-12, rtol=0)


@repeatable
@given(st.floats(-8, 8), UNIT, UNIT)
def test_theorem_3_2_holds_given_true_posteriors_and_the_printed_form_does_not(h, gamma, alpha):
    at = situation(h, gamma, alpha)
    ideal = ideal_loss(at.hypothesis, at.reward)
    right = expected_loss(find("implicitrm")(), at, "true posteriors") - ideal
    assert right.abs().item() <= 1e-12
    printed = expected_loss(find("implicitrm@printed")(), at, "true posteriors") - ideal
    # printed φPP = γα/D in place of γ(1-α)/D: unequal unless α is 1/2 or h is 0
    if abs(alpha - 0.5) > 0.01 and abs(h) > 0.1:
        assert printed.abs().item() > 1e-6


def verdicts(name):
    return {v.case: v for v in check(find(name)())}


@pytest.mark.parametrize("name", ["naive", "naive-sqrt", "balanced-naive", "implicitrm@printed"])
def test_never_unbiased(name):
    assert all("unbiased" not in v.verdict for v in verdicts(name).values())


def test_upu_is_unbiased_under_scar_alone():
    found = verdicts("upu")
    assert found["SCAR"].verdict == "exactly unbiased"
    assert found["known α"].verdict == "biased"


def test_nnpu_has_a_monte_carlo_verdict_and_is_biased_where_the_clamp_binds():
    found = _monte_carlo(find("nnpu")(), "SCAR", 0)
    assert (found.estimator, found.case) == ("nnpu", "SCAR")
    assert found.verdict == "Monte Carlo only: biased"
    assert 0 < found.low < found.bias < found.high
