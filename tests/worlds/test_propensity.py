"""The laws keep the action rate, and bias level 0 is SCAR."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbench.errors import BadInput
from simbench.worlds.laws import confounded_salience, logit_law, rating_law, standardise

SALIENCE = standardise(np.random.default_rng(0).standard_normal(500))
RATING = np.random.default_rng(1).integers(1, 6, 500).astype(float)


@given(st.floats(0, 6), st.floats(0.02, 0.95))
def test_logit_law_meets_its_rate(bias_level, rate):
    alpha = logit_law(SALIENCE, bias_level, rate)
    assert abs(alpha.mean() - rate) < 1e-6
    assert ((alpha > 0) & (alpha <= 1)).all()


@given(st.floats(0, 0.99), st.floats(0.02, 0.95))
def test_rating_law_meets_its_rate_with_the_cap(bias_level, rate):
    alpha = rating_law(RATING, bias_level, rate)
    assert abs(alpha.mean() - rate) < 1e-6
    assert alpha.max() <= 1 and alpha.min() > 0


def test_bias_level_zero_is_scar():
    assert np.ptp(logit_law(SALIENCE, 0.0, 0.3)) < 1e-12
    assert np.ptp(rating_law(RATING, 0.0, 0.3)) < 1e-12


def test_rating_law_refuses_levels_of_one_and_more():
    with pytest.raises(BadInput, match=r"choose one in \[0, 1\)"):
        rating_law(RATING, 1.0, 0.3)


@given(st.floats(-1, 1))
def test_confounding_is_realised_as_a_correlation(rho):
    reward_logit = np.random.default_rng(2).standard_normal(500) + 0.3 * SALIENCE
    salience = confounded_salience(SALIENCE, reward_logit, rho)
    assert abs(salience.mean()) < 1e-9 and abs(salience.std() - 1) < 1e-9
    if rho != 0:
        assert abs(np.corrcoef(salience, reward_logit)[0, 1] - rho) < 1e-9
