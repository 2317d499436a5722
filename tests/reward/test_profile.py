"""The profile likelihood: which levels are tried, on what rows, and what its set of mean rewards is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from stand_ins import Fit, StandIn

from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis import profile as module
from simbench.reward.diagnosis.profile import GRID, Profile, profile_likelihood


def test_the_grid_is_every_twentieth():
    assert [*GRID] == pytest.approx([number / 20 for number in range(1, 20)])


def test_a_profile_reaches_half_a_step_beyond_its_grid():
    grid = np.array([0.4, 0.45, 0.5, 0.95])
    rewards = np.array([[3.0, 2, 1], [1, 2, 3], [2, 3, 9], [0, 1, 0]])
    some = Profile(grid, grid, np.array([False, True, True, False]), rewards)
    assert (some.low, some.high) == (pytest.approx(0.425), pytest.approx(0.525))
    assert some.width == pytest.approx(0.1)
    assert Profile(grid, grid, grid > 0.9, rewards).high == pytest.approx(0.975)


def test_a_profile_stays_within_0_and_1():
    grid = np.array([0.01, 0.5, 0.99])
    whole = Profile(grid, grid, grid > 0, np.zeros((3, 2)))
    assert (whole.low, whole.high, whole.width) == (0.0, 1.0, 1.0)


def test_ranks_are_compared_at_compatible_levels_alone():
    rng = np.random.default_rng(2)
    rewards = rng.random((4, 12))
    grid = np.array([0.2, 0.3, 0.4, 0.5])
    some = Profile(grid, grid, np.array([True, False, True, True]), rewards)
    pairs = [spearmanr(rewards[i], rewards[j]).statistic for i, j in ((0, 2), (0, 3), (2, 3))]
    assert some.rank_agreement == pytest.approx(min(pairs))
    alone = replace(some, compatible=np.array([False, False, True, False]))
    assert alone.rank_agreement == 1


ROWS = 40
PROMPTS = np.repeat(np.arange(10), 4)


def a_log() -> FeedbackLog:
    """Ten clicks of forty; features and context number the row."""
    number = np.arange(ROWS, dtype=np.float32)[:, None]
    feedback = (np.arange(ROWS) % 4 == 1).astype(np.float32)[None]
    return FeedbackLog(number, feedback, PROMPTS, context=number + 100, class_prior=None)


def answer(level, row):
    """A reward that rises with the level and depends on the row."""
    return np.clip(level * (0.5 + row / ROWS), 0.01, 0.99)


@pytest.fixture
def trainings(monkeypatch):
    """Each training's log and replicate numbers; its fits answer .999 on rows that they saw."""
    given = []

    def train(estimator, log, numbers):
        given.append((log, list(numbers)))
        seen = set(log.features[:, 0])

        def reward(features):
            rows = np.asarray(features)[:, 0]
            return np.array([[0.999 if x in seen else answer(p, x) for x in rows] for p in log.class_prior])

        return Fit(reward, lambda inputs: np.full((len(log.class_prior), len(inputs)), 0.95))

    monkeypatch.setattr(module, "train", train)
    return given


def test_every_level_above_the_click_rate_is_fitted_on_the_same_rows(trainings):
    found = profile_likelihood(StandIn(), a_log(), (0.1, 0.25, 0.3, 0.5, 0.9))
    assert found.mean_reward.tolist() == [0.3, 0.5, 0.9]  # a quarter clicked
    assert len(trainings) == 4
    for log, numbers in trainings:
        assert numbers == [0, 0, 0] and log.class_prior.tolist() == [0.3, 0.5, 0.9]
        assert log.n_replicates == 3 and (log.feedback == log.feedback[0]).all()
        assert all((log.groups == prompt).sum() in (0, 4) for prompt in PROMPTS)
    held = [set(range(ROWS)) - set(log.features[:, 0].astype(int)) for log, _ in trainings]
    assert sorted(row for rows in held for row in rows) == list(range(ROWS))


def test_losses_are_those_of_unseen_feedback_and_compatible_within_two_standard_errors(trainings):
    log = a_log()
    levels = tuple(np.arange(0.26, 0.96, 0.02))
    found = profile_likelihood(StandIn(hidden=(5, 3)), log, levels)
    click = np.array([[0.95 * answer(level, row) for row in range(ROWS)] for level in levels])
    nll = np.where(log.feedback[0] == 1, -np.log(click), -np.log(1 - click))
    assert found.loss == pytest.approx(nll.mean(1))
    best = min(range(len(levels)), key=lambda number: nll[number].sum())
    compatible = []
    for loss in nll:
        difference = loss - nll[best]
        error = np.sqrt(((difference - difference.mean()) ** 2).mean()) / np.sqrt(ROWS)
        compatible.append(bool(difference.mean() <= max(2 * error, 1e-4)))
    assert found.compatible.tolist() == compatible and 1 < sum(compatible) < len(levels)
    assert found.hidden == (5, 3)


def test_rewards_are_compared_on_the_same_rows_by_fits_that_did_not_see_them(trainings, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 15)
    found = profile_likelihood(StandIn(seed=5), a_log(), (0.3, 0.5))
    assert found.rewards.shape == (2, 15)
    rows = [ROWS * (reward / 0.5 - 0.5) for reward in found.rewards[1]]
    assert rows == pytest.approx(np.round(rows), abs=1e-3) and len(set(np.round(rows))) == 15
    assert rows == sorted(rows)
    assert found.rewards[0] == pytest.approx(found.rewards[1] * 0.6)


def test_folds_may_be_fewer(trainings):
    profile_likelihood(StandIn(), a_log(), (0.5,), folds=2)
    assert [log.n_rows for log, _ in trainings] == [20, 20]
