"""The test of dependence: its formula, its level under independence, its power, and what it refuses.

Error rates by exact binomial bounds: the tests of this file together err with probability below 1e-3.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.log.dependence import _action_probability, dependence_test, positive_signals
from simbench.log.feedback import FeedbackLog
from simbench.worlds.presets import PRESETS
from simbench.worlds.signals import joint_propensity
from simbench.worlds.world import build

N = 300


def some_signals(rows: int = 600, count: int = 3, replicates: int = 2, context: bool = True) -> FeedbackLog:
    """Signals that depend on one feature, one context and, for the second and third, on one another."""
    rng = np.random.default_rng(6)
    x, z = rng.standard_normal((2, rows, 2)).astype(np.float32)
    shared = rng.standard_normal((replicates, 1, rows))
    own = rng.standard_normal((replicates, count, rows))
    weight = np.array([0.0, 0.6, 0.6, 0.3][:count])[:, None]
    latent = weight * shared + np.sqrt(1 - weight**2) * own
    signals = (latent < 0.4 * x[:, 0] + 0.6 * z[:, 1] - 0.2).astype(np.float32)
    return FeedbackLog(x, signals[:, 0], np.arange(rows), context=z if context else None, signals=signals)


@pytest.mark.parametrize(("count", "context"), [(3, True), (3, False), (4, True)])
def test_statistics_and_p_value_are_those_of_a_loop(count, context):
    log = some_signals(count=count, context=context)
    found = dependence_test(log, 1)
    inputs = np.column_stack([log.features, log.context]) if context else log.features
    signals, expected = log.signals[1], []
    for j in range(count):
        for k in range(j + 1, count):
            rest = [i for i in range(count) if i not in (j, k)]
            rows = [row for row in range(log.n_rows) if any(signals[i, row] for i in rest)]
            x = inputs[rows]
            m_j, m_k = (
                LogisticRegression(max_iter=1000).fit(x, signals[i, rows]).predict_proba(x)[:, 1]
                for i in (j, k)
            )
            product = variance = spread = 0.0
            for place, row in enumerate(rows):
                product += (signals[j, row] - m_j[place]) * (signals[k, row] - m_k[place])
                both = m_j[place] * (1 - m_j[place]) * m_k[place] * (1 - m_k[place])
                variance, spread = variance + both, spread + both**0.5
            expected.append(((j, k), product / variance**0.5, product / spread))
    assert list(found.pairs) == [pair for pair, _, _ in expected]
    assert found.statistics == pytest.approx([z for _, z, _ in expected], abs=1e-4)
    assert found.correlations == pytest.approx([rho for _, _, rho in expected], abs=1e-4)
    largest = max(abs(z) for _, z, _ in expected)
    assert found.p_value == pytest.approx(min(1, 2 * len(expected) * norm.cdf(-largest)), abs=1e-4)


def test_a_p_value_is_one_at_most_and_is_that_of_the_replicate():
    independent = some_signals(replicates=40)
    found = [dependence_test(independent, replicate).p_value for replicate in range(40)]
    assert len(set(found)) == 40 and max(found) <= 1
    log = some_signals()
    alone = replace(log, feedback=log.feedback[1:], signals=log.signals[1:])
    assert dependence_test(alone).p_value == pytest.approx(dependence_test(log, 1).p_value)


def test_dependence_in_either_direction_is_found():
    """The third signal agrees with the second, or contradicts it."""
    log = some_signals(2000)
    turned = log.signals.copy()
    turned[:, 2] = 1 - turned[:, 2]
    apart = dependence_test(replace(log, signals=turned))
    together = dependence_test(log)
    assert together.statistics[2] > 5 and apart.statistics[2] < -5
    assert together.p_value < 1e-6 and apart.p_value < 1e-6


@pytest.mark.parametrize("turned", [False, True])
def test_thirty_that_show_a_signal_and_thirty_that_do_not_are_needed(turned):
    x = np.random.default_rng(0).standard_normal((100, 1)).astype(np.float32)
    few, enough = (((np.arange(100) < count) != turned).astype(float) for count in (29, 30))
    with pytest.raises(BadInput, match="29 for 30 needed"):
        _action_probability(x, few)
    assert _action_probability(x, enough).mean() == pytest.approx(0.7 if turned else 0.3, abs=0.01)


def test_positive_signals_leave_out_those_of_dissatisfaction():
    log = some_signals(count=4)
    assert np.array_equal(positive_signals(log), log.signals)
    kept = positive_signals(replace(log, negative_signals=(1, 3)))
    assert np.array_equal(kept, log.signals[:, [0, 2]])
    bare = replace(log, signals=None)
    assert np.array_equal(positive_signals(bare), log.feedback[:, None])


def p_values(count, worlds=1, size=4000, **changes):
    shape = {"signals": 3, "test_size": 100, "n_features": 8}
    config = PRESETS["signals"].changed(**{**shape, **changes})
    found = []
    for seed in range(worlds):
        log, _ = build(config, 1.0, size, seed).draw(range(count))
        found += [dependence_test(log, replicate).p_value for replicate in range(count)]
    return np.array(found)


@pytest.mark.parametrize(("size", "features"), [(2000, 4), pytest.param(10_000, 32, marks=pytest.mark.slow)])
def test_level_under_independence(size, features):
    """Rejections among 300 logs of 20 worlds, within 1e-4 bounds of a binomial at .7 to 1.3 levels."""
    found = p_values(N // 20, worlds=20, size=size, n_features=features)
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
    world = build(PRESETS["signals"].changed(signals=3, test_size=100), 0.0, n, 0)
    log = replace(world.draw(range(1))[0], feedback=signals[:, 0], signals=signals)
    s = signals[0]
    estimates = [s[j].mean() * s[k].mean() / (s[j] * s[k]).mean() for j, k in ((0, 1), (0, 2), (1, 2))]
    wrong = 0.6 * alpha**2 / float(joint_propensity(np.array(alpha), np.array(alpha), d))
    assert np.ptp(estimates) < 0.03 and np.mean(estimates) == pytest.approx(wrong, abs=0.02) and wrong < 0.4
    assert dependence_test(log).p_value < 1e-12


def test_two_signals_and_too_few_are_refused():
    config = PRESETS["signals"].changed(test_size=100)
    with pytest.raises(BadInput, match="needs three positive signals"):
        dependence_test(build(config, 1.0, 500, 0).draw(range(1))[0])
    three = build(config.changed(signals=3), 1.0, 100, 0)
    with pytest.raises(BadInput, match="too few responses show two signals"):
        dependence_test(three.draw(range(1))[0])
