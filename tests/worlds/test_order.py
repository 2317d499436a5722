"""The order of pages: random, ranked by a score of a stated correlation, or shuffled on a share of pages."""

import numpy as np
import pytest

from simbench.worlds.config import WorldConfig
from simbench.worlds.order import Order, placed
from simbench.worlds.world import build

PAGES = np.repeat(np.arange(2000), 5)
RANDOM = np.concatenate([np.random.default_rng(p).permutation(5) for p in range(2000)])
REWARD = np.random.default_rng(9).uniform(0.05, 0.95, 10_000)


def places(**settings) -> np.ndarray:
    return placed(Order(**settings), PAGES, RANDOM, REWARD, np.random.default_rng(0))


@pytest.mark.parametrize("settings", [{}, {"ranked": 0.5}, {"ranked": 1.0, "shuffled": 0.3}])
def test_every_page_has_every_place_once(settings):
    assert (np.sort(places(**settings).reshape(2000, 5)) == np.arange(5)).all()


def test_without_a_ranker_the_order_is_the_random_one():
    assert np.array_equal(places(), RANDOM)


def test_a_perfect_ranker_puts_the_best_first():
    by_place = np.take_along_axis(REWARD.reshape(2000, 5), np.argsort(places(ranked=1.0).reshape(2000, 5)), 1)
    assert (np.diff(by_place) <= 0).all()


def test_the_better_the_ranker_the_closer_place_and_reward():
    found = [np.corrcoef(places(ranked=r), REWARD)[0, 1] for r in (0.0, 0.4, 0.8, 1.0)]
    assert (
        abs(found[0]) < 0.03 and found[1] < -0.25 and found[2] < found[1] - 0.2 and found[3] < found[2] - 0.1
    )


def test_a_share_of_the_pages_keeps_its_random_order():
    whole, part = places(ranked=1.0), places(ranked=1.0, shuffled=0.3)
    same = (part == RANDOM).reshape(2000, 5).all(1)
    ranked = (part == whole).reshape(2000, 5).all(1)
    assert (same | ranked).all() and abs(same.mean() - 0.3) < 0.05  # se .01


def test_pages_may_have_any_number_and_any_length():
    page, rank = np.array([7, 7, 3, 7, 3, 1]), np.array([0, 2, 1, 1, 0, 0])
    reward = np.array([0.1, 0.9, 0.2, 0.5, 0.8, 0.3])
    found = placed(Order(ranked=1.0), page, rank, reward, np.random.default_rng(0))
    assert found.tolist() == [2, 0, 1, 1, 0, 0]


def test_the_context_holds_the_place_that_was_given():
    config = WorldConfig().changed(behaviour="page", ranked=0.9, test_size=100)
    built = build(config, 1.0, 500, 0)
    by_place = [built.train.context[built.train.rank == k, 1] for k in range(5)]
    assert all(np.ptp(values) < 1e-6 for values in by_place)
    assert [values[0] for values in by_place] == sorted((v[0] for v in by_place), reverse=True)


def test_responses_and_reward_do_not_depend_on_the_order():
    one, other = (build(WorldConfig().changed(ranked=r, test_size=100), 1.0, 300, 0) for r in (0.0, 0.9))
    assert np.array_equal(one.train.features, other.train.features)
    assert np.array_equal(one.train.reward, other.train.reward)
    assert np.array_equal(one.train.context[:, [0, 2, 3]], other.train.context[:, [0, 2, 3]])
    assert not np.array_equal(one.train.rank, other.train.rank)
