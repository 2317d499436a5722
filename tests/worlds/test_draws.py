"""Draws of a world, response by response: preference, actions, slips, and what the log is given of them.

The loops here draw from the same streams in the same order, and share no other code with the world.
"""

import numpy as np
import pytest
from scipy.stats import norm

from simbench.streams import stream
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def world(name, level=1.3, size=60, seed=2, **changes):
    small = {"test_size": 100, "n_features": 8, **changes}
    return build(PRESETS[name].changed(**small), level, size, seed)


def test_a_replicate_is_the_same_in_any_range(small_world):
    alone, one = small_world.draw(range(3, 4))
    among, six = small_world.draw(range(6))
    assert np.array_equal(alone.feedback[0], among.feedback[3])
    assert np.array_equal(one.preference[0], six.preference[3])
    assert len({each.tobytes() for each in six.preference}) == 6
    assert len({each.tobytes() for each in among.feedback}) == 6


@pytest.mark.parametrize("change", [{"seed": 3}, {"name": "signals"}], ids=str)
def test_draws_depend_on_seed_and_name(change):
    rewards = world("shared").train.reward
    first = world("shared").draw(range(1))[1].preference
    other_world = world(**{"name": "shared", **change})
    own = np.random.default_rng(0).random(60)  # at one reward for both, so that only the draws differ
    draws = [
        stream(w.seed, "feedback", w.config.name, 0).random((3, 60)) for w in (world("shared"), other_world)
    ]
    assert not np.array_equal(draws[0][0] < own, draws[1][0] < own)
    assert np.array_equal(first[0], draws[0][0] < rewards)
    assert np.array_equal(other_world.draw(range(1))[1].preference[0], draws[1][0] < other_world.train.reward)


def written_out(built, replicate):
    """Preference of every response, and every signal, by a loop over responses."""
    config, train = built.config, built.train
    n, names, d = len(train.reward), config.signal_names, config.channel.signal_dependence
    rng = stream(built.seed, "feedback", config.name, replicate)
    good, acts, slips = rng.random((3, n))
    further = rng.random((len(names) - 1, n))
    preference, signals = np.zeros(n, bool), np.zeros((len(names), n))
    for i in range(n):
        preference[i] = good[i] < train.reward[i]
        draws = [acts[i], *further[:, i]]
        if d > 0:  # a common Gaussian: the first is the draw itself, the others are made to depend on it
            z = [norm.ppf(draw) for draw in draws]
            g = [z[0], d * z[0] + (1 - d * d) ** 0.5 * z[1]]
            if len(z) > 2:
                own = (d - d * d) / (1 - d * d) ** 0.5
                g.append(d * z[0] + own * z[1] + (1 - d * d - own * own) ** 0.5 * z[2])
            draws = [acts[i], *map(norm.cdf, g[1:])]
        for k, name in enumerate(names):
            alpha = train.law.propensities[k, i]
            fires = not preference[i] if name == "regenerate" else preference[i]
            if name == "click":
                fires = fires or slips[i] < config.channel.misclick
            signals[k, i] = draws[k] < alpha and fires
    return preference, signals


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("exclusive", {}),
        ("misclick", {"misclick": 0.4}),
        ("always", {"always_share": 0.1, "action_rate": 0.4}),
        ("signals", {"signals": 3}),
        ("signals", {"signals": 3, "signal_dependence": 0.6}),
        ("signals", {"signals": 2, "signal_dependence": 0.6, "misclick": 0.3}),
        ("signals", {"signals": 2, "regenerate": True, "signal_dependence": 0.5}),
        ("exclusive", {"regenerate": True, "misclick": 0.4}),
        ("shared", {"exposures": 3, "misclick": 0.4}),
    ],
    ids=str,
)
def test_every_response_is_drawn_by_its_law(name, changes):
    built = world(name, **changes)
    log, truth = built.draw(range(4, 7))
    for row, replicate in enumerate((4, 5, 6)):
        preference, signals = written_out(built, replicate)
        assert np.array_equal(truth.preference[row], preference)
        assert np.array_equal(log.feedback[row], signals[0])
        if len(signals) > 1:
            assert np.array_equal(log.signals[row], signals)
        else:
            assert log.signals is None
    regenerates = changes.get("regenerate", False)
    assert log.negative_signals == ((len(built.config.signal_names) - 1,) if regenerates else ())
    assert log.feedback.dtype == np.float32 and log.feedback.flags.c_contiguous


def test_the_log_has_the_responses_and_the_truth_has_the_rest():
    built = world("always", always_share=0.1, action_rate=0.4)
    log, truth = built.draw(range(2))
    assert np.shares_memory(log.features, built.train.features)
    assert np.array_equal(log.groups, built.train.groups)
    assert log.context is None
    assert np.array_equal(truth.reward, built.train.reward)
    assert np.array_equal(truth.propensity, built.train.propensity)
    assert np.array_equal(truth.always_acts, built.train.always_acts) and truth.always_acts.any()
    assert truth.propensity_of_good is None
    for secret in ("propensity", "class_prior", "labels", "misclick", "action_rate", "always_acts", "strata"):
        assert getattr(log, secret) is None
    exclusive = world("exclusive")
    assert np.array_equal(exclusive.draw(range(1))[0].context, exclusive.train.context)


@pytest.mark.parametrize("name", ["twin:helpsteer", "twin:saferlhf"])
def test_a_rating_is_drawn_then_cut_then_acted_on(name):
    built = world(name, 0.7, size=80)
    log, truth = built.draw(range(5, 7))
    law, ratings = built.train.law, built.config.reward
    for row, replicate in enumerate((5, 6)):
        rates, acts = stream(2, "feedback", name, replicate).random((2, 80))
        for i in range(80):
            level = sum(rates[i] < exceeds for exceeds in law.ratings.exceeds[:, i])
            good = ratings.levels[level] > ratings.threshold
            alpha = law.levels[0, level, i]
            assert truth.preference[row, i] == good
            assert truth.propensity[row, i] == alpha
            assert log.feedback[row, i] == (good and acts[i] < alpha)
    assert truth.propensity.shape == (2, 80) and truth.always_acts is None
    assert np.array_equal(truth.reward, built.train.reward)
    assert np.array_equal(truth.propensity_of_good, built.train.propensity)
    assert log.context is None and log.signals is None and np.array_equal(log.groups, built.train.groups)
    assert np.shares_memory(log.features, built.train.features)


def test_misclicks_are_slips_of_active_users_at_their_rate():
    """Clicks on bad responses: ε of those that a user acts on (40 draws, 6 standard errors)."""
    built = world("misclick", size=500, misclick=0.25)
    log, truth = built.draw(range(40))
    bad = ~truth.preference
    expected = 0.25 * np.broadcast_to(truth.propensity, bad.shape)[bad]
    error = np.sqrt((expected * (1 - expected)).sum())
    assert abs(log.feedback[bad].sum() - expected.sum()) < 6 * error


def test_two_actions_depend_on_each_other_as_the_copula_says():
    """Both signals of good responses, against the realised correlation (60 draws, 6 standard errors)."""
    built = world("signals", signals=2, signal_dependence=0.7, size=400)
    log, truth = built.draw(range(60))
    first, second = built.train.law.propensities
    spread = np.sqrt(first * (1 - first) * second * (1 - second))
    scaled = (log.signals[:, 0] - first) * (log.signals[:, 1] - second) / spread
    good = truth.preference
    found = built.train.law.action_correlation()
    assert abs(scaled[good].mean() - found) < 6 * scaled[good].std() / good.sum() ** 0.5
    assert found > 0.2
