"""Ranking, calibration and decisions against loops over responses and pairs, and scikit-learn."""

import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from simbench.score.ranking import (
    _pairs,
    expected_auroc,
    expected_calibration_error,
    pairwise_accuracy,
    regret,
)

RNG = np.random.default_rng(0)
GAMMA = RNG.uniform(size=40)
GROUPS = RNG.permutation(np.repeat(np.arange(10), 4))  # prompts do not lie together
SCORES = np.round(RNG.uniform(size=(3, 40)), 1)  # with ties


def test_auroc_is_the_sum_over_pairs():
    for row, value in zip(SCORES, expected_auroc(SCORES, GAMMA), strict=True):
        wins = (row[:, None] > row) + 0.5 * (row[:, None] == row)
        weight = GAMMA[:, None] * (1 - GAMMA)
        np.fill_diagonal(weight, 0)
        assert value == pytest.approx((wins * weight).sum() / weight.sum(), abs=1e-12)


def test_auroc_of_sure_rewards_is_scikit_learns():
    sure = (GAMMA > 0.6).astype(float)
    expected = [roc_auc_score(sure, row) for row in SCORES]
    assert expected_auroc(SCORES, sure) == pytest.approx(expected)


def test_auroc_is_the_ratio_of_expectations_over_the_labels():
    """By all 32 labellings of five responses: pairs won over pairs."""
    scores, reward = np.array([0.1, 0.4, 0.4, 0.8, 0.3]), np.array([0.2, 0.9, 0.5, 0.7, 0.1])
    won = total = 0.0
    for labels in product((0, 1), repeat=5):
        chance = math.prod(g if label else 1 - g for g, label in zip(reward, labels, strict=True))
        for i, j in product(range(5), repeat=2):
            if labels[i] == 1 and labels[j] == 0:
                won += chance * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
                total += chance
    assert expected_auroc(scores[None], reward) == pytest.approx([won / total])


def test_auroc_of_a_constant_is_one_half_and_of_the_opposite_order_the_complement():
    assert expected_auroc(np.full((1, 40), 0.3), GAMMA) == pytest.approx([0.5])
    assert expected_auroc(-SCORES, GAMMA) == pytest.approx(1 - expected_auroc(SCORES, GAMMA))


@pytest.mark.parametrize("reward", [np.zeros(4), np.ones(4)])
def test_without_two_classes_there_is_no_auroc(reward):
    found = expected_auroc(RNG.uniform(size=(2, 4)), reward)
    assert found.shape == (2,) and np.isnan(found).all()


def test_pairs_and_regret_are_loops_over_prompts():
    for row, pairs, lost in zip(
        SCORES, pairwise_accuracy(SCORES, GAMMA, GROUPS), regret(SCORES, GAMMA, GROUPS), strict=True
    ):
        right, total, losses = 0.0, 0, []
        for prompt in range(10):
            members = np.flatnonzero(prompt == GROUPS)
            for i, j in combinations(members, 2):
                right += (1 + np.sign(row[i] - row[j]) * np.sign(GAMMA[i] - GAMMA[j])) / 2
                total += 1
            top = members[row[members] == row[members].max()]
            losses.append(GAMMA[members].max() - GAMMA[top].mean())
        assert pairs == pytest.approx(right / total)
        assert lost == pytest.approx(np.mean(losses))


def test_pairs_of_equal_rewards_are_no_pairs_and_ties_count_one_half():
    """Of the first prompt one pair differs in reward and is tied, of the second one is right, one wrong."""
    groups, reward = np.array([5, 5, 2, 2, 2]), np.array([0.1, 0.9, 0.4, 0.4, 0.6])
    scores = np.array([[0.5, 0.5, 0.1, 0.8, 0.3]])
    assert pairwise_accuracy(scores, reward, groups) == pytest.approx([(0.5 + 1 + 0) / 3])


def test_where_no_prompt_has_two_rewards_there_is_no_pairwise_accuracy():
    for groups, reward in ((np.arange(3), np.array([0.1, 0.2, 0.3])), (np.zeros(3), np.full(3, 0.4))):
        found = pairwise_accuracy(RNG.uniform(size=(2, 3)), reward, groups)
        assert found.shape == (2,) and np.isnan(found).all()


def test_unequal_prompts_weigh_by_their_pairs_in_accuracy_and_alike_in_regret():
    groups, reward = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.9, 0.4])
    scores = np.array([[1.0, 2.0, 3.0, 1.0, 2.0]])  # three pairs right, one wrong
    assert pairwise_accuracy(scores, reward, groups) == pytest.approx([3 / 4])
    assert regret(scores, reward, groups) == pytest.approx([(0 + 0.5) / 2])


def test_two_hundred_responses_are_compared_in_all_pairs():
    first, second = _pairs(np.zeros(200))
    assert {*zip(first.tolist(), second.tolist(), strict=True)} == {*combinations(range(200), 2)}
    assert len(first) == 200 * 199 / 2


def test_of_a_larger_prompt_a_fixed_sample_of_pairs_is_compared():
    groups = np.r_[np.full(3, 7), np.full(201, 4), np.full(300, 9)]
    first, second = _pairs(groups)
    assert len(first) == 2 * 20_000 + 3
    assert (groups[first] == groups[second]).all() and (first != second).all()
    for prompt, size in ((4, 201), (9, 300)):
        own = groups[first] == prompt
        assert own.sum() == 20_000
        for side in (first, second, (second - first) % size):
            # 20,000 draws of about 200 to 300 values: every count within 7 standard deviations
            counts = np.unique(side[own], return_counts=True)[1]
            assert len(counts) >= size - 1 and np.ptp(counts) < 14 * np.sqrt(20_000 / size)
    again = _pairs(groups)
    assert np.array_equal(first, again[0]) and np.array_equal(second, again[1])


def test_the_sample_of_pairs_gives_the_share_of_all_pairs():
    """20,000 pairs, standard error below .0036: within five."""
    rng = np.random.default_rng(1)
    reward = rng.random(300)
    scores = reward + rng.normal(0, 0.5, 300)
    pairs = np.array([*combinations(range(300), 2)])
    right = (scores[pairs[:, 0]] > scores[pairs[:, 1]]) == (reward[pairs[:, 0]] > reward[pairs[:, 1]])
    found = pairwise_accuracy(scores[None], reward, np.zeros(300))
    assert found == pytest.approx([right.mean()], abs=0.018)


@pytest.mark.parametrize("m", [7, 15, 30, 47])
def test_calibration_error_is_a_loop_over_bins_of_equal_mass(m):
    """Bins of the sorted predictions begin at the whole part of k m / 15; gaps of one bin cancel."""
    predictions, reward = RNG.uniform(size=(2, m)), RNG.uniform(size=m)
    expected = []
    for row in predictions:
        ranked = sorted(range(m), key=lambda i: row[i])
        edges = [k * m // 15 for k in range(16)]
        bins = [ranked[low:high] for low, high in pairwise(edges) if high > low]
        gaps = [
            len(own) / m * abs(np.mean([row[i] for i in own]) - np.mean([reward[i] for i in own]))
            for own in bins
        ]
        expected.append(sum(gaps))
    assert expected_calibration_error(predictions, reward) == pytest.approx(expected)


def test_calibration_error_of_a_constant_shift_is_the_shift_and_of_the_truth_none():
    found = expected_calibration_error(np.stack([GAMMA, GAMMA - 0.125, GAMMA + 0.25]), GAMMA)
    assert found == pytest.approx([0, 0.125, 0.25], abs=1e-15)


def test_regret_is_none_for_the_truth_and_all_there_is_for_its_opposite():
    best = np.array([GAMMA[prompt == GROUPS].max() for prompt in range(10)])
    worst = np.array([GAMMA[prompt == GROUPS].min() for prompt in range(10)])
    found = regret(np.stack([GAMMA, -GAMMA]), GAMMA, GROUPS)
    assert found == pytest.approx([0, (best - worst).mean()], abs=1e-15)


def test_the_order_of_the_rows_is_nothing_to_any_metric():
    order = RNG.permutation(40)
    for metric in (pairwise_accuracy, regret):
        assert metric(SCORES[:, order], GAMMA[order], GROUPS[order]) == pytest.approx(
            metric(SCORES, GAMMA, GROUPS)
        )
    assert expected_auroc(SCORES[:, order], GAMMA[order]) == pytest.approx(expected_auroc(SCORES, GAMMA))
