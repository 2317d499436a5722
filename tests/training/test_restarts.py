"""Restarts agree where the reward is identified, differ where it is not, and are kept by the rule."""

import warnings

import numpy as np
import pytest
from simbench_estimators.implicitrm import ImplicitRM

from simbench.errors import BadInput, NotIdentified
from simbench.training.restarts import Restarts, click_losses, indistinguishable
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


class Told:
    """A model whose rewards are its rows."""

    def __init__(self, rewards: np.ndarray):
        self.rewards = rewards

    def predict(self, features):
        return np.repeat(self.rewards[:, None], len(features), axis=1)

    def predict_propensity(self, inputs):
        return np.full((len(self.rewards), len(inputs)), 0.5)


def restarts(near: list[bool], levels: list[float], loss: list[float]) -> Restarts:
    rewards = np.array(levels)
    noise = np.linspace(-0.05, 0.05, 7)
    return Restarts(Told(rewards), np.array([loss]), np.array([near]), (rewards[:, None] + noise)[None])


def test_what_differs_at_equal_likelihood_is_kept_by_the_rule_with_a_warning():
    tied = restarts([True, True, False], [0.2, 0.6, 0.9], [0.31, 0.30, 0.5])
    assert tied.disagree.all() and tied.chosen.tolist() == [0]
    assert tied.predict(np.zeros((2, 1))).tolist() == [[0.2, 0.2]]
    assert tied.warning is not None and "even odds" in tied.warning
    assert restarts([False, True, True], [0.2, 0.6, 0.9], [0.5, 0.31, 0.30]).chosen.tolist() == [2]
    assert tied.warning.startswith("the level")  # they rank alike


def test_rewards_that_rank_differently_are_not_identified_at_all():
    up = np.linspace(0.1, 0.9, 7)
    model = Restarts(
        Told(np.array([0.5, 0.5])),
        np.array([[0.3, 0.3]]),
        np.array([[True, True]]),
        np.stack([up, 1 - up])[None],
    )
    assert model.rank_agreement.tolist() == pytest.approx([-1])
    assert model.warning is not None and model.warning.startswith("the reward is not identified")


def test_where_they_agree_the_best_likelihood_is_kept_without_a_warning():
    agreeing = restarts([True, True, False], [0.5, 0.55, 0.9], [0.30, 0.31, 0.5])
    assert agreeing.chosen.tolist() == [0] and agreeing.warning is None


def test_differences_are_judged_on_the_same_responses():
    """Two fits a hair apart on every response differ; two that differ by noise do not."""
    rng = np.random.default_rng(0)
    base = rng.exponential(size=2000)
    losses = np.stack([base, base + 0.01, base + rng.normal(0, 0.5, 2000)])[None]
    losses[0, 2] += 0.001 - (losses[0, 2] - base).mean()
    assert indistinguishable(losses).tolist() == [[True, False, True]]


def test_click_losses_are_the_log_loss_of_scikit_learn():
    from sklearn.metrics import log_loss

    world = build(PRESETS["misclick"], 1.0, 200, 0)
    log, _ = world.draw(range(1))
    from dataclasses import replace

    log, rows = replace(log, misclick=0.1), np.arange(50)
    found = click_losses(Told(np.array([0.3, 0.7])), log, rows, 2)
    for fit, reward in enumerate((0.3, 0.7)):
        p = (reward + (1 - reward) * 0.1) * 0.5
        assert found[0, fit].mean() == pytest.approx(log_loss(log.feedback[0, rows], np.full(50, p)))


@pytest.fixture(scope="module")
def fitted():
    """Two worlds of 6,000 responses at bias level 3, five restarts."""
    models = {}
    for name in ("exclusive", "shared"):
        log, _ = build(PRESETS[name], 3.0, 6000, 0).draw(range(2))
        models[name] = ImplicitRM(restarts=5).fit_replicates(log)
    return models


def test_restarts_disagree_in_shared_and_rank_alike_in_exclusive(fitted):
    assert fitted["shared"].disagree.all()
    assert fitted["exclusive"].rank_agreement.min() > 0.85 > fitted["shared"].rank_agreement.max()


def test_a_replicate_restarted_alone_is_the_same():
    log, _ = build(PRESETS["exclusive"], 1.0, 500, 0).draw(range(3))
    estimator = ImplicitRM(restarts=3, epochs=3)
    together = estimator.fit_replicates(log)
    alone = estimator.fit_replicates(log.replicates(slice(1, 2)), range(1, 2))
    assert np.array_equal(together.predict(log.features)[1], alone.predict(log.features)[0])


def test_the_first_restart_is_the_fit_without_restarts():
    log, _ = build(PRESETS["exclusive"], 1.0, 500, 0).draw(range(2))
    several = ImplicitRM(restarts=2, epochs=3).fit_replicates(log)
    single = ImplicitRM(epochs=3).fit_replicates(log)
    assert np.array_equal(several.model.predict(log.features)[::2], single.predict(log.features))


def test_fit_warns_where_the_log_does_not_decide():
    log, _ = build(PRESETS["shared"], 2.0, 2000, 0).draw(range(1))
    with pytest.warns(NotIdentified, match="rule"):
        ImplicitRM(restarts=3).fit(log.features, log.feedback[0], groups=log.groups)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImplicitRM(epochs=2).fit(log.features, log.feedback[0], groups=log.groups)


def test_no_restart_at_all_is_refused():
    log, _ = build(PRESETS["shared"], 2.0, 200, 0).draw(range(1))
    with pytest.raises(BadInput, match="restarts"):
        ImplicitRM(restarts=0).fit_replicates(log)
