"""Worlds: what is drawn, and that it depends on what it should depend on."""

import numpy as np
import pytest
from scipy.stats import norm

from simbench.errors import BadInput
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def test_a_replicate_is_the_same_in_any_range(small_world):
    alone, _ = small_world.draw(range(3, 4))
    among, _ = small_world.draw(range(6))
    assert np.array_equal(alone.feedback[0], among.feedback[3])
    assert not np.array_equal(among.feedback[2], among.feedback[3])


def test_responses_do_not_depend_on_the_bias_level():
    low, high = (build(PRESETS["shared"], level, 1000, 3) for level in (0.0, 2.0))
    assert np.array_equal(low.train.features, high.train.features)
    assert np.array_equal(low.train.reward, high.train.reward)
    assert not np.allclose(low.train.propensity, high.train.propensity)


def test_context_is_logged_only_where_the_propensity_reads_it():
    assert build(PRESETS["exclusive"], 1, 500, 0).train.context is not None
    assert build(PRESETS["shared"], 1, 500, 0).train.context is None


@pytest.mark.parametrize("name", PRESETS)
def test_feedback_has_its_expectation(name):
    """Mean feedback over 40 draws; normal bound with family-wise error 1e-6 over the presets."""
    world = build(PRESETS[name], 0.6, 4000, 1)
    log, truth = world.draw(range(40))
    eps = world.config.misclick
    p = world.train.propensity * (truth.reward + (1 - truth.reward) * eps)
    error = np.sqrt((p * (1 - p)).sum() / 40) / len(p)
    assert abs(log.feedback.mean() - p.mean()) < norm.isf(1e-6 / len(PRESETS) / 2) * error
    assert world.realised()["positive_rate"] == pytest.approx(world.config.base_rate, abs=1e-9)
    assert world.realised()["action_rate"] == pytest.approx(world.config.action_rate, abs=1e-6)
    if eps == 0:
        assert not (log.feedback.astype(bool) & ~truth.preference).any()
    else:
        assert (log.feedback.astype(bool) & ~truth.preference).any()


def test_no_global_randomness_is_used():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    build(PRESETS["rating"], 0.5, 500, 0).draw(range(2))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_impossible_worlds_are_refused():
    with pytest.raises(BadInput, match="must not be negative"):
        build(PRESETS["shared"], -1, 500, 0)
    with pytest.raises(BadInput, match="at least 10"):
        build(PRESETS["shared"], 1, 3, 0)
