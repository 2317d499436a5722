"""A log refuses what cannot be used, and has no way to the truth."""

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog

X = np.ones((4, 2), dtype=np.float32)
R = np.array([[0, 1, 0, 1]], dtype=np.float32)
G = np.arange(4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.full((4, 2), np.nan)}, "not finite .* row 0, column 0"),
        ({"features": np.ones((0, 2))}, "empty"),
        ({"feedback": R[:, :3]}, "feedback has 3 rows but features has 4"),
        ({"feedback": 2 * R}, "feedback must be 0 or 1, got 2.0 in row 1"),
        ({"feedback": 0 * R}, "all zero"),
        ({"feedback": 0 * R + 1}, "all one"),
        ({"groups": G[:2]}, "groups has 2 rows"),
        ({"propensity": np.array([0.5, 0.0, 0.5, 1.0])}, r"propensity .* got 0.0 in row 1"),
        ({"class_prior": 1.0}, "class_prior"),
        ({"labels": np.full((1, 4), 0.5)}, "labels must be"),
        ({"signals": R[:, None, :3]}, r"signals must have shape \(1, signals, 4\)"),
        ({"signals": 2 * R[:, None]}, "signals must be 0 or 1"),
        ({"signals": 1 - R[:, None]}, "first of the signals must be the feedback"),
        ({"signals": R[:, None], "negative_signals": (0,)}, "after the first"),
    ],
)
def test_bad_input_is_one_sentence(changes, message):
    with pytest.raises(BadInput, match=message):
        FeedbackLog(**({"features": X, "feedback": R, "groups": G} | changes))


def test_a_log_holds_nothing_of_the_truth(small_world):
    log, truth = small_world.draw(range(2))
    held = [value for value in vars(log).values() if isinstance(value, np.ndarray)]
    for secret in (truth.reward, truth.propensity, truth.preference):
        assert not any(np.shares_memory(secret, value) for value in held)
    assert log.signals is None
    assert log.propensity is None and log.class_prior is None and log.labels is None
