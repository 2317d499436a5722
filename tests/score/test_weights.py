"""The effective sample share against sums by hand."""

import numpy as np
import pytest

from simbench.score.weights import effective_sample_share


def test_effective_sample_share_by_hand():
    rows = np.array([[3.0, 1.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 7.0, 0.0]])
    assert effective_sample_share(rows) == pytest.approx([16 / 10 / 2, 1, 1])
    assert effective_sample_share(rows[0]) == pytest.approx(0.8)


def test_effective_sample_share_ignores_the_scale_and_the_zeros():
    weights = np.array([1.0, 2.0, 5.0])
    share = 64 / 30 / 3
    for alike in (weights, 9 * weights, np.r_[0, weights, 0, 0]):
        assert effective_sample_share(alike) == pytest.approx(share)
