"""A few labels: unbiased whatever the predictions are, at the level, and drawn where they help."""

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.reward.labels.choose import draw_labels, label_probabilities
from simbench.reward.labels.powered import powered_calibration, powered_mean
from simbench.reward.labels.predict import unseen_rewards
from simbench.worlds.world import world

N = 3000
CLUSTERS = np.arange(N) // 3


def drawn(seed: int, right: bool = True, spread: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Preferences and predictions of them, right or of the wrong sign."""
    rng = np.random.default_rng(seed)
    reward = 1 / (1 + np.exp(-rng.normal(0, spread, N)))
    return (rng.random(N) < reward).astype(float), reward if right else 1 - reward


def some(good: np.ndarray, chance: np.ndarray, seed: int) -> np.ndarray:
    return np.where(draw_labels(chance, seed), good, np.nan)


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("mixed", [1.0, 0.3])
def test_intervals_cover_whatever_the_predictions_are(right, mixed):
    """300 draws, fixed seeds; a right interval of level .95 covers fewer than 270 with probability .0003."""
    covered, worth = 0, []
    for seed in range(300):
        good, prediction = drawn(seed, right)
        chance = label_probabilities(prediction, 200, mixed)
        found = powered_mean(some(good, chance, seed), prediction, CLUSTERS, chance)
        low, high = found.powered.interval()
        covered += low <= 0.5 <= high
        worth.append(found.worth)
    assert covered >= 270
    assert np.mean(worth) > 1.3  # also with the wrong sign: their weight is tuned


def test_useless_predictions_cost_nothing():
    good, _ = drawn(0)
    noise = np.random.default_rng(1).random(N)
    chance = np.full(N, 0.1)
    assert powered_mean(some(good, chance, 0), noise, CLUSTERS, chance).worth > 0.95


def test_labels_of_everything_are_their_mean():
    good, prediction = drawn(0)
    found = powered_mean(good, prediction, np.arange(N), np.ones(N))
    assert found.powered.value == pytest.approx(good.mean())
    assert found.powered.error == pytest.approx(good.std() / np.sqrt(N), rel=1e-2)


def test_unequal_probabilities_must_be_told():
    """Labels drawn mostly where the reward is high: unbiased with their probabilities, not without."""
    good, prediction = drawn(3)
    chance = np.where(prediction > 0.5, 0.4, 0.05)
    labels = some(good, chance, 1)
    flat = np.zeros(N)
    told, alike = (powered_mean(labels, flat, CLUSTERS, c).alone for c in (chance, None))
    assert abs(told.value - good.mean()) < 3 * told.error
    assert alike.value - good.mean() > 10 * alike.error


def test_labels_where_unsure_err_less():
    """By the variance, and by the mean squared errors of 400 draws each, fixed seeds."""
    good, prediction = drawn(5, spread=8)
    alike, unsure = (label_probabilities(prediction, 150, mixed) for mixed in (1.0, 0.3))
    doubt = prediction * (1 - prediction)
    assert ((1 / unsure - 1) * doubt).mean() < 0.65 * ((1 / alike - 1) * doubt).mean()
    errors = []
    for mixed in (1.0, 0.3):
        chance = label_probabilities(prediction, 150, mixed)
        values = [
            powered_mean(some(good, chance, seed), prediction, CLUSTERS, chance).powered.value
            for seed in range(400)
        ]
        errors.append(np.mean((np.array(values) - good.mean()) ** 2))
    assert errors[1] < 0.85 * errors[0]


def test_calibration_by_labels_finds_a_reward_that_is_off():
    p_right, p_off = [], []
    for seed in range(60):
        good, prediction = drawn(seed)
        labels = some(good, np.full(N, 0.1), seed)
        p_right.append(powered_calibration(labels, prediction, prediction, CLUSTERS).p_value)
        p_off.append(powered_calibration(labels, prediction**2, prediction, CLUSTERS).p_value)
    # fixed seeds; of 60 uniform p-values 11 or more lie below .05 with probability .0002
    assert np.sum(np.array(p_right) < 0.05) <= 10 and np.mean(np.array(p_off) < 0.05) > 0.9
    # half of them lie below .5: fewer or more than this with probability .0006
    assert 0.28 < np.mean(np.array(p_right) < 0.5) < 0.72
    good, prediction = drawn(0)
    found = powered_calibration(some(good, np.full(N, 0.1), 0), prediction, prediction, CLUSTERS)
    assert len(found.found) == len(found.predicted) == 5 and (np.diff(found.predicted) > 0).all()


def test_labels_that_all_agree_leave_doubt():
    labels = np.where(np.arange(N) % 100 == 0, 1.0, np.nan)
    found = powered_mean(labels, np.zeros(N), CLUSTERS)
    low, _ = found.powered.interval()
    assert 0.8 < low < 0.97 and found.powered.value == pytest.approx(1)


def test_equal_rewards_are_one_bin():
    good, prediction = drawn(0)
    labels = some(good, np.full(N, 0.1), 0)
    assert len(powered_calibration(labels, np.full(N, 0.5), prediction, CLUSTERS).found) == 1


def test_probabilities_add_up_and_follow_doubt():
    chance = label_probabilities(np.array([0.5, 0.1, 0.0, 1.0]), 2, 0.2)
    assert chance.sum() == pytest.approx(2) and chance.max() <= 1
    assert chance[0] > chance[1] > chance[2] == chance[3] > 0
    np.testing.assert_allclose(label_probabilities(np.array([0.0, 1.0]), 1), 0.5)
    np.testing.assert_allclose(label_probabilities(np.array([0.3, 0.5, 0.9]), 3), 1.0)
    with pytest.raises(BadInput, match="number of labels"):
        label_probabilities(np.array([0.5]), 2)
    with pytest.raises(BadInput, match="spread evenly"):
        label_probabilities(np.array([0.5]), 1, 0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": np.full(N, np.nan)}, "at least 30"),
        ({"labels": np.full(N, 0.5)}, "must be 0, 1"),
        ({"predictions": np.full(N, np.inf)}, "finite"),
        ({"probability": np.zeros(N)}, "must lie in"),
    ],
)
def test_what_is_no_sample_of_labels_is_refused(change, said):
    good, prediction = drawn(0)
    given = {"labels": good, "predictions": prediction, "clusters": CLUSTERS}
    with pytest.raises(BadInput, match=said):
        powered_mean(**given | change)


def test_clicks_make_a_response_good_unless_misclicked():
    log, truth = world("exclusive", bias_level=2, size=600, seed=1).draw(range(1))
    reward, posterior = unseen_rewards(log, hidden=(), epochs=30)
    clicked = log.feedback[0] == 1
    np.testing.assert_allclose(posterior[clicked], 1.0)
    assert (posterior[~clicked] <= reward[~clicked] + 1e-9).all()
    assert np.corrcoef(posterior, truth.preference[0])[0, 1] > np.corrcoef(reward, truth.preference[0])[0, 1]
