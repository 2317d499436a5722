"""Training to the optimum of an estimator's own empirical risk."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit

import simbench as sb
from simbench.errors import BadInput
from simbench.training.converged import can_converge
from simbench.training.quasi_newton import Minimiser

AT_OPTIMUM = {"hidden": (), "optimiser": "lbfgs", "validation_share": 0.0, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def drawn():
    world = sb.world("exclusive", bias_level=1.0, size=1500, seed=3)
    return world, *world.draw(range(3))


def nll_of_features(theta, x, y):
    logit = x @ theta[:-1] + theta[-1]
    return -(y * log_expit(logit) + (1 - y) * log_expit(-logit)).mean()


def test_naive_reaches_the_optimum_that_scipy_finds(drawn):
    world, log, _ = drawn
    x = np.asarray(log.features, dtype=float)
    found = sb.find("naive")(**AT_OPTIMUM).fit_replicates(log).predict(world.test.features)
    for predicted, y in zip(found, log.feedback, strict=True):
        theta = minimize(nll_of_features, np.zeros(x.shape[1] + 1), (x, y), method="BFGS", tol=1e-8).x
        expected = 1 / (1 + np.exp(-(np.asarray(world.test.features, dtype=float) @ theta[:-1] + theta[-1])))
        assert np.abs(predicted - expected).max() < 2e-4


def test_the_likelihood_of_clicks_has_an_optimum_that_scipy_finds_too(drawn):
    _, log, _ = drawn
    x, z = np.asarray(log.features, dtype=float), np.asarray(log.context, dtype=float)
    fit = sb.find("implicitrm")(**AT_OPTIMUM).fit_replicates(log)
    y = log.feedback[0]

    def nll(theta):
        reward, act = theta[: x.shape[1] + 1], theta[x.shape[1] + 1 :]
        log_p = log_expit(x @ reward[:-1] + reward[-1]) + log_expit(z @ act[:-1] + act[-1])
        return -(y * log_p + (1 - y) * np.log1p(-np.exp(log_p).clip(max=1 - 1e-12))).mean()

    starts = np.random.default_rng(0).normal(0, 0.1, (3, x.shape[1] + z.shape[1] + 2))
    optima = [minimize(nll, start, method="BFGS", tol=1e-8).fun for start in starts]
    assert np.abs(np.array(optima) - fit.held_out_loss[0]).min() < 1e-6  # one of several, and stationary


def test_a_replicate_does_not_depend_on_its_company(drawn):
    world, log, _ = drawn
    estimator = sb.find("implicitrm-known")(**AT_OPTIMUM)
    told = replace(log, propensity=np.asarray(drawn[2].propensity, dtype=float))
    alone = estimator.fit_replicates(told.replicates(slice(1, 2)), [1]).predict(world.test.features)
    among = estimator.fit_replicates(told).predict(world.test.features)
    assert np.array_equal(alone[0], among[1])


def test_an_estimator_with_an_e_step_settles(drawn):
    _, log, _ = drawn
    fit = sb.find("sar-em")(**AT_OPTIMUM).fit_replicates(log)
    assert np.isfinite(fit.predict(log.features)).all()


def test_iterations_that_run_out_are_said(drawn):
    _, log, _ = drawn
    fit = sb.find("implicitrm")(**AT_OPTIMUM | {"epochs": 1}).fit_replicates(log)
    assert (fit.epochs == 1).all()  # ten iterations do not suffice, and the last epoch allowed was kept


def test_pairs_have_no_one_risk(drawn):
    _, log, _ = drawn
    assert not can_converge(sb.find("bpr"))
    with pytest.raises(BadInput, match="take optimiser=adam"):
        sb.find("bpr")(**AT_OPTIMUM).fit_replicates(log)


def test_a_risk_without_a_lower_bound_ends_unconverged():
    x = np.r_[np.zeros((50, 2)), np.eye(2)[np.r_[[0] * 25, [1] * 25]]].astype(np.float32)
    clicked, propensity = np.r_[np.zeros(99), 1.0], np.full(100, 0.001)
    fit = sb.find("ips")(**AT_OPTIMUM | {"epochs": 40}).fit(x, clicked, propensity=propensity).model_
    assert fit.epochs[0] == 40


def test_each_of_many_problems_finds_its_own_minimum():
    scales = np.array([1.0, 30.0, 1e3])[:, None] * np.array([1.0, 5.0, 25.0])
    centres = np.arange(9.0).reshape(3, 3)

    def gradient(point):
        return 2 * scales * (point - centres)

    found = Minimiser(gradient).run(np.zeros((3, 3)), 200)
    assert found.converged.all()
    assert np.abs(found.point - centres).max() < 1e-4
