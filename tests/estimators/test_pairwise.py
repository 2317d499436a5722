"""Pairwise losses: expectations over both clicks, and witnesses from the papers in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from simbench_estimators.pairwise import BPR, CUBPR, UBPR, UPL

from simbench.estimator.registry import find
from simbench.score.risk import Probe, expected_loss, ideal_pair_loss
from simbench.training.pairs import draw_pairs
from simbench.training.samples import Batch, Outputs
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

UNIT = st.floats(0.02, 0.98)
LOGIT = st.floats(-8, 8)


def situation(s, gamma, alpha, q):
    tensors = [torch.tensor(v, dtype=torch.float64) for v in (s, gamma, alpha, alpha, alpha, q)]
    return Probe(*tensors)


pair = st.tuples


@given(pair(LOGIT, LOGIT), pair(UNIT, UNIT), pair(UNIT, UNIT), pair(LOGIT, LOGIT))
def test_ubpr_is_exactly_unbiased_at_the_true_propensity(s, gamma, alpha, q):
    at = situation(s, gamma, alpha, q)
    assert torch.allclose(expected_loss(UBPR(), at), ideal_pair_loss(at.hypothesis, at.reward), atol=1e-11)


@given(pair(LOGIT, LOGIT), pair(UNIT, UNIT), pair(UNIT, UNIT))
def test_upl_is_exactly_unbiased_where_the_pointwise_relevance_is_right(s, gamma, alpha):
    at = situation(s, gamma, alpha, [float(np.log(g / (1 - g))) for g in gamma])
    assert torch.allclose(expected_loss(UPL(), at), ideal_pair_loss(at.hypothesis, at.reward), atol=1e-11)


@given(pair(LOGIT, LOGIT), pair(UNIT, UNIT), pair(UNIT, UNIT))
def test_bpr_has_the_bias_of_taking_a_missing_click_for_a_dislike(s, gamma, alpha):
    at = situation(s, gamma, alpha, (0.0, 0.0))
    p = np.array(gamma) * np.array(alpha)
    gap = s[0] - s[1]
    expected = p[0] * (1 - p[1]) * np.logaddexp(0, -gap) + p[1] * (1 - p[0]) * np.logaddexp(0, gap)
    assert expected_loss(BPR(), at).item() == pytest.approx(expected, abs=1e-11)


def test_the_weights_are_those_of_the_papers():
    """Witness: NumPy."""
    rng = np.random.default_rng(0)
    s, q = rng.normal(size=(2, 60))
    alpha, r = rng.uniform(0.02, 0.9, 60), (rng.random(60) < 0.5).astype(float)
    tensors = [torch.as_tensor(v) for v in (s, q, alpha, r)]
    out, batch = Outputs(tensors[0], imputation=tensors[1]), Batch(tensors[3], tensors[3], tensors[2])
    i, j = slice(30), slice(30, 60)

    def total(weight):
        forward = weight(i, j) * np.logaddexp(0, -(s[i] - s[j]))
        return forward + weight(j, i) * np.logaddexp(0, -(s[j] - s[i]))

    clipped = np.maximum(alpha, 0.1)
    g = expit(q)
    cases = {
        BPR: lambda a, b: r[a] * (1 - r[b]),
        UBPR: lambda a, b: r[a] / alpha[a] * (1 - r[b] / alpha[b]),
        CUBPR: lambda a, b: np.maximum(r[a] / clipped[a] * (1 - r[b] / clipped[b]), 0),
        UPL: lambda a, b: r[a] / alpha[a] * (1 - r[b]) * (1 - g[b]) / (1 - g[b] * alpha[b]),
    }
    for kind, weight in cases.items():
        assert np.allclose(kind().reward_loss(out, batch), total(weight), atol=1e-10), kind


def test_partners_are_others_of_the_same_prompt_uniformly():
    groups = np.array([0] * 4 + [1] + [2] * 3)
    rng = np.random.default_rng(0)
    counts = np.zeros((8, 8))
    for _ in range(6000):
        first, second = draw_pairs(np.arange(8), groups, rng)
        assert set(first) == {0, 1, 2, 3, 5, 6, 7}  # row 4 is alone
        counts[first, second] += 1
    expected = (groups[:, None] == groups) & ~np.eye(8, dtype=bool)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    uniform = expected / np.maximum(expected.sum(1, keepdims=True), 1)
    # 5 standard errors at 6,000 draws: false alarms below 1e-5 over all cells
    assert np.abs(share - uniform).max() < 5 * 0.5 / np.sqrt(6000)


@pytest.mark.parametrize("name", ["bpr", "ubpr", "cubpr", "upl"])
def test_trained_on_biased_clicks_each_ranks_within_prompts_far_better_than_chance(name):
    world = build(PRESETS["exclusive"], 1.0, 4000, 0)
    log, truth = world.draw(range(2))
    log = type(log)(log.features, log.feedback, log.groups, log.context, truth.propensity)
    scores = find(name)(epochs=25).fit_replicates(log).predict(world.test.features)
    first, second = draw_pairs(np.arange(len(world.test.groups)), world.test.groups, np.random.default_rng(0))
    better = world.test.reward[first] > world.test.reward[second]
    right = ((scores[:, first] > scores[:, second]) == better).mean()
    assert right > 0.65
