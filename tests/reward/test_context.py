"""The test that the context moves clicks: right level, power, and what it must not depend on."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis import context as module
from simbench.reward.diagnosis.context import ContextTest, context_test
from simbench.reward.diagnosis.diagnose import NOT_IDENTIFIED, diagnose
from simbench.worlds.world import world


def log_of(seed: int, moved: float = 0.0, by_prompt: bool = False, n: int = 600) -> FeedbackLog:
    """Clicks by features, and by the first column of the context as far as ``moved``."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n // 3), 3)
    features = rng.standard_normal((n, 4)).astype(np.float32)
    context = rng.standard_normal((n, 2)).astype(np.float32)
    if by_prompt:
        context = context[groups]
    of_prompt = rng.standard_normal(n // 3)[groups]  # clicks of one prompt depend on each other
    logit = features[:, 0] + of_prompt + moved * context[:, 0] - 1
    clicks = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return FeedbackLog(features, clicks[None], groups, context)


@pytest.mark.parametrize("by_prompt", [False, True])
def test_p_values_are_uniform_where_the_context_moves_nothing(by_prompt):
    """Fixed seeds; a right test fails this with probability .001, an i.i.d. one where prompts depend."""
    found = [context_test(log_of(seed, by_prompt=by_prompt)).p_value for seed in range(150)]
    assert kstest(found, "uniform").pvalue > 1e-3


def test_what_moves_clicks_is_found():
    assert np.mean([context_test(log_of(seed, moved=0.8)).moves for seed in range(20)]) >= 0.9
    found = context_test(log_of(1, moved=1.5, by_prompt=True))
    assert found.moves and found.n_clusters == 200 and found.n_directions == 4


def test_a_symmetric_effect_is_found_by_the_square():
    log = log_of(0)
    assert log.context is not None
    rng = np.random.default_rng(1)
    clicks = (rng.random(log.n_rows) < 0.1 + 0.5 * (np.abs(log.context[:, 1]) > 1)).astype(np.float32)
    assert context_test(log.with_feedback(clicks[None])).p_value < 1e-6


def test_scales_and_shifts_of_columns_change_nothing():
    log = log_of(3, moved=0.3)
    assert log.context is not None
    moved = replace(log, context=np.asarray(log.context) * 1000 + 5, features=np.asarray(log.features) * 7)
    assert context_test(moved).p_value == pytest.approx(context_test(log).p_value, rel=1e-3)


def test_a_context_that_says_what_features_say_moves_nothing_more():
    log = log_of(4, moved=1.0)
    x = np.asarray(log.features)
    copied = replace(log, context=x[:, :1].copy())
    assert context_test(replace(copied, features=np.c_[x, x**2])).p_value == 1
    constant = replace(log, context=np.ones((log.n_rows, 2), dtype=np.float32))
    assert context_test(constant) == ContextTest(1.0, 600, 200, 0)
    with pytest.raises(BadInput, match="no context"):
        context_test(replace(log, context=None))


def test_of_a_large_log_whole_prompts_are_tested(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 300)
    log = log_of(5, moved=1.0)
    found = context_test(log, seed=1)
    assert found.n_rows == 300 and found.n_clusters == 100
    assert found != context_test(log, seed=2) and found == context_test(log, seed=1)


def test_noise_named_as_context_certifies_nothing():
    log, _ = world("shared", bias_level=2, size=1500, seed=3).draw(range(1))
    noise = np.random.default_rng(0).standard_normal((log.n_rows, 2)).astype(np.float32)
    found = diagnose(replace(log, context=noise), advise=False, epochs=5)
    assert found.context is not None and found.verdict == NOT_IDENTIFIED
    assert found.summary.startswith("What was named as context does not move clicks (p = ")
    labels = np.full((1, log.n_rows), np.nan, dtype=np.float32)
    labels[0, :50] = 1
    told = diagnose(replace(log, context=noise, labels=labels), advise=False, epochs=2)
    assert told.context is None  # labels identify the reward without it
