"""Streams depend on every one of their axes, on their order and kind, and on nothing else.

The seeds written out are SHA-256 of the JSON of the axes: first 16 bytes, least significant first.
"""

import hashlib

import numpy as np

from simbench.streams import seed_of, stream


def test_the_seed_is_the_digest_of_the_axes():
    written = hashlib.sha256(b'[3, "feedback", "exclusive", 7]').hexdigest()
    by_hand = sum(int(written[2 * i : 2 * i + 2], 16) * 256**i for i in range(16))
    assert seed_of(3, "feedback", "exclusive", 7) == by_hand
    assert seed_of(0, "a") == 41434789243500352640531497866430523722


def test_every_axis_counts_and_so_does_their_order():
    axes = [
        (0, "a", 1),
        (1, "a", 0),
        ("a", 0, 1),
        (0, "b", 1),
        (0, "a", 2),
        (0, "a"),
        (0, "a", "1"),
        (0, "a", 1.5),
    ]
    assert len({seed_of(*each) for each in axes}) == len(axes)
    first = {stream(*each).random() for each in axes}
    assert len(first) == len(axes)


def test_equal_axes_give_equal_draws():
    assert np.array_equal(stream(0, "a").random(5), stream(0, "a").random(5))
    assert np.array_equal(stream(0, "a").random(5), np.random.default_rng(seed_of(0, "a")).random(5))
