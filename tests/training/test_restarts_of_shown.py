"""Restarts are compared on what was shown."""

import numpy as np

from simbench.training.restarts import indistinguishable


def test_fits_are_compared_on_the_responses_that_were_shown():
    rng = np.random.default_rng(0)
    losses = rng.gamma(2, size=(6, 4, 30)) + np.linspace(0, 0.6, 4)[:, None]
    shown = rng.random((6, 1, 30)) < 0.6
    alone = [
        indistinguishable(own[None][:, :, there[0]])[0] for own, there in zip(losses, shown, strict=True)
    ]
    found = indistinguishable(losses, shown)
    assert np.array_equal(found, alone) and not np.array_equal(found, indistinguishable(losses))
    assert 6 < found.sum() < 24
