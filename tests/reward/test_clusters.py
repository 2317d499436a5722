"""Intervals clustered by user: against the sandwich by hand, and against users drawn again and again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.reward.clusters import clustered_covariance
from simbench.reward.intervals import (
    at_estimate,
    bootstrap_intervals,
    information_intervals,
    maximum_likelihood,
    model_at,
)
from simbench.score.bound import ParametricModel, logistic, parameter_covariance
from simbench.worlds.config import WorldConfig
from simbench.worlds.users import Users
from simbench.worlds.world import build


def model(n: int) -> ParametricModel:
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.standard_normal((n, 2)))
    alpha = torch.as_tensor(rng.uniform(0.2, 0.9, (n, 1)))
    theta = torch.tensor([0.5, -0.3, 0.1], dtype=torch.float64)
    return ParametricModel(logistic, lambda eta, a: a[0], theta, theta[:0], x, alpha)


def test_it_is_the_sandwich_computed_by_hand():
    n, at = 240, model(240)
    users = np.random.default_rng(1).integers(0, 60, n)
    clicks = np.random.default_rng(2).integers(0, 2, n).astype(float)
    x = np.column_stack([at.reward_inputs.numpy(), np.ones(n)])
    gamma = 1 / (1 + np.exp(-x @ at.theta.numpy()))
    alpha = at.propensity_inputs.numpy()[:, 0]
    p, gradient = gamma * alpha, (alpha * gamma * (1 - gamma))[:, None] * x
    information = gradient.T @ (gradient / (p * (1 - p))[:, None])
    scores = ((clicks - p) / (p * (1 - p)))[:, None] * gradient
    meat = np.zeros((3, 3))
    names = np.unique(users)
    for user in names:
        total = scores[users == user].sum(0)
        meat += np.outer(total, total)
    inverse = np.linalg.inv(information)
    expected = inverse @ meat @ inverse * len(names) / (len(names) - 1)
    found = clustered_covariance(at, clicks, users, knows_propensity=True)
    assert found.numpy() == pytest.approx(expected, rel=1e-9)


def test_the_names_of_users_do_not_matter():
    at, users = model(120), np.arange(120) % 40
    clicks = (np.arange(120) % 3 == 0).astype(float)
    one = clustered_covariance(at, clicks, users, knows_propensity=True)
    other = clustered_covariance(at, clicks, 10**12 - 7 * users, knows_propensity=True)
    assert torch.equal(one.diag(), other.diag()) or torch.allclose(one, other, rtol=1e-12)


def test_few_users_are_refused():
    at = model(90)
    with pytest.raises(BadInput, match="29 users: intervals clustered by user need at least 30"):
        clustered_covariance(at, np.zeros(90), np.arange(90) % 29, knows_propensity=True)


def test_no_covariance_where_the_information_is_singular():
    at = model(100)
    same = replace(at, reward_inputs=torch.ones_like(at.reward_inputs))
    assert clustered_covariance(same, np.zeros(100), np.arange(100), knows_propensity=True) is None
    assert parameter_covariance(same, knows_propensity=True) is None


@pytest.fixture(scope="module")
def lenient():
    """Forty logs of users who differ in leniency, with the fits of each."""
    config = WorldConfig().changed(
        n_features=3, test_size=100, users=Users(pages_per_user=10, leniency=1.5), action_rate=0.6
    )
    world = build(config, 0.5, 1500, 0)
    log, _ = world.draw(range(40))
    log = replace(log, propensity=world.train.propensity)
    return world, log, maximum_likelihood(log).predict(log.features)


def intervals(lenient, number: int, by_user: bool):
    world, logs, rewards = lenient
    log = logs.replicates(slice(number, number + 1))
    log = log if by_user else replace(log, user=None)
    fitted = model_at(log, rewards[number], log.propensity)
    return at_estimate(fitted, log, np.asarray(world.test.features)[:20], 0.9)


def test_by_user_the_mean_is_covered_and_by_rows_it_is_not(lenient):
    """Binomial(40, .9): fewer than 31 has probability .005; the error of rows is about twice too small."""
    truth = lenient[0].train.reward.mean()
    covered = {}
    for by_user in (False, True):
        found = [intervals(lenient, number, by_user) for number in range(40)]
        covered[by_user] = sum(one.mean_low <= truth <= one.mean_high for one in found)
    assert covered[True] >= 31 and covered[False] <= 28
    assert covered[True] > covered[False] + 5


def test_a_log_without_users_has_intervals_by_rows(lenient):
    by_rows, by_user = (intervals(lenient, 0, by) for by in (False, True))
    assert (
        by_user.mean == by_rows.mean
        and (by_user.high - by_user.low).mean() > 1.2 * (by_rows.high - by_rows.low).mean()
    )


def test_the_bootstrap_refuses_a_log_with_users(lenient):
    world, logs, _ = lenient
    log = logs.replicates(slice(0, 1))
    with pytest.raises(BadInput, match="clicks of one user are not independent"):
        bootstrap_intervals(find("implicitrm-known")(), log, np.asarray(world.test.features))


def test_the_intervals_of_a_log_are_by_user_when_it_names_them(lenient):
    world, logs, _ = lenient
    log, inputs = logs.replicates(slice(0, 1)), np.asarray(world.test.features)[:20]
    found, expected = information_intervals(log, inputs), intervals(lenient, 0, by_user=True)
    assert found.mean_low == pytest.approx(expected.mean_low, abs=2e-3)
