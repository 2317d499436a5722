"""Drawn ratings: what a level's probability, the reward and the propensity are, added up by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.channel import Channel, RatedSignalsLaw
from simbench.worlds.config import WorldConfig
from simbench.worlds.ratings import Ratings
from simbench.worlds.responses import synthetic
from simbench.worlds.rewards import DrawnRatings, rewarded
from simbench.worlds.scene import Scene

EXCEEDS = np.array([[0.9, 0.6, 1.0], [0.5, 0.3, 0.7], [0.2, 0.0, 0.4]])  # P(t > level), three responses
PROBABILITY = np.array([[0.1, 0.4, 0.0], [0.4, 0.3, 0.3], [0.3, 0.3, 0.3], [0.2, 0.0, 0.4]])
LEVELS, SHARES = np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.2, 0.3, 0.3, 0.2])
ALPHA = np.array([0.05, 0.1, 0.4, 0.9])
GOOD = np.array([False, False, True, True])


@pytest.fixture
def rated():
    return Ratings(EXCEEDS, LEVELS, SHARES, 1.0)


@pytest.fixture
def law(rated):
    return RatedSignalsLaw(rated, np.broadcast_to(ALPHA[:, None], (1, 4, 3)), Channel())


def test_a_level_has_what_exceeds_the_one_below_and_not_itself(rated):
    assert rated.level_probability == pytest.approx(PROBABILITY)
    assert rated.mean == pytest.approx([0.4 + 0.9 + 0.8, 0.3 + 0.9, 0.3 + 0.9 + 1.6])


@pytest.mark.parametrize(("bad", "threshold"), [(1, 0.0), (2, 2.9), (3, 3.0)])
def test_the_reward_is_the_probability_of_the_good_levels(bad, threshold):
    """Good is above the threshold, not at it."""
    rated = Ratings(EXCEEDS, LEVELS, SHARES, threshold)
    assert rated.good.tolist() == [k >= bad for k in range(4)]
    assert rated.reward == pytest.approx(PROBABILITY[bad:].sum(0))


def test_propensities_are_means_over_the_levels(rated, law):
    for row in range(3):
        p = PROBABILITY[:, row]
        assert law.action_probability[row] == pytest.approx(sum(p[k] * ALPHA[k] for k in range(4)))
        of_good = (p[2] * 0.4 + p[3] * 0.9) / (p[2] + p[3])
        of_bad = (p[0] * 0.05 + p[1] * 0.1) / (p[0] + p[1])
        assert law.propensity[row] == pytest.approx(of_good)
        assert law.bad_click[row] == pytest.approx(of_bad)
        values = np.broadcast_to(ALPHA[:, None], (4, 3))
        assert rated.mean_if(values, good=True)[row] == pytest.approx(of_good)
        assert rated.mean_if(values, good=False)[row] == pytest.approx(of_bad)


def test_the_level_drawn_is_the_number_of_levels_that_it_exceeds(rated):
    """The lower the draw the higher the rating, and ``t > τ`` just where the draw lies below γ."""
    assert rated.drawn(np.array([0.95, 0.5, 0.5])).tolist() == [0, 1, 2]
    assert rated.drawn(np.array([0.55, 0.65, 0.1])).tolist() == [1, 0, 3]
    assert rated.drawn(np.array([0.9, 0.6, 0.4])).tolist() == [0, 0, 2]  # P(U < p) = p: not where equal
    draws = np.random.default_rng(0).random((200, 3))
    levels = np.array([rated.drawn(each) for each in draws])
    assert np.array_equal(GOOD[levels], draws < rated.reward)


def test_rows_are_taken_of_the_responses_not_of_the_levels(rated):
    part = rated.take(np.array([2, 0]))
    assert part.exceeds.tolist() == EXCEEDS[:, [2, 0]].tolist()
    assert np.array_equal(part.levels, LEVELS) and np.array_equal(part.shares, SHARES)
    assert part.threshold == 1.0


RATINGS = DrawnRatings(levels=(0, 1, 4), shares=(0.2, 0.5, 0.3), threshold=1, reward_scale=2.0)
SMALL = WorldConfig().changed(n_features=8, test_size=100)


def test_levels_have_their_shares_over_the_logged_responses():
    base = synthetic(SMALL.responses, "exclusive", 60, 0)
    worth = rewarded(RATINGS, base, "exclusive", 0)
    # the linear reward of this world, at the same scale, is the same signal with an intercept of its own
    linear = rewarded(SMALL.changed(reward_scale=2.0).reward, base, "exclusive", 0)
    signal = np.log(linear.reward / (1 - linear.reward))
    for above, exceeds in zip((0.8, 0.3), worth.ratings.exceeds, strict=True):

        def excess(shift, above=above):
            return np.mean([1 / (1 + np.exp(-s - shift)) for s in signal[base.is_train]]) - above

        shift = brentq(excess, -30, 30)
        assert exceeds == pytest.approx(1 / (1 + np.exp(-signal - shift)))
    assert worth.ratings.good.tolist() == [False, False, True]  # above the threshold, not at it
    assert worth.ratings.exceeds.shape == (2, 160)
    assert worth.ratings.levels.tolist() == [0, 1, 4] and worth.ratings.shares.tolist() == [0.2, 0.5, 0.3]
    assert worth.reward == pytest.approx(worth.ratings.exceeds[1])
    assert worth.rating == pytest.approx(
        worth.ratings.exceeds[0] - worth.ratings.exceeds[1] + 4 * worth.ratings.exceeds[1]
    )


def scene(ratings):
    n, d = 5, 2
    nothing = np.zeros(n, dtype=np.int64)
    own = {"features": np.zeros((n, d)), "context": np.zeros((n, 2)), "groups": nothing, "page": nothing}
    worth = {"reward": np.full(n, 0.5), "rating": np.arange(n) * 1.0, "ratings": ratings}
    return Scene(**own, **worth, rank=nothing, seed=0, world="w")


def test_the_law_of_drawn_ratings_weighs_levels_by_their_shares():
    """κ = .5 and t = 1, 2, 5: weights 1/16, 1/8, 1, whose mean is .0125 + .0625 + .3 = .375."""
    drawn = Ratings(np.full((2, 5), 0.5), np.array(RATINGS.levels), np.array(RATINGS.shares), 1.0)
    weight = np.array([1 / 16, 1 / 8, 1])

    def levels(bias_level, rate, capped):
        found = Rating(capped=capped).propensity(scene(drawn), bias_level, rate, "click")
        assert found.shape == (3, 1)
        return found[:, 0]

    for share, capped in ((0.2, True), (0.36, True), (0.36, False)):
        assert levels(0.5, share, capped) == pytest.approx(share / 0.375 * weight)
    # at a rate of .45 the top is capped: .3 + k (.0125 + .0625) is .45 at k = 2
    assert levels(0.5, 0.45, True) == pytest.approx([0.125, 0.25, 1])
    assert levels(0.5, 0.45, False) == pytest.approx([1.2 / 16, 1.2 / 8, 1])
    steeper = levels(0.8, 0.2, True)  # κ = .2, not .8
    assert steeper / steeper[-1] == pytest.approx([0.2**4, 0.2**3, 1])
    assert Rating().kappa(0.8) == pytest.approx(0.2)


def test_without_drawn_ratings_users_act_on_the_rating_itself():
    """Ratings 0 to 4 are t = 1 to 5."""
    found = Rating().propensity(scene(None), 0.5, 0.1, "click")
    assert found / found[-1] == pytest.approx([1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])
    assert found.mean() == pytest.approx(0.1)
    shifted = replace(scene(None), rating=np.arange(5) * 3.0 - 7)
    assert Rating().propensity(shifted, 0.5, 0.1, "click") == pytest.approx(found)
