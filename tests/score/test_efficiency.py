"""The bound against closed forms, finite differences and a simulation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from simbench.errors import BadInput
from simbench.score.bound import (
    ParametricModel,
    fisher_information,
    logistic,
    logistic_model,
    mean_bound,
    required_size,
    reward_bound,
)
from simbench.study.config import StudyConfig
from simbench.study.run import run
from simbench.study.table import read_draws
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def draw(n=500, d=3, k=2, seed=0):
    rng = np.random.default_rng(seed)
    x, z, theta = rng.normal(size=(n, d)), rng.normal(size=(n, k)), rng.normal(size=d + 1)
    eta = rng.normal(size=k + 1)
    tensors = [torch.as_tensor(v) for v in (theta, eta, x, z)]
    return x, z, theta, eta, ParametricModel(logistic, logistic, *tensors)


def with_one(x):
    return np.column_stack([x, np.ones(len(x))])


def test_where_everyone_acts_it_is_the_information_of_logistic_regression():
    """Closed form: ``Xᵀ diag(γ(1-γ)) X``."""
    x, _, theta, _, model = draw()
    certain = ParametricModel(
        model.reward,
        lambda eta, z: torch.ones((), dtype=torch.float64) + 0 * eta.sum(),
        model.theta,
        model.eta,
        model.reward_inputs,
        model.propensity_inputs,
    )
    gamma = expit(with_one(x) @ theta)
    expected = with_one(x).T @ (with_one(x) * (gamma * (1 - gamma))[:, None])
    assert np.allclose(fisher_information(certain, True), expected, rtol=1e-10)


def test_at_a_constant_propensity_it_is_the_closed_form():
    """``∇p = αγ(1-γ)x``, so the weight of ``xxᵀ`` is ``α(γ(1-γ))²/(γ(1-αγ))``."""
    x, z, theta, eta, model = draw()
    eta = np.array([0.0, 0.0, np.log(0.3 / 0.7)])
    model = ParametricModel(
        logistic, logistic, model.theta, torch.as_tensor(eta), *map(torch.as_tensor, (x, z))
    )
    gamma = expit(with_one(x) @ theta)
    weight = 0.3 * gamma * (1 - gamma) ** 2 / (1 - 0.3 * gamma)
    expected = with_one(x).T @ (with_one(x) * weight[:, None])
    assert np.allclose(fisher_information(model, True), expected, rtol=1e-10)


@pytest.mark.parametrize("knows", [True, False])
def test_the_gradients_are_those_of_finite_differences(knows):
    x, z, theta, eta, model = draw(40)
    at = theta if knows else np.r_[theta, eta]

    def p(parameters):
        t, e = parameters[: len(theta)], eta if knows else parameters[len(theta) :]
        return expit(with_one(x) @ t) * expit(with_one(z) @ e)

    step = 1e-5 * np.eye(len(at))
    gradient = np.stack([(p(at + h) - p(at - h)) / 2e-5 for h in step], axis=1)
    value = p(at)
    expected = gradient.T @ (gradient / (value * (1 - value))[:, None])
    assert np.allclose(fisher_information(model, knows), expected, rtol=1e-6)


def test_not_knowing_the_propensity_never_helps():
    x, *_, model = draw()
    known, joint = (reward_bound(model, x, knows) for knows in (True, False))
    assert (joint >= known * (1 - 1e-9)).all() and joint.mean() > 1.05 * known.mean()


def test_the_even_split_of_one_product_is_singular():
    """Where reward and propensity are the same function, their gradients are the same: no bound is finite."""
    x, _, _, _, model = draw()
    twin = ParametricModel(logistic, logistic, model.theta, model.theta, *[model.reward_inputs] * 2)
    assert np.isinf(reward_bound(twin, x, False)).all()
    assert np.isfinite(reward_bound(twin, x, True)).all()


def test_the_bound_is_reached_by_maximum_likelihood():
    """SciPy's maximum of the likelihood at known α, 60 replicates: efficiency within .85 to 1.18.

    The relative standard error of a variance from 60 replicates is sqrt(2/59) = .18 at a point and far less
    for the mean over 1,000 (33 parameters move them all: about .18/sqrt(33) = .03); .15 is five of those.
    """
    world = build(PRESETS["exclusive"], 1.0, 10_000, 0)
    log, truth = world.draw(range(60))
    x, test = with_one(log.features).astype(float), with_one(world.test.features).astype(float)

    def fitted(r):
        def negative(theta):
            s = x @ theta
            p = expit(s) * truth.propensity
            value = -(r * (log_expit(s) + np.log(truth.propensity)) + (1 - r) * np.log1p(-p)).mean()
            return value, x.T @ ((p - r) / (1 - p) * expit(-s)) / len(r)

        return expit(test @ minimize(negative, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x)

    variance = np.stack([fitted(r.astype(float)) for r in log.feedback]).var(axis=0, ddof=1).mean()
    assert 0.85 < mean_bound(world, True) / variance < 1.18


def test_the_planned_size_reaches_the_target_by_the_bound():
    world = build(PRESETS["exclusive"], 1.0, 4000, 0)
    n = required_size(world, True, 0.05)
    there = build(PRESETS["exclusive"], 1.0, n, 0)
    assert np.sqrt(mean_bound(there, True)) == pytest.approx(0.05, rel=0.1)


def test_a_world_without_a_logistic_law_has_no_bound():
    with pytest.raises(BadInput, match="reward of this world is no logistic function"):
        logistic_model(build(PRESETS["exclusive"].changed(reward="mlp"), 1.0, 1000, 0))
    with pytest.raises(BadInput, match="propensity of this world is no logistic function"):
        logistic_model(build(PRESETS["rating"], 0.5, 1000, 0))


def test_where_the_information_is_singular_no_size_suffices(monkeypatch):
    world = build(PRESETS["shared"], 1.0, 1000, 0)
    twin = logistic_model(world)
    monkeypatch.setattr("simbench.score.bound.logistic_model", lambda world: replace(twin, eta=twin.theta))
    with pytest.raises(BadInput, match="not identified"):
        required_size(world, False, 0.05)


def test_a_study_reports_the_bound_over_the_mse_and_only_where_a_bound_is_known(tmp_path):
    worlds = (PRESETS["exclusive"], PRESETS["rating"])
    short = {name: {"epochs": 2} for name in ("ips", "implicitrm", "upu")}
    config = StudyConfig(
        worlds=worlds,
        bias_levels=(0.5,),
        estimators=tuple(short),
        parameters=short,
        sizes=(1000,),
        replicates=3,
    )
    run(config, tmp_path / "o")
    table = read_draws(tmp_path / "o")
    found = table[table.metric == "efficiency"]
    assert set(zip(found.world, found.estimator, strict=True)) == {
        ("exclusive", "ips"),
        ("exclusive", "implicitrm"),
    }
    world = build(PRESETS["exclusive"], 0.5, 1000, 0)
    for row in found.itertuples():
        same = (table.estimator == row.estimator) & (table.world == "exclusive")
        mse = table[same & (table.metric == "mse")].iloc[0]
        assert row.value == pytest.approx(mean_bound(world, row.estimator == "ips") / mse.value, rel=1e-9)
