"""Several signals: exact marginals, exact dependence, and the click that stays as it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import multivariate_normal, norm

from simbench.streams import stream
from simbench.worlds.presets import PRESETS
from simbench.worlds.signals import (
    NEGATIVE,
    POSITIVE,
    action_correlation,
    dependent_actions,
    joint_propensity,
)
from simbench.worlds.world import build

SHARED = PRESETS["signals"].changed(test_size=500)


def world(**changes):
    return build(SHARED.changed(**changes), 1.0, 1500, 0)


def test_a_world_of_one_signal_draws_as_it_did_before_there_were_several():
    """The draws written out: preference, action, slip, in this order and from this stream."""
    one = build(PRESETS["misclick"].changed(test_size=500), 1.0, 1500, 0)
    log, truth = one.draw(range(2, 4))
    assert log.signals is None and one.train.law.propensities.shape == (1, 1500)
    for row, replicate in enumerate((2, 3)):
        good, acts, slips = stream(0, "feedback", "misclick", replicate).random((3, len(one.train.reward)))
        preference = good < one.train.reward
        feedback = (acts < one.train.propensity) & (preference | (slips < 0.05))
        assert np.array_equal(truth.preference[row], preference)
        assert np.array_equal(log.feedback[row], feedback.astype(np.float32))


@pytest.mark.parametrize(
    "changes", [{"signals": 2}, {"signals": 3, "signal_dependence": 0.6}, {"regenerate": True}], ids=str
)
def test_further_signals_leave_the_click_alone(changes):
    one, several = world(signals=1), world(**changes)
    assert np.array_equal(one.train.propensity, several.train.propensity)
    assert np.array_equal(one.draw(range(3))[0].feedback, several.draw(range(3))[0].feedback)


def test_signals_fire_as_their_sign_says():
    several = world(signals=3, regenerate=True, signal_dependence=0.4)
    log, truth = several.draw(range(30))
    assert log.signals.shape == (30, 4, 1500) and log.negative_signals == (3,)
    good = truth.preference[:, None]
    assert not (log.signals[:, :3].astype(bool) & ~good).any()
    assert not (log.signals[:, 3:].astype(bool) & good).any()
    rates = several.signal_rates()
    assert list(rates) == ["click", "copy", "upvote", "regenerate"]
    alphas = several.train.law.propensities
    assert np.allclose(alphas.mean(1), 0.3, atol=1e-6)
    assert np.abs(np.corrcoef(alphas) - np.eye(4)).max() < 0.6  # saliences of their own
    for number, rate in enumerate(rates.values()):  # family-wise error 1e-6
        error = np.sqrt(rate * (1 - rate) / log.signals[:, number].size)
        assert abs(log.signals[:, number].mean() - rate) < norm.isf(1e-6 / 8) * error


def test_in_a_world_with_context_the_other_signals_read_it_too():
    log, _ = build(PRESETS["exclusive"].changed(signals=2, test_size=500), 1.0, 1500, 0).draw(range(1))
    assert log.context is not None and log.signals.shape == (1, 2, 1500)


@pytest.mark.parametrize("dependence", [0.0, 0.3, 0.9])
def test_copula_keeps_every_marginal_and_has_its_joint(dependence):
    """200,000 draws; normal bounds with family-wise error 1e-6 over 3 x 6 counts. The exact tests below are
    the sharp ones; this one would see a joint that is off by .006."""
    alphas = np.array([0.05, 0.3, 0.7])
    n = 200_000
    uniform = np.random.default_rng(0).random((3, n))
    acts = dependent_actions(uniform, np.repeat(alphas[:, None], n, axis=1), dependence)
    expected = {(k, k): alphas[k] for k in range(3)}
    for j, k in ((0, 1), (0, 2), (1, 2)):
        cov = [[1, dependence], [dependence, 1]]
        expected[j, k] = multivariate_normal(cov=cov).cdf(ndtri(alphas[[j, k]]))
        assert joint_propensity(alphas[j], alphas[k], dependence) == pytest.approx(expected[j, k], abs=1e-7)
    for (j, k), p in expected.items():
        error = np.sqrt(p * (1 - p) / n)
        assert abs((acts[j] & acts[k]).mean() - p) < norm.isf(1e-6 / 36) * error


@settings(max_examples=30)
@given(st.floats(1e-4, 0.9999), st.floats(1e-4, 0.9999), st.floats(0, 0.99))
def test_joint_propensity_stays_within_its_bounds(first, second, dependence):
    joint = float(joint_propensity(np.float64(first), np.float64(second), dependence))
    assert first * second - 1e-12 <= joint <= min(first, second) + 1e-6


def test_certain_actions_are_certain():
    acts = dependent_actions(np.array([[0.2], [0.9999]]), np.ones((2, 1)), 0.5)
    assert acts.all()
    assert float(joint_propensity(np.ones(1), np.full(1, 0.3), 0.5)[0]) == pytest.approx(0.3, abs=1e-6)


def test_signals_have_their_names():
    assert POSITIVE == ("click", "copy", "upvote") and NEGATIVE == "regenerate"


def test_independent_actions_are_the_draws_below_the_propensity():
    uniform = np.array([[0.1, 0.5, 0.3], [0.9, 0.2, 0.6]])
    alphas = np.array([[0.2, 0.5, 0.2], [0.95, 0.1, 0.7]])
    expected = [[True, False, False], [True, False, True]]
    assert dependent_actions(uniform, alphas, 0.0).tolist() == expected


@pytest.mark.parametrize("d", [0.2, 0.5, 0.8])
def test_dependent_actions_are_those_of_latent_gaussians_written_out(d):
    """Three latent Gaussians of correlation d, each made of the ones before it and a draw of its own."""
    rng = np.random.default_rng(4)
    uniform, alphas = rng.random((3, 60)), rng.uniform(0.05, 0.95, (3, 60))
    z = norm.ppf(uniform)
    second = d * z[0] + (1 - d * d) ** 0.5 * z[1]
    own = (d - d * d) / (1 - d * d) ** 0.5  # so that the third has covariance d with the second
    third = d * z[0] + own * z[1] + (1 - d * d - own * own) ** 0.5 * z[2]
    expected = np.array([norm.cdf(g) < alpha for g, alpha in zip((z[0], second, third), alphas, strict=True)])
    found = dependent_actions(uniform, alphas, d)
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, uniform < alphas)  # the draws do tell the two apart


def test_a_draw_of_exactly_zero_is_an_action_like_any_small_draw():
    """``random()`` may return 0, whose Gaussian is infinite: it must not spoil the other signals."""
    alphas = np.full((3, 2), 0.3)
    small = dependent_actions(np.array([[0.9, 1e-9], [0.1, 0.5], [1e-9, 0.5]]), alphas, 0.5)
    zero = dependent_actions(np.array([[0.9, 0.0], [0.1, 0.5], [0.0, 0.5]]), alphas, 0.5)
    assert np.array_equal(small, zero)
    assert zero[2, 0] and zero[0, 1]


def test_small_draws_are_not_cut_off():
    """Φ(√.75 Φ⁻¹(.001)) = .0037: an action at α = .01, and none at .003."""
    assert norm.cdf(0.75**0.5 * norm.ppf(0.001)) == pytest.approx(0.0037, abs=5e-5)
    acts = dependent_actions(
        np.array([[0.5, 0.5], [0.001, 0.001]]), np.array([[0.6, 0.6], [0.01, 0.003]]), 0.5
    )
    assert acts.tolist() == [[True, True], [True, False]]


def test_the_joint_propensity_of_even_actions_is_the_arcsine_law():
    """Sheppard: ``P = 1/4 + asin(d) / 2π`` at α = ½, so the correlation of the two is ``2 asin(d) / π``."""
    half = np.array([0.5])
    for d in (0.0, 0.3, 0.9):
        assert joint_propensity(half, half, d) == pytest.approx(0.25 + np.arcsin(d) / (2 * np.pi))
        assert action_correlation(half, half, d) == pytest.approx(2 * np.arcsin(d) / np.pi, abs=1e-12)


def test_the_correlation_of_two_actions_is_their_covariance_over_their_spreads():
    first, second, d = 0.2, 0.7, 0.4
    both = multivariate_normal(cov=[[1, d], [d, 1]]).cdf(ndtri([first, second]))
    expected = (both - first * second) / (first * (1 - first) * second * (1 - second)) ** 0.5
    found = action_correlation(np.array([first, 1.0]), np.array([second, 0.5]), d)
    assert found == pytest.approx([expected, 0], abs=1e-6)  # a sure action depends on nothing
