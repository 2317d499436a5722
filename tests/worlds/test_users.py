"""Users: who sees what, marginals over users, dependence within users, and what cannot be combined."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import norm

from simbench.errors import BadInput
from simbench.study.simulated import log_table
from simbench.worlds.config import WorldConfig
from simbench.worlds.users import Users, UsersLaw, users_of
from simbench.worlds.world import build

SMALL = WorldConfig().changed(n_features=8, test_size=100)


def world(size=1000, level=1.0, **users):
    return build(SMALL.changed(users=Users(**users)), level, size, 0)


def test_pages_are_dealt_whole_and_as_many_as_said():
    page = np.repeat(np.arange(30), 4)
    user = users_of(page, Users(pages_per_user=7), np.random.default_rng(0))
    seen = [set(page[user == u]) for u in np.unique(user)]
    assert sorted(map(len, seen)) == [2, 7, 7, 7, 7] and set.union(*seen) == set(range(30))
    assert seen[0] != set(range(7))  # at random


def over_users(value: float, spread: float) -> float:
    return quad(lambda u: norm.pdf(u) * expit(logit(value) + spread * u), -12, 12, epsabs=1e-12)[0]


def test_the_true_reward_is_the_mean_over_users():
    plain, lenient = build(SMALL, 1.0, 1000, 0), world(leniency=1.3)
    for row in (0, 7, 400):
        assert lenient.train.reward[row] == pytest.approx(over_users(plain.train.reward[row], 1.3), abs=1e-8)
    assert np.array_equal(world(activity=1.0).train.reward, expit(logit(plain.train.reward)))


def test_users_differ_in_who_acts_and_not_in_how_many():
    for spread in (0.0, 0.5, 2.0):
        train = world(activity=spread).train
        assert train.propensity.mean() == pytest.approx(0.3, abs=1e-9)
    law = world(activity=2.0).train.law
    row, shift = 3, law._shift[0, 0]
    expected = over_users(expit(logit(law.base.propensity[row]) + shift), 2.0)
    assert law.propensity[row] == pytest.approx(expected, abs=1e-6)


def test_without_effects_it_is_the_law_of_a_user():
    law = world().train.law
    assert isinstance(law, UsersLaw)
    assert law.propensity == pytest.approx(law.base.propensity, abs=1e-12)
    assert law.reward == pytest.approx(law.base.reward, abs=1e-12)


def test_careless_users_click_bad_responses_as_good_ones():
    built = world(careless=0.4, size=4000)
    log, truth = built.draw(range(30))
    alpha, bad = np.broadcast_to(built.train.propensity, truth.preference.shape), ~truth.preference
    assert log.feedback[bad].mean() == pytest.approx(0.4 * alpha[bad].mean(), rel=0.05)
    # the users who ever click a bad response are the careless ones: 25 responses each, half of them bad
    ever = [np.bincount(built.train.user, row * b) > 0 for row, b in zip(log.feedback, bad, strict=True)]
    assert np.mean(ever) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize(("effects", "dependent"), [({"leniency": 1.5}, True), ({}, False)])
def test_preferences_of_one_user_depend_on_each_other(effects, dependent):
    """The variance of a user's sum of residuals over the sum of variances: 1 if independent."""
    built = world(size=4000, pages_per_user=4, **effects)
    _, truth = built.draw(range(20))
    residual = truth.preference - built.train.reward
    sums = np.stack([np.bincount(built.train.user, row) for row in residual])
    spread = np.bincount(built.train.user, built.train.reward * (1 - built.train.reward))
    ratio = (sums**2).mean() / spread.mean()
    assert ratio > 3 if dependent else ratio == pytest.approx(1, abs=0.06)


def test_every_replicate_has_users_of_its_own():
    built = world(size=1000, leniency=3.0, pages_per_user=20)
    _, truth = built.draw(range(2))
    one, other = (np.bincount(built.train.user, row - built.train.reward) for row in truth.preference)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.7
    assert np.array_equal(built.draw(range(1, 2))[1].preference[0], truth.preference[1])


def test_what_the_log_knows_of_a_users_activity_is_the_same_on_all_pages():
    log, _ = world(pages_per_user=3).draw(range(1))
    for user in np.unique(log.user)[:20]:
        assert np.ptp(log.context[log.user == user, 0]) == 0
    assert len(np.unique(log.context[:, 0])) == len(np.unique(log.user))


def test_a_simulated_log_names_the_user():
    built = world()
    log, _ = built.draw(range(1))
    assert np.array_equal(log_table(log, built.config).user_id, built.train.user)
    assert "user_id" not in log_table(build(SMALL, 1.0, 1000, 0).draw(range(1))[0], SMALL)


def test_what_users_cannot_be_combined_with_is_said():
    with pytest.raises(BadInput, match="the behaviour cascade cannot have users"):
        SMALL.changed(behaviour="cascade", users=Users())
    twin = SMALL.changed(
        reward={"kind": "ratings", "levels": (0, 1), "shares": (0.5, 0.5), "threshold": 0},
        behaviour="rating",
        users=Users(),
    )
    with pytest.raises(BadInput, match="cannot yet act on ratings that are drawn"):
        build(twin, 0.5, 100, 0)


def test_a_setting_of_users_makes_users():
    assert SMALL.changed(leniency=0.5).users == Users(leniency=0.5)
    assert SMALL.changed(leniency=0.5).changed(users=None).users is None
