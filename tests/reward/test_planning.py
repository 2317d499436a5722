"""Sample size planning: the bound by hand, what is extrapolated from it, and a simulation that meets it."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from simbench_estimators.implicitrm import ImplicitRM, ImplicitRMKnown
from stand_ins import Fit

from simbench.cli import main
from simbench.reward import planning as module
from simbench.reward.intervals import MAXIMUM_LIKELIHOOD
from simbench.reward.planning import plan, simulated_rmse
from simbench.score.bound import mean_bound
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

TINY = PRESETS["exclusive"].changed(n_features=2, test_size=100)


def with_one(matrix):
    return np.column_stack([matrix, np.ones(len(matrix))]).astype(float)


def variance_by_hand(world, knows: bool) -> float:
    """Mean over the test responses of the bound, from the pilot's information summed row by row."""
    train, test = world.train, world.test
    information = 0.0
    for x, z, gamma, alpha in zip(
        with_one(train.features), with_one(train.context), train.reward, train.propensity, strict=True
    ):
        of_reward, of_propensity = alpha * gamma * (1 - gamma) * x, gamma * alpha * (1 - alpha) * z
        gradient = of_reward if knows else np.r_[of_reward, of_propensity]
        information = information + np.outer(gradient, gradient) / (gamma * alpha * (1 - gamma * alpha))
    covariance = np.linalg.inv(information)[:3, :3]
    slopes = (test.reward * (1 - test.reward))[:, None] * with_one(test.features)
    return float(np.mean([slope @ covariance @ slope for slope in slopes]))


@pytest.mark.parametrize("target", [0.02, 0.05])
def test_the_size_is_that_at_which_the_bound_is_the_targets_square(target, monkeypatch):
    monkeypatch.setattr(module, "PILOT", 300)
    monkeypatch.setattr(module, "simulated_rmse", lambda *given: target)
    world = build(TINY, 2.0, 300, 4)
    for row, knows in zip(plan(TINY, 2.0, target, seed=4), (True, False), strict=True):
        assert row.by_bound == pytest.approx(300 * variance_by_hand(world, knows) / target**2, abs=1.01)
        assert row.needed == row.by_bound


def fake_plan(monkeypatch, size: int, rmse: float, target: float = 0.05):
    """A plan whose bound asks for this size and whose simulation finds this error; and what was asked."""
    asked = SimpleNamespace(sizes=[], simulated=[])
    monkeypatch.setattr(module, "PILOT", 60)

    def required(pilot, knows, wanted):
        asked.sizes.append((len(pilot.train.reward), knows, wanted))
        return size

    monkeypatch.setattr(module, "required_size", required)
    monkeypatch.setattr(module, "simulated_rmse", lambda *given: asked.simulated.append(given) or rmse)
    return plan(TINY, 1.5, target, 3, 7), asked


def test_what_is_needed_grows_with_the_square_of_the_measured_error(monkeypatch):
    (known, joint), asked = fake_plan(monkeypatch, 1001, 0.08)
    assert known.needed == joint.needed == math.ceil(1001 * (0.08 / 0.05) ** 2) == 2563
    assert (known.knows, known.estimator) == ("propensity", "implicitrm-known")
    assert (joint.knows, joint.estimator) == ("nothing but the log", "implicitrm")
    assert known.by_bound == 1001 and known.rmse_there == 0.08
    assert asked.sizes == [(60, True, 0.05), (60, False, 0.05)]
    kinds = (ImplicitRMKnown, ImplicitRM)
    assert asked.simulated == [(TINY, 1.5, 1001, kind, 3, 7) for kind in kinds]


def test_an_error_below_the_target_needs_no_less_than_the_bound(monkeypatch):
    assert fake_plan(monkeypatch, 1000, 0.04)[0][0].needed == 1000


def test_too_large_a_size_is_not_simulated_and_too_small_a_one_at_100(monkeypatch):
    rows, asked = fake_plan(monkeypatch, 200_001, 0.08)
    assert not asked.simulated and math.isnan(rows[0].rmse_there) and rows[0].needed == 200_001
    rows, asked = fake_plan(monkeypatch, 200_000, 0.08)
    assert len(asked.simulated) == 2
    rows, asked = fake_plan(monkeypatch, 40, 0.1)
    assert asked.simulated[0][2] == 100 and rows[0].by_bound == 40 and rows[0].needed == 160


def test_the_simulated_error_is_the_root_mean_square_over_replicates_and_test_responses():
    made, fitted = {}, []
    off = np.array([[0.1], [-0.2], [0.3]])
    world = build(TINY, 1.5, 80, 7)

    class Estimator:
        def __init__(self, **parameters):
            made.update(parameters)

        def fit_replicates(self, log):
            fitted.append(log)
            return Fit(lambda x: off + world.test.reward)

    found = simulated_rmse(TINY, 1.5, 80, Estimator, 3, 7)
    assert found == pytest.approx(math.sqrt((0.01 + 0.04 + 0.09) / 3))
    assert made == {**MAXIMUM_LIKELIHOOD, "batch_size": 80, "seed": 7}
    log, truth = world.draw(range(3))
    assert np.array_equal(fitted[0].feedback, log.feedback)
    assert fitted[0].propensity == pytest.approx(truth.propensity)


@pytest.mark.parametrize(("features", "target"), [(6, 0.06), pytest.param(32, 0.06, marks=pytest.mark.slow)])
def test_the_bound_is_met_at_the_planned_size(features, target):
    """The maximum of the likelihood is there within five standard errors: an RMSE from R replicates,
    moved by k parameters, has a relative one of about ``sqrt(2 / (R * k)) / 2``: .06 for 4 of 33, .08 for
    12 of 7."""
    config = PRESETS["exclusive"].changed(n_features=features)
    known, joint = plan(config, 2.0, target, replicates=4 if features == 32 else 12)
    assert known.by_bound < joint.by_bound
    there = build(config, 2.0, known.by_bound, 0)
    assert np.sqrt(mean_bound(there, True)) == pytest.approx(target, rel=0.15)
    for row in (known, joint):
        assert 0.7 < row.rmse_there / target < 1.4
        assert row.needed >= row.by_bound


def simbench(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["plan", "--bias-level", "2", "--replicates", "2", *arguments])
    return stopped.value.code


def test_the_command_answers_and_refuses_in_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr(module, "simulated_rmse", lambda *given: 0.1)
    assert simbench("--target-rmse", "0.1", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["knows"] for row in rows] == ["propensity", "nothing but the log"]
    assert all(row["rmse_there"] == 0.1 and row["needed"] == row["by_bound"] for row in rows)
    for arguments, message in (
        (["--target-rmse", "0"], "--target-rmse must lie between 1e-6 and .5"),
        (["--target-rmse", "0.5"], "--target-rmse must lie between 1e-6 and .5"),
        (["--target-rmse", "0.1", "--world", "confounded"], "no logistic function"),
    ):
        assert simbench(*arguments) == 2
        said = capsys.readouterr().err
        assert message in said and "Traceback" not in said
