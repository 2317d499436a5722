"""A column that does not vary is a constant, whatever rounding leaves of its variance."""

import numpy as np
import pytest

from simbench.worlds.laws import confounded_salience, logit_law, standardise


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7, -1.1, 1e9 / 3])
@pytest.mark.parametrize("n", [3, 7, 1003])
def test_a_standardised_constant_is_zero(value, n):
    """The computed mean of n copies of .3 may differ from .3 by a rounding, and a variance be left."""
    assert (standardise(np.full(n, value)) == 0).all()


def test_a_constant_that_comes_out_of_a_product_is_zero():
    noise = 1e-16 * np.random.default_rng(0).choice([-1, 0, 1], 50)
    assert (standardise(0.3 + noise) == 0).all()
    assert np.ptp(logit_law(confounded_salience(0.3 + noise, noise, 0.0), 2.0, 0.3)) == 0


def test_little_variation_is_variation():
    values = 1.0 + 1e-6 * np.arange(5.0)
    assert standardise(values) == pytest.approx((np.arange(5) - 2) / np.sqrt(2), rel=1e-6)
