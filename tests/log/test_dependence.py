"""The test of dependence: its level under independence, its power, and what it refuses.

Error rates by exact binomial bounds: the tests of this file together err with probability below 1e-3.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, norm

from simbench.errors import BadInput
from simbench.log.dependence import dependence_test
from simbench.worlds.presets import PRESETS
from simbench.worlds.signals import joint_propensity
from simbench.worlds.world import build

N = 300


def p_values(count, worlds=1, size=4000, **changes):
    shape = {"signals": 3, "test_size": 100, "n_features": 8}
    config = PRESETS["signals"].model_copy(update={**shape, **changes})
    found = []
    for seed in range(worlds):
        log, _ = build(config, 1.0, size, seed).draw(range(count))
        found += [dependence_test(log, replicate).p_value for replicate in range(count)]
    return np.array(found)


def test_level_under_independence():
    """Rejections among 300 logs of 20 worlds, within 1e-4 bounds of a binomial at .7 to 1.3 levels."""
    found = p_values(N // 20, worlds=20, size=10_000, n_features=32)
    for level in (0.05, 0.2):
        rejected = int((found < level).sum())
        assert binom.ppf(1e-4, N, 0.7 * level) <= rejected <= binom.isf(1e-4, N, 1.3 * level)


def test_power_at_a_dependence_of_three_tenths():
    """Expected statistics of 5.2 and 1.7 a pair."""
    assert (p_values(20, size=10_000, signal_dependence=0.3) < 0.05).all()
    assert 0.1 < (p_values(40, size=10_000, signal_dependence=0.1) < 0.05).mean() < 0.95


def test_a_negative_signal_is_no_part_of_it():
    assert np.array_equal(p_values(3), p_values(3, regenerate=True))


def test_pairwise_estimates_that_agree_are_no_proof():
    """Equal propensities, equal dependence: every pair is wrong by the same factor; the test sees it."""
    rng = np.random.default_rng(0)
    n, alpha, d = 20_000, 0.3, 0.5
    latent = np.sqrt(d) * rng.standard_normal(n) + np.sqrt(1 - d) * rng.standard_normal((3, n))
    good = rng.random(n) < 0.6
    signals = ((norm.cdf(latent) < alpha) & good).astype(np.float32)[None]
    world = build(PRESETS["signals"].model_copy(update={"signals": 3, "test_size": 100}), 0.0, n, 0)
    log = replace(world.draw(range(1))[0], feedback=signals[:, 0], signals=signals)
    s = signals[0]
    estimates = [s[j].mean() * s[k].mean() / (s[j] * s[k]).mean() for j, k in ((0, 1), (0, 2), (1, 2))]
    wrong = 0.6 * alpha**2 / float(joint_propensity(np.array(alpha), np.array(alpha), d))
    assert np.ptp(estimates) < 0.03 and np.mean(estimates) == pytest.approx(wrong, abs=0.02) and wrong < 0.4
    assert dependence_test(log).p_value < 1e-12


def test_two_signals_and_too_few_are_refused():
    config = PRESETS["signals"].model_copy(update={"test_size": 100})
    with pytest.raises(BadInput, match="needs three positive signals"):
        dependence_test(build(config, 1.0, 500, 0).draw(range(1))[0])
    three = build(config.model_copy(update={"signals": 3}), 1.0, 100, 0)
    with pytest.raises(BadInput, match="too few responses show two signals"):
        dependence_test(three.draw(range(1))[0])
