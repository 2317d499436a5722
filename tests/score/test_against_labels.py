"""Metrics against labels: closed forms against scikit-learn's on drawn labels."""

import math
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from simbench.score.labels import expected_brier, expected_mae, expected_r2
from simbench.score.moments import score

RNG = np.random.default_rng(0)
REWARD = RNG.uniform(0, 1, 50)
PREDICTIONS = np.stack([REWARD, 0.3 * REWARD, RNG.uniform(0, 1, 50)])


def test_the_closed_forms_are_the_means_over_labels():
    """20,000 draws of 50 labels, standard errors below .0006; R² as the ratio of its two means."""
    labels = (RNG.random((20_000, 50)) < REWARD).astype(float)
    for p, brier, mae, r2 in zip(
        PREDICTIONS,
        expected_brier(PREDICTIONS, REWARD),
        expected_mae(PREDICTIONS, REWARD),
        expected_r2(PREDICTIONS, REWARD),
        strict=True,
    ):
        squared = ((labels - p) ** 2).mean()
        assert brier == pytest.approx(squared, abs=0.003)
        assert mae == pytest.approx(np.abs(labels - p).mean(), abs=0.003)
        assert r2 == pytest.approx(1 - squared / labels.var(1).mean(), abs=0.01)


def test_the_closed_forms_are_sums_over_all_labellings():
    """Of six responses: 64 labellings, exactly."""
    reward, predictions = REWARD[:6], PREDICTIONS[:, :6]
    squared = absolute = spread = 0.0
    for labels in product((0, 1), repeat=6):
        chance = math.prod(g if label else 1 - g for g, label in zip(reward, labels, strict=True))
        error = np.array(labels) - predictions
        squared, absolute = squared + chance * (error**2).mean(1), absolute + chance * abs(error).mean(1)
        spread += chance * np.var(labels)
    assert expected_brier(predictions, reward) == pytest.approx(squared)
    assert expected_mae(predictions, reward) == pytest.approx(absolute)
    assert expected_r2(predictions, reward) == pytest.approx(1 - squared / spread)


def test_at_sure_rewards_they_are_scikit_learns():
    sure = (REWARD > 0.5).astype(float)
    for p, r2, mae in zip(
        PREDICTIONS, expected_r2(PREDICTIONS, sure), expected_mae(PREDICTIONS, sure), strict=True
    ):
        assert r2 == pytest.approx(r2_score(sure, p))
        assert mae == pytest.approx(mean_absolute_error(sure, p))
        found = score(p[None], sure, np.arange(50))
        assert found["rmse"].value == pytest.approx(root_mean_squared_error(sure, p))
        assert (found["r2"].value, found["mae"].value) == pytest.approx((r2, mae))


def test_where_labels_cannot_differ_there_is_no_r2():
    for reward in (np.ones(3), np.zeros(3), np.full(1, 0.4)):
        found = expected_r2(np.full((2, len(reward)), 0.5), reward)
        assert found.shape == (2,) and np.isnan(found).all()


def test_labels_that_all_but_cannot_differ_have_an_r2():
    """One response of a million is good by a chance of 1e-3: a variance of 1e-9."""
    reward = np.zeros(1000)
    reward[0] = 1e-3
    brier, spread = 1e-6 * (1 - 1e-3), 1e-6 * (1 - 1e-3)  # to 1e-3 of it
    assert expected_r2(np.zeros((1, 1000)), reward) == pytest.approx([1 - brier / spread], abs=2e-3)


def test_a_shift_of_calibration_moves_r2_and_not_auroc():
    whole, third = (score(p[None], REWARD, np.arange(50)) for p in PREDICTIONS[:2])
    assert whole["auroc"].value == pytest.approx(third["auroc"].value)
    assert whole["r2"].value > third["r2"].value + 0.5
