"""Partners of a prompt: every row once with another of its prompt, each other equally likely."""

from collections import Counter

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.training.pairs import draw_pairs

GROUPS = np.array([5, 2, 5, 9, 2, 5, 2, 5, 1, 1])  # 9 stands alone


class Given:
    """A generator that draws what it is given."""

    def __init__(self, values):
        self.values = values

    def random(self, n):
        return np.resize(self.values, n)


def test_every_row_that_is_not_alone_comes_once_first_with_another_of_its_prompt():
    rows = np.array([7, 0, 3, 9, 4, 2, 6, 8, 1])  # not all, and in no order
    first, partner = draw_pairs(rows, GROUPS, np.random.default_rng(0))
    assert sorted(first) == sorted(set(rows) - {3})
    assert set(partner) <= set(rows) and (first != partner).all()
    assert np.array_equal(GROUPS[first], GROUPS[partner])


def test_the_share_of_a_uniform_draw_decides_which_of_the_others_is_the_partner():
    """All shares alike: of four rows, thirds of the unit interval make a partner 1, 2 or 3 places on."""
    prompt = [0, 2, 5, 7]
    for share, places in ((0.0, 1), (0.33, 1), (0.34, 2), (0.66, 2), (0.67, 3), (0.999999, 3)):
        pairs = draw_pairs(np.array(prompt), GROUPS, Given([share])).T.tolist()
        assert pairs == [[row, prompt[(i + places) % 4]] for i, row in enumerate(prompt)]


def test_each_of_the_others_is_as_likely():
    """Four rows, 3,000 draws: each of the 12 pairs some 1,000 times, within 5.2 standard errors (1e-6 for
    all 12)."""
    rng, rows = np.random.default_rng(0), np.array([0, 2, 5, 7])
    found = Counter(
        pair for _ in range(3000) for pair in map(tuple, draw_pairs(rows, GROUPS, rng).T.tolist())
    )
    assert len(found) == 12
    assert max(abs(count - 1000) for count in found.values()) < 5.2 * np.sqrt(3000 * 2 / 9)


def test_two_of_a_prompt_are_each_others_partners():
    pairs = draw_pairs(np.array([8, 3, 9]), GROUPS, np.random.default_rng(0))
    assert pairs.tolist() == [[8, 9], [9, 8]]


def test_rows_that_are_all_alone_cannot_be_paired():
    with pytest.raises(BadInput, match="at least two responses"):
        draw_pairs(np.array([0, 1, 3, 8]), GROUPS, np.random.default_rng(0))
