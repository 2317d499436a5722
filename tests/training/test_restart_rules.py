"""The rule by which a restart is kept, term by term, on hand-made fits of several replicates."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import log_loss

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream
from simbench.training import restarts as module
from simbench.training.contract import Network
from simbench.training.holdout import Holdout
from simbench.training.losses import observed_nll
from simbench.training.restarts import (
    APART,
    Restarts,
    click_losses,
    click_probability,
    indistinguishable,
    least_correlation,
    losses_of,
    train_restarts,
)
from simbench.training.train import train
from simbench.training.trainer import RESTART

R, S, N, K = 3, 4, 24, 9


class Linear:
    """Fits whose reward and propensity are known functions of two different inputs."""

    def __init__(self, fits):
        self.scale = np.linspace(0.2, 0.9, fits)[:, None]

    def predict(self, features):
        return self.scale * np.asarray(features)[:, 0]

    def predict_propensity(self, inputs):
        return 1 - self.scale * np.asarray(inputs)[:, 0]


def several(seed=0, near=None):
    rng = np.random.default_rng(seed)
    near = rng.random((R, S)) < 0.7 if near is None else near
    return Restarts(Linear(R * S), rng.random((R, S)), near, rng.random((R, S, K)))


@pytest.fixture
def log():
    rng = np.random.default_rng(1)
    x, z = rng.uniform(0.05, 0.95, (2, N, 1)).astype(np.float32)
    feedback = (rng.random((R, N)) < 0.4).astype(np.float32)
    return FeedbackLog(x, feedback, rng.integers(0, 8, N), context=z)


@pytest.mark.parametrize("seed", range(4))
def test_spread_and_agreement_are_over_all_pairs_of_fits_as_likely_as_the_best(seed):
    found = several(seed)
    for i in range(R):
        pairs = list(combinations(found.rewards[i][found.near[i]], 2))
        distances = [np.sqrt(np.mean((a - b) ** 2)) for a, b in pairs]
        correlations = [spearmanr(a, b).statistic for a, b in pairs]
        assert found.spread[i] == pytest.approx(max(distances, default=0.0))
        assert found.rank_agreement[i] == pytest.approx(min(correlations, default=1.0))
        assert found.disagree[i] == (found.spread[i] > APART)
    expected = {
        "restart_spread": found.spread.tolist(),
        "restart_rank_agreement": found.rank_agreement.tolist(),
        "restarts_disagree": [float(spread > APART) for spread in found.spread],
    }
    assert {name: each.tolist() for name, each in found.diagnostics.items()} == expected


def level(losses, near, apart):
    """Four constant rewards, the last one so far from the first."""
    rewards = np.array([0.3, 0.3, 0.3, 0.3 + apart])[:, None] + np.linspace(0, 0.01, K)
    return Restarts(Linear(S), np.array([losses]), np.array([near]), rewards[None])


LOSSES = [0.4, 0.3, 0.35, 0.32]


@pytest.mark.parametrize(
    ("near", "apart", "chosen"),
    [
        ([True] * 4, 0.21, 0),  # they disagree: the even start
        ([True] * 4, 0.19, 1),  # they agree: the likeliest
        ([False, True, True, True], 0.21, 1),  # the even start is not among the likeliest
        ([True, True, True, False], 0.21, 1),  # the one that differs is not as likely
    ],
)
def test_the_even_start_is_kept_where_it_is_near_and_fits_disagree(near, apart, chosen):
    found = level(LOSSES, near, apart)
    assert found.chosen.tolist() == [chosen]
    assert (found.warning is None) == (not found.disagree[0]) == (apart < 0.2 or not near[3])


def test_kept_rows_are_those_of_each_replicate():
    """Fit ``i * S + s``, reward and propensity alike."""
    near = np.array([[False] * S] * R)
    near[:, 1] = True
    found, x = several(3, near), np.array([[0.2], [0.5]])
    assert found.chosen.tolist() == found.held_out_loss.argmin(1).tolist()
    assert len(set(found.chosen)) > 1
    rows = [i * S + found.chosen[i] for i in range(R)]
    assert found.kept.tolist() == rows
    assert found.predict(x) == pytest.approx(np.linspace(0.2, 0.9, R * S)[rows][:, None] * x[:, 0])
    expected = 1 - np.linspace(0.2, 0.9, R * S)[rows][:, None] * x[:, 0]
    assert found.predict_propensity(x) == pytest.approx(expected)


def correlated(correlation):
    """Two far rewards of nearly this rank correlation, and a second replicate whose fits agree."""
    base = np.arange(50)
    for swaps in range(400):
        other = base.copy()
        rng = np.random.default_rng(0)
        for i, j in rng.integers(0, 50, (swaps, 2)):
            other[[i, j]] = other[[j, i]]
        if spearmanr(base, other).statistic < correlation:
            break
    rewards = np.stack([base / 1000, other / 1000 + 0.5])
    rewards = np.stack([rewards, np.stack([base / 1000] * 2)])
    return Restarts(Linear(4), np.zeros((2, 2)), np.ones((2, 2), bool), rewards)


def test_the_warning_says_whether_only_the_level_is_open():
    """The ranking is one from a rank correlation of .88, in the worst of the replicates."""
    alike, unlike = correlated(0.96), correlated(0.88)
    assert 0.88 < alike.rank_agreement.min() < 0.96 and 0.75 < unlike.rank_agreement.min() < 0.88
    assert alike.warning.startswith("the level of the reward is not identified")
    assert unlike.warning.startswith("the reward is not identified")
    for found in (alike, unlike):
        assert f"up to {found.spread[0]:.2f}" in found.warning
        assert f"rank correlation {found.rank_agreement[0]:.2f}" in found.warning


def test_rewards_that_do_not_vary_have_no_rank():
    up, flat = np.linspace(0, 1, K), np.full(K, 0.5)
    assert least_correlation(np.stack([flat, flat])) == 1
    assert least_correlation(np.stack([up, flat])) == 1
    assert least_correlation(np.stack([up, flat, up**2])) == pytest.approx(1)
    assert least_correlation(np.stack([up, flat, 1 - up])) == pytest.approx(-1)
    tied = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4.0])
    assert least_correlation(np.stack([up, tied])) == pytest.approx(spearmanr(up, tied).statistic)


# -- which fits are as likely ---------------------------------------------------------------------


def paired(mean, deviation, n=400):
    """Two fits whose losses differ by this mean and standard deviation, in either order."""
    noise = np.tile([1.0, -1.0], n // 2) * deviation
    base = np.random.default_rng(0).exponential(size=n)
    return np.stack([base, base + mean + noise])


@pytest.mark.parametrize(
    ("mean", "deviation", "same"),
    [
        (0.0199, 0.2, True),  # a standard error of .01: below two of them
        (0.0201, 0.2, False),
        (0.99e-4, 0.0, True),  # no error at all: below the slack
        (1.01e-4, 0.0, False),
        (1.5e-4, 0.0010, False),  # two standard errors of 5e-5 are the slack
        (1.5e-4, 0.0020, True),
    ],
)
def test_two_standard_errors_or_the_slack_are_no_difference(mean, deviation, same):
    losses = paired(mean, deviation)
    assert indistinguishable(losses[None]).tolist() == [[True, same]]
    assert indistinguishable(losses[None, ::-1]).tolist() == [[same, True]]
    both = indistinguishable(np.stack([losses, losses[::-1]]))
    assert both.tolist() == [[True, same], [same, True]]


# -- the likelihood of the held-out feedback ------------------------------------------------------

ROWS = np.array([5, 0, 17, 9])


@pytest.mark.parametrize("misclick", [None, 0.1])
@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize("context", [False, True])
def test_a_click_is_a_reward_or_a_slip_of_an_action(log, misclick, acts, context):
    always = np.arange(N) % 2 == 1 if acts else None
    log = replace(log, misclick=misclick, always_acts=always, context=log.context if context else None)
    found = click_probability(Linear(2), log, ROWS)
    for fit, scale in enumerate((0.2, 0.9)):
        for place, row in enumerate(ROWS):
            gamma = scale * log.features[row, 0]
            alpha = 1 - scale * (log.context if context else log.features)[row, 0]
            if acts and row % 2:
                alpha = 1.0
            p = alpha * (gamma + (1 - gamma) * (misclick or 0))
            assert found[fit, place] == pytest.approx(p, abs=1e-6)


def test_losses_are_of_each_replicates_own_fits_and_feedback(log):
    model = Linear(R * 2)
    found = click_losses(model, log, ROWS, 2)
    click = click_probability(model, log, ROWS)
    assert found.shape == (R, 2, len(ROWS))
    for i in range(R):
        for s in range(2):
            expected = log_loss(log.feedback[i, ROWS], click[2 * i + s], labels=[0, 1])
            assert found[i, s].mean() == pytest.approx(expected)


def test_a_certain_click_costs_at_most_the_log_of_1e12():
    found = losses_of(np.array([0.0, 1.0, 0.25]), np.array([1.0, 0.0, 1.0]))
    assert found == pytest.approx(np.array([27.631021, 27.631021, np.log(4)]), rel=1e-5)


# -- the stacked training of restarts -------------------------------------------------------------


class TwoHeads(Estimator):
    """The observed likelihood, its restarts apart."""

    networks = (Network(), Network(("propensity",), "context"))
    shifts: ClassVar = (0.0, 2.0, -2.0)

    def reward_loss(self, out, batch):
        return observed_nll(out.reward, torch.nn.functional.logsigmoid(out.propensity), batch.feedback)

    def initial_shift(self, head, restart):
        return self.shifts[restart] if head == "reward" else -self.shifts[restart]


SETTING = {"hidden": (), "lr": 0.02, "epochs": 4, "batch_size": 8, "validation_share": 0.4, "seed": 6}


@pytest.mark.parametrize("by", ["prompt", "sample"])
def test_restarts_are_single_trainings_judged_on_held_out_feedback(log, by, monkeypatch):
    """Row ``i * S + s`` is restart ``s`` of replicate ``i``; rewards are compared on rows of their stream."""
    monkeypatch.setattr(module, "ROWS", 10)
    estimator, replicates, holdout = TwoHeads(**SETTING), [4, 9, 2], Holdout(by)
    found = train_restarts(estimator, log, replicates, 3, holdout)
    units = log.groups if by == "prompt" else np.arange(N)
    names, code = np.unique(units, return_inverse=True)
    first = stream(6, "split").permutation(len(names)) < round(0.4 * len(names))
    held_out = np.flatnonzero(first[code])
    compared = np.sort(stream(6, "compared rows").permutation(N)[:10])
    losses = np.empty((R, 3, len(held_out)))
    for i, replicate in enumerate(replicates):
        for s in range(3):
            own = log.replicates(slice(i, i + 1))
            alone = train(estimator, own, [s * RESTART + replicate], holdout=holdout)
            reward = alone.predict(log.features)[0]
            assert found.model.predict(log.features)[3 * i + s] == pytest.approx(reward, abs=1e-5)
            assert found.rewards[i, s] == pytest.approx(reward[compared], abs=1e-5)
            p = reward[held_out] * alone.predict_propensity(log.context)[0, held_out]
            r = log.feedback[i, held_out]
            losses[i, s] = -r * np.log(p) - (1 - r) * np.log(1 - p)
    assert found.held_out_loss == pytest.approx(losses.mean(2), abs=1e-5)
    assert found.near.tolist() == indistinguishable(losses).tolist()


def test_clean_labels_stop_each_restart_by_its_own_replicates_but_choose_none(log):
    clean = (np.random.default_rng(3).random((R, N)) < 0.5).astype(float)
    estimator = TwoHeads(**(SETTING | {"epochs": 30, "patience": 2, "lr": 0.1}))
    found = train_restarts(estimator, log, range(R), 2, Holdout(oracle_labels=clean))
    for i in range(R):
        own, labels = log.replicates(slice(i, i + 1)), clean[i : i + 1]
        alone = train(estimator, own, [RESTART + i], holdout=Holdout(oracle_labels=labels))
        assert found.model.epochs[2 * i + 1] == alone.epochs[0]
        assert found.model.held_out_loss[2 * i + 1] == pytest.approx(alone.held_out_loss[0], abs=1e-5)
    assert np.abs(found.held_out_loss - found.model.held_out_loss.reshape(R, 2)).min() > 1e-3


def test_a_log_on_disk_is_judged_as_one_in_memory(log, tmp_path):
    names = {"features": log.features, "context": log.context}
    on_disk = {}
    for name, values in names.items():
        np.save(tmp_path / name, values)
        on_disk[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    told = SimpleNamespace(predict=Linear(2).predict, predict_propensity=Linear(2).predict_propensity)
    expected = click_probability(told, log, ROWS)
    assert click_probability(told, replace(log, **on_disk), ROWS) == pytest.approx(expected)
