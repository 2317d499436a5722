"""How far the propensity may be from the fitted one: by hand, and where the truth is known."""

from itertools import pairwise

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.reward.bounds.report import Comparison, of_sensitivity
from simbench.reward.bounds.sensitivity import Sensitivity

REWARD, ALPHA = np.tile([0.2, 0.5, 0.8], 400), np.tile([0.5, 0.3, 0.6, 0.2], 300)


def centre(factor: np.ndarray | float = 1.0, seed: int = 0) -> Sensitivity:
    """Clicks of a known reward and propensity, and a propensity whose odds are wrong by a factor."""
    rng = np.random.default_rng(seed)
    clicks = (rng.random(len(REWARD)) < REWARD * ALPHA).astype(np.float32)
    odds = ALPHA / (1 - ALPHA) * factor
    log = FeedbackLog(np.ones((len(REWARD), 1), np.float32), clicks[None], np.arange(len(REWARD)) // 3)
    return Sensitivity.of(log, REWARD * ALPHA, odds / (1 + odds))


def test_scores_by_hand():
    clicks, p = np.tile([1.0, 0.0, 1.0, 1.0], 25), np.tile([0.1, 0.1, 0.6, 0.01], 25)
    against = np.tile([3.0, 3.0, 3.0, 40.0], 25)
    low, high = Sensitivity(clicks, p, against, np.arange(100)).scores(2.0)
    # 1 + 3/2; cut where p/α would exceed 1; and at √100
    np.testing.assert_allclose(low[:4], [2.5, 0, 1 / 0.6, 10])
    # 1 + 3 · 2; 1 where p (1 + Γ w) exceeds it, and where the weight exceeds √100
    np.testing.assert_allclose(high[:4], [7.0, 0, 1.0, 1.0])


def test_at_the_true_odds_ratio_the_mean_is_covered():
    """200 logs, fixed seeds; a right set of level .95 covers fewer than 178 with probability .0005."""
    factor = np.where(REWARD > 0.4, 0.5, 2.0)  # against the reward: the worst of Γ = 2
    sets = [[centre(factor, seed).mean(g).interval() for g in (1.0, 2.0)] for seed in range(200)]
    covered = np.array([[low <= REWARD.mean() <= high for low, high in one] for one in sets])
    assert covered[:, 1].sum() >= 178 and covered[:, 0].mean() < 0.5


def test_the_set_grows_from_the_fit_to_clicks_alone():
    found = centre()
    sets = [found.mean(gamma) for gamma in (1.0, 1.5, 3.0, 1e9)]
    assert all(a.low.value >= b.low.value and a.high.value <= b.high.value for a, b in pairwise(sets))
    assert sets[-1].low.value == pytest.approx(found.feedback.mean()) and sets[-1].high.value == 1.0


def test_a_conclusion_turns_where_its_limit_does():
    found = centre()
    turned = found.above(0.35)
    assert 1 < turned < 10
    assert found.mean(turned).low.at_least() == pytest.approx(0.35, abs=1e-4)
    assert found.above(0.9) == 0.0 and found.above(0.1) == float("inf")


def test_the_better_group_stays_better_up_to_an_odds_ratio():
    found, is_first = centre(), REWARD > 0.4
    turned = found.better(is_first)
    assert 1 < turned < 5
    assert found.difference(is_first, turned).at_least() == pytest.approx(0, abs=1e-4)
    assert found.better(~is_first) == 0.0
    with pytest.raises(BadInput, match="both groups"):
        found.better(np.ones(len(REWARD), dtype=bool))


def test_the_better_group_by_the_fit_is_tested_on_both_sides():
    found, second = centre(), REWARD < 0.4
    rows = dict(of_sensitivity(found, np.arange(len(REWARD)), None, Comparison("bad", "good", second)))
    assert rows["good better than bad"].endswith(f"{found.better(~second, level=0.975):.2f}")
    assert "pairs of a prompt that keep order" not in rows  # every prompt has one response


def test_pairs_turn_where_their_rewards_meet():
    p, w = np.array([0.3, 0.2, 0.3, 0.1]), np.array([1.0, 1.0, 0.0, 1.0])
    found = Sensitivity(np.array([1.0, 0, 1, 0]), p, w, np.arange(4))
    (first,) = found.turning(np.array([0, 0, 1, 2]))
    assert p[0] * (1 + w[0] / first) == pytest.approx(p[1] * (1 + first * w[1])) and first > 1
    # .3 for certain against .1 (1 + Γ): Γ = 2; certain on both sides: never
    assert found.turning(np.array([0, 1, 2, 2])) == pytest.approx([2.0])
    never = Sensitivity(np.ones(2), np.array([0.3, 0.2]), np.zeros(2), np.arange(2))
    assert np.isinf(never.turning(np.zeros(2))).all()
    equal = Sensitivity(np.ones(2), np.array([0.3, 0.3]), np.ones(2), np.arange(2))
    assert len(equal.turning(np.zeros(2))) == 0


def test_what_the_model_does_not_hold_is_refused():
    log = FeedbackLog(
        np.ones((40, 1), np.float32),
        np.tile([0, 1], 20).astype(np.float32)[None],
        np.arange(40),
        misclick=0.1,
    )
    with pytest.raises(BadInput, match="misclicks"):
        Sensitivity.of(log, np.full(40, 0.5), np.full(40, 0.5))
