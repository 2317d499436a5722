"""Drawn ratings: what a level's probability, the reward and the propensity are, added up by hand."""

import numpy as np
import pytest
from scipy.optimize import brentq

from simbench.worlds.config import OrdinalRatings
from simbench.worlds.ratings import RatedPopulation, rate

EXCEEDS = np.array([[0.9, 0.6, 1.0], [0.5, 0.3, 0.7], [0.2, 0.0, 0.4]])  # P(t > level), three responses
PROBABILITY = np.array([[0.1, 0.4, 0.0], [0.4, 0.3, 0.3], [0.3, 0.3, 0.3], [0.2, 0.0, 0.4]])
ALPHA = np.array([0.05, 0.1, 0.4, 0.9])
GOOD = np.array([False, False, True, True])


@pytest.fixture
def rated():
    return RatedPopulation(EXCEEDS, ALPHA, GOOD)


def test_a_level_has_what_exceeds_the_one_below_and_not_itself(rated):
    assert rated.level_probability == pytest.approx(PROBABILITY)


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_the_reward_is_the_probability_of_the_good_levels(bad):
    rated = RatedPopulation(EXCEEDS, ALPHA, np.arange(4) >= bad)
    assert rated.reward == pytest.approx(PROBABILITY[bad:].sum(0))


def test_propensities_are_means_over_the_levels(rated):
    for row in range(3):
        p = PROBABILITY[:, row]
        assert rated.action_probability[row] == pytest.approx(sum(p[k] * ALPHA[k] for k in range(4)))
        of_good = (p[2] * 0.4 + p[3] * 0.9) / (p[2] + p[3])
        assert rated.propensity_of_good[row] == pytest.approx(of_good)


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
    assert np.array_equal(part.level_propensity, ALPHA) and np.array_equal(part.good, GOOD)


RATINGS = OrdinalRatings(levels=(0, 1, 4), shares=(0.2, 0.5, 0.3), threshold=1)
SIGNAL = np.array([-2.0, 0.5, 1.0, 3.0, -0.5, 0.0, 1.5, -1.0])
IS_TRAIN = np.array([True] * 5 + [False] * 3)


def mean_over_the_logged(shift):
    return np.mean([1 / (1 + np.exp(-s - shift)) for s in SIGNAL[:5]])


def test_levels_have_their_shares_over_the_logged_responses():
    rated = rate(RATINGS, SIGNAL, IS_TRAIN, 0.5, 0.2, True)
    for above, exceeds in zip((0.8, 0.3), rated.exceeds, strict=True):
        shift = brentq(lambda b, above=above: mean_over_the_logged(b) - above, -30, 30)
        assert exceeds == pytest.approx(1 / (1 + np.exp(-SIGNAL - shift)))
    assert rated.good.tolist() == [False, False, True]  # above the threshold, not at it
    assert rated.exceeds.shape == (2, 8)


def test_the_law_of_drawn_ratings_weighs_levels_by_their_shares():
    """κ = .5 and t = 1, 2, 5: weights 1/16, 1/8, 1, whose mean is .0125 + .0625 + .3 = .375."""
    weight = np.array([1 / 16, 1 / 8, 1])
    for share, capped in ((0.2, True), (0.36, True), (0.36, False)):
        found = rate(RATINGS, SIGNAL, IS_TRAIN, 0.5, share, capped).level_propensity
        assert found == pytest.approx(share / 0.375 * weight)
    # at a rate of .45 the top is capped: .3 + k (.0125 + .0625) is .45 at k = 2
    assert rate(RATINGS, SIGNAL, IS_TRAIN, 0.5, 0.45, True).level_propensity == pytest.approx(
        [0.125, 0.25, 1]
    )
    free = rate(RATINGS, SIGNAL, IS_TRAIN, 0.5, 0.45, False).level_propensity
    assert free == pytest.approx([1.2 / 16, 1.2 / 8, 1])
    steeper = rate(RATINGS, SIGNAL, IS_TRAIN, 0.8, 0.2, True).level_propensity  # κ = .2, not .8
    assert steeper / steeper[-1] == pytest.approx([0.2**4, 0.2**3, 1])
