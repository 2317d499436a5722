"""The order of training: what fits in one pool is a full permutation, what does not is shuffled in runs."""

import numpy as np
import pytest

from simbench.training.batches import RUN, batches_of_pairs, batches_of_rows, in_order, pool_rows, shuffled
from simbench.training.pairs import draw_pairs

ROWS = np.arange(0, 30_000, 3)


def test_what_fits_in_one_pool_is_a_full_permutation():
    (only,) = shuffled(100, 100, np.random.default_rng(3))
    assert np.array_equal(only, np.random.default_rng(3).permutation(100))


@pytest.mark.parametrize("n", [4096, 10_000, 10_241])
def test_beyond_it_every_row_comes_once_in_long_runs(n):
    pools = shuffled(n, 4096, np.random.default_rng(0))
    assert np.array_equal(np.sort(np.concatenate(pools)), np.arange(n))
    assert [len(pool) for pool in pools[:-1]] == [4096] * (len(pools) - 1)
    for pool in pools:
        # a pool of 4 runs is cut into at most one piece more, and its first run is not its first batch
        assert (np.diff(np.sort(pool)) > 1).sum() <= 5
        assert len(pool) < 100 or np.ptp(pool[:64]) > RUN // 2
    assert not np.array_equal(pools[0], shuffled(n, 4096, np.random.default_rng(1))[0])


def test_batches_are_whole_but_for_the_last():
    pool = pool_rows(width=32, batch_size=512, memory=600_000)
    assert pool == 4608 and pool_rows(32, 512, memory=1) == 512
    sizes = [s for p in batches_of_rows(ROWS, 512, pool, np.random.default_rng(0)) for s in p.sizes]
    assert sizes == [512] * (len(ROWS) // 512) + [len(ROWS) % 512]
    found = np.concatenate([p.rows for p in batches_of_rows(ROWS, 512, pool, np.random.default_rng(0))])
    assert np.array_equal(np.sort(found), ROWS)
    parts = in_order(ROWS, 1000, 2500)
    assert [p.sizes for p in parts] == [[1000, 1000]] * 5
    assert np.array_equal(np.concatenate([p.rows for p in parts]), ROWS)


def test_pairs_stay_together_in_every_pool():
    groups = np.arange(30_000) // 6
    pools = batches_of_pairs(ROWS, groups, 512, 2048, np.random.default_rng(0))
    assert len(pools) > 3
    first = []
    for pool in pools:
        for batch in np.split(pool.rows, np.cumsum(pool.sizes)[:-1]):
            one, other = batch.reshape(2, -1)
            assert np.array_equal(groups[one], groups[other]) and (one != other).all()
            first.append(one)
    assert np.array_equal(np.sort(np.concatenate(first)), ROWS)
    assert all(size == 512 for pool in pools[:-1] for size in pool.sizes)


def test_a_pool_of_exactly_its_rows_is_one_permutation_and_one_row_more_is_not():
    (only,) = shuffled(2048, 2048, np.random.default_rng(0))
    assert np.array_equal(only, np.random.default_rng(0).permutation(2048))
    pools = shuffled(2049, 2048, np.random.default_rng(0))
    assert [len(pool) for pool in pools] == [2048, 1]


def test_a_pool_is_as_many_whole_batches_of_float32_as_fit():
    assert pool_rows(width=10, batch_size=7, memory=4 * 10 * 21) == 21
    assert pool_rows(width=10, batch_size=7, memory=4 * 10 * 21 - 1) == 14
    assert pool_rows(width=10, batch_size=7, memory=4 * 10 * 27) == 21
    assert pool_rows(width=1 << 20, batch_size=7) == 126  # 512 MiB of memory by default: 128 rows


def test_batches_of_rows_are_those_rows_in_the_order_of_the_generator():
    rows = np.array([3, 5, 8, 13, 21, 34, 55])
    (pool,) = batches_of_rows(rows, 3, 100, np.random.default_rng(1))
    assert pool.rows.tolist() == rows[np.random.default_rng(1).permutation(7)].tolist()
    assert pool.sizes == [3, 3, 1]


def test_evaluation_reads_rows_as_they_stand_in_whole_parts():
    """Pools of whole parts, or one part a pool where a pool holds less than that."""
    rows = np.array([3, 5, 8, 13, 21, 34, 55])
    assert [(p.rows.tolist(), p.sizes) for p in in_order(rows, 2, 5)] == [
        ([3, 5, 8, 13], [2, 2]),
        ([21, 34, 55], [2, 1]),
    ]
    assert [p.sizes for p in in_order(rows, 3, 1)] == [[3], [3], [1]]
    assert [p.sizes for p in in_order(rows, 7, 7)] == [[7]]


def test_a_batch_of_pairs_holds_half_as_many_pairs_first_members_in_front():
    groups = np.zeros(9, dtype=int)
    pools = batches_of_pairs(np.arange(9), groups, 5, 9, np.random.default_rng(0))
    assert [pool.sizes for pool in pools] == [[4, 4], [4, 4], [2]]  # pools of 9 // 2 pairs
    order = np.random.default_rng(0)
    pairs = draw_pairs(np.arange(9), groups, order)
    (pool,) = batches_of_pairs(np.arange(9), groups, 5, 20, np.random.default_rng(0))
    shuffled_pairs = pairs[:, order.permutation(9)]
    expected = [shuffled_pairs[:, start : start + 2].ravel() for start in range(0, 9, 2)]
    assert pool.rows.tolist() == np.concatenate(expected).tolist() and pool.sizes == [4, 4, 4, 4, 2]
    (tiny,) = batches_of_pairs(np.arange(9), groups, 1, 18, np.random.default_rng(0))
    assert tiny.sizes == [2] * 9  # at least one pair
