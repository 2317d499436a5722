"""Metrics against labels: closed forms against scikit-learn's on drawn labels."""

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
    assert np.isnan(expected_r2(np.full((2, 3), 0.5), np.ones(3))).all()


def test_a_shift_of_calibration_moves_r2_and_not_auroc():
    whole, third = (score(p[None], REWARD, np.arange(50)) for p in PREDICTIONS[:2])
    assert whole["auroc"].value == pytest.approx(third["auroc"].value)
    assert whole["r2"].value > third["r2"].value + 0.5
