"""What rounding alone decides decides nothing: replicates without noise, and risks that no click moves."""

import warnings

import numpy as np
import pytest
import torch

from simbench.estimator.estimator import Estimator
from simbench.score.moments import against_oracle, score
from simbench.score.risk import check


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_replicates_that_are_all_the_same_raise_no_warning(count):
    same, reward = np.tile(np.linspace(0, 1, 7), (count, 1)), np.full(7, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        beyond = against_oracle(same, same, reward)
        found = score(same, reward, np.arange(7))
    assert beyond["distance2"].value == pytest.approx(0, abs=1e-15) or count == 1
    assert found["bias2"].value == pytest.approx(found["mse"].value) or count == 1
    assert (count < 5) == np.isnan(found["bias2"].low)


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
