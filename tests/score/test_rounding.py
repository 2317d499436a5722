"""What rounding alone decides decides nothing: resamples without a pair, and risks that no click moves."""

import warnings

import numpy as np
import pytest
import torch

from simbench.estimator.estimator import Estimator
from simbench.score.moments import _bootstrap_moments, excess, score
from simbench.score.risk import check


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_a_resample_of_one_replicate_over_and_over_has_no_pair_whatever_rounding_leaves(n):
    """``(n g) n`` and ``n² g`` differ by a rounding for some of 400 values ``g``, upwards for some and
    downwards for others; a count of 0 pairs is 0 on every processor."""
    rng = np.random.default_rng(0)
    weights = np.vstack([n * np.eye(n), np.ones((1, n))])
    for value in rng.uniform(0.01, 1, 400):
        gram = value * np.ones((n, n)) + 1e-17 * rng.choice([-1, 1], (n, n))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            bias2, variance, mse = _bootstrap_moments(gram, weights)
        assert np.isnan(bias2[:n]).all() and np.isnan(variance[:n]).all()
        assert bias2[n] == pytest.approx(value) and mse == pytest.approx(value)


@pytest.mark.parametrize("seed", range(20))
def test_two_replicates_have_finite_intervals_and_raise_no_warning(seed):
    """Half of the resamples of two replicates have no pair."""
    rng = np.random.default_rng(seed)
    first, second, reward = rng.random((2, 7)), rng.random((2, 7)), rng.random(7)
    groups = np.arange(7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        beyond = excess(first, second, reward, n_bootstrap=200)
        found = score(first, reward, groups, n_bootstrap=200)
    for estimate in (beyond["excess_bias2"], found["bias2"], found["variance"]):
        assert np.isfinite([estimate.low, estimate.high]).all()


class Deaf(Estimator):
    """A risk of .75 whatever is clicked."""

    name = "deaf"
    sums_over_samples = False

    def risk(self, out, batch):
        return torch.full((len(batch.feedback),), 0.75, dtype=torch.float64)


def test_a_risk_that_no_click_moves_has_a_verdict(monkeypatch):
    """Its Monte Carlo error is 0, or what rounding leaves of it."""
    ideal = torch.tensor(0.5, dtype=torch.float64)
    monkeypatch.setattr("simbench.score.risk.ideal_for", lambda estimator, at: ideal)
    for verdict in check(Deaf()):
        assert verdict.verdict == "Monte Carlo only: biased"
        assert (verdict.low, verdict.bias, verdict.high) == pytest.approx((0.25, 0.25, 0.25))
