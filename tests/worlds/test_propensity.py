"""The laws of acting in closed form; they keep the action rate, and bias level 0 is SCAR."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import zscore

from simbench.errors import BadInput
from simbench.worlds.laws import confounded_salience, logit_law, rating_law, standardise

SALIENCE = standardise(np.random.default_rng(0).standard_normal(500))
RATING = np.random.default_rng(1).integers(1, 6, 500).astype(float)


@settings(max_examples=30)
@given(st.floats(0, 6), st.floats(0.02, 0.95))
def test_logit_law_meets_its_rate(bias_level, rate):
    alpha = logit_law(SALIENCE, bias_level, rate)
    assert abs(alpha.mean() - rate) < 1e-6
    assert ((alpha > 0) & (alpha <= 1)).all()


@settings(max_examples=30)
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


@settings(max_examples=30)
@given(st.floats(-1, 1))
def test_confounding_is_realised_as_a_correlation(rho):
    reward_logit = np.random.default_rng(2).standard_normal(500) + 0.3 * SALIENCE
    salience = confounded_salience(SALIENCE, reward_logit, rho)
    assert abs(salience.mean()) < 1e-9 and abs(salience.std() - 1) < 1e-9
    if rho != 0:
        assert abs(np.corrcoef(salience, reward_logit)[0, 1] - rho) < 1e-9


@pytest.mark.parametrize("law", [logit_law, rating_law])
@pytest.mark.parametrize("rate", [0.0, 1.0, -0.2, 1.2, np.nan])
def test_an_action_rate_that_is_none_is_refused(law, rate):
    with pytest.raises(BadInput, match="strictly between 0 and 1"):
        law(np.array([1.0, 2.0]), 0.5, rate)


def test_the_rating_law_refuses_a_negative_level():
    with pytest.raises(BadInput, match=r"bias level -0\.1 is not possible"):
        rating_law(RATING, -0.1, 0.3)
    assert rating_law(RATING, 0.0, 0.3) == pytest.approx(0.3)


def test_standardised_values_have_mean_0_and_population_variance_1():
    # mean 4, squared deviations 9, 1, 0, 4, 16: variance 6
    found = standardise(np.array([1.0, 3.0, 4.0, 2.0, 8.0, 6.0]))
    expected = np.array([-3.0, -1.0, 0.0, -2.0, 4.0, 2.0]) / np.sqrt(34 / 6)
    assert found == pytest.approx(expected)
    constant = standardise(np.full(3, 7))
    assert constant.dtype == float and constant.tolist() == [0, 0, 0]


@pytest.mark.parametrize("rho", [-1.0, -0.6, 0.3, 1.0])
def test_confounded_salience_is_the_reward_and_what_is_left_of_the_base(rho):
    base = np.array([0.3, -1.0, 2.0, 0.5, 1.0, -0.7, 4.0])
    reward = np.array([1.0, 0.0, 2.5, -1.0, 0.2, 0.1, 3.0])
    design = np.column_stack([np.ones(7), reward])
    rest = base - design @ np.linalg.lstsq(design, base, rcond=None)[0]
    expected = rho * zscore(reward) + (1 - rho * rho) ** 0.5 * zscore(rest)
    assert confounded_salience(base, reward, rho) == pytest.approx(expected, abs=1e-12)


def test_a_base_that_is_the_reward_itself_has_no_other_correlation_with_it():
    """What is left of it is rounding, and is not blown up to a salience."""
    reward = np.random.default_rng(0).standard_normal(50)
    for base in (3 - 0.7 * reward, np.full(50, 0.3)):
        with pytest.raises(BadInput, match=r"confounding 0\.5 is not possible"):
            confounded_salience(base, reward, 0.5)
        assert confounded_salience(base, reward, -1.0) == pytest.approx(-zscore(reward))
    nearly = reward + 1e-6 * np.random.default_rng(1).standard_normal(50)
    assert np.corrcoef(confounded_salience(nearly, reward, 0.5), reward)[0, 1] == pytest.approx(0.5)


def test_without_confounding_the_salience_is_the_base_standardised():
    base, reward = np.array([1.0, 3.0, 4.0, 2.0]), np.array([1.0, 3.0, 4.0, 2.5])
    assert confounded_salience(base, reward, 0.0) == pytest.approx(zscore(base))


@pytest.mark.parametrize(("level", "rate"), [(0.5, 0.3), (2.0, 0.1), (3.0, 0.8)])
def test_the_logit_law_has_slope_lambda_in_the_salience(level, rate):
    salience = np.array([-1.5, -0.2, 0.1, 0.4, 2.0])
    alpha = logit_law(salience, level, rate)
    assert np.diff(logit(alpha)) / np.diff(salience) == pytest.approx(level)
    assert alpha.mean() == pytest.approx(rate)


def test_the_logit_law_of_two_equal_halves_is_solved_by_hand():
    """``α = σ(c ± λ)`` with mean ½ has c = 0; the odds of the two are e^λ and e^-λ."""
    alpha = logit_law(np.array([1.0, -1.0]), 1.2, 0.5)
    assert alpha / (1 - alpha) == pytest.approx([np.exp(1.2), np.exp(-1.2)])


def test_the_logit_law_is_solved_however_far_the_salience_reaches():
    salience = np.array([-1.0] * 99 + [99.0]) / np.sqrt(99)
    assert logit_law(salience, 8.0, 0.005).mean() == pytest.approx(0.005)
    assert logit_law(salience, 8.0, 0.995).mean() == pytest.approx(0.995)
    assert logit_law(-salience, 8.0, 0.995).mean() == pytest.approx(0.995)
    assert logit_law(np.full(2, -9.0), 8.0, 0.5) == pytest.approx(0.5)


THREE = np.array([2.0, 6.0, 4.0])  # t = 1, 5, 3: at κ = ½, κ^(5-t) = 1/16, 1, 1/4


def test_the_rating_law_below_the_cap_is_a_power_of_kappa():
    """k (1/16 + 1 + 1/4) / 3 = .2 at k = .2 · 48/21."""
    k = 0.2 * 48 / 21
    for capped in (True, False):
        alpha = rating_law(THREE, 0.5, 0.2, None, capped)
        assert alpha == pytest.approx([k / 16, k, k / 4])
    alpha = rating_law(THREE, 0.2, 0.2)  # κ = .8, not .2
    assert alpha / alpha[1] == pytest.approx([0.8**4, 1, 0.8**2])


def test_the_rating_law_solves_its_scale_with_the_cap():
    """The best rating is capped: (1 + k/4 + k/16) / 3 = ½ at k = 1.6; uncapped k = ½ · 48/21 = 8/7."""
    assert rating_law(THREE, 0.5, 0.5) == pytest.approx([0.1, 1, 0.4])
    assert rating_law(THREE, 0.5, 0.5, None, False) == pytest.approx([1 / 14, 1, 2 / 7])


def test_shares_of_the_ratings_weigh_the_action_rate():
    """(.5 k/16 + .2 + .3 k/4) = .4 at k = .2 / (.5/16 + .3/4)."""
    shares = np.array([0.5, 0.2, 0.3])
    k = 0.2 / (0.5 / 16 + 0.3 / 4)
    assert rating_law(THREE, 0.5, 0.4, shares) == pytest.approx([k / 16, 1, k / 4])
    k = 0.1 / (0.5 / 16 + 0.2 + 0.3 / 4)
    assert rating_law(THREE, 0.5, 0.1, shares, False) == pytest.approx([k / 16, k, k / 4])


def test_one_rating_only_is_scar_and_steep_laws_are_still_solved():
    for capped in (True, False):
        assert rating_law(np.full(4, 3.0), 0.4, 0.3, None, capped) == pytest.approx(0.3)
    steep = rating_law(np.array([1.0, 3.0, 5.0]), 0.999, 0.99)
    assert steep.mean() == pytest.approx(0.99) and steep[1] == pytest.approx(1)
