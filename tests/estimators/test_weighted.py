"""WMF against computations of its own."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from simbench_estimators.weighted import WMF

from simbench.score.risk import check
from simbench.training.samples import Batch, Outputs


def batch_of(feedback):
    r = torch.as_tensor(feedback)
    return Batch(r, r.mean(-1, keepdim=True))


def test_wmf_is_the_weighted_squared_loss_of_the_paper():
    """Witness: NumPy."""
    rng = np.random.default_rng(0)
    s, r = rng.normal(size=400), (rng.random(400) < 0.3).astype(float)
    expected = r * (1 - expit(s)) ** 2 + 0.3 * (1 - r) * expit(s) ** 2
    assert np.allclose(WMF().reward_loss(Outputs(torch.as_tensor(s)), batch_of(r)), expected, atol=1e-12)


@pytest.mark.parametrize("weight", [0.1, 0.3, 1.0])
def test_wmf_is_least_at_the_reweighted_click_probability(weight):
    """Witness: algebra, ``p / (p + w (1 - p))``, at which the expected loss has no gradient."""
    p = np.linspace(0.05, 0.95, 10)
    leaf = torch.as_tensor(logit(p / (p + weight * (1 - p)))).requires_grad_()
    (gradient,) = torch.autograd.grad(WMF(weight=weight).objective(Outputs(leaf), batch_of(p)), leaf)
    assert gradient.abs().max() < 1e-12


def test_wmf_is_never_unbiased():
    assert {v.verdict for v in check(WMF())} == {"biased"}
