"""What a study makes of a log leaves out the responses that were not shown."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from simbench.estimator.registry import find
from simbench.study.cell import weight_diagnostics
from simbench.study.grants import granted
from simbench.study.simulated import log_table, truth_table
from simbench.study.supervision import isotonic
from simbench.study.told_propensity import context_ratio
from simbench.study.tune import held_out_criterion
from simbench.training.holdout import Holdout
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

CHAT = PRESETS["exclusive"].changed(behaviour="regenerate", test_size=200)


@pytest.fixture(scope="module")
def chat():
    return build(CHAT, 1.0, 600, 0)


def test_the_level_that_is_told_is_that_of_what_users_are_shown(chat):
    """Witness: the mean over what 4,000 drawn logs showed; pages start alike, so that γ hardly differs."""
    steep = build(CHAT.changed(patience=1.0), 1.0, 100, 0)
    log, truth = steep.draw(range(4000))
    cell = SimpleNamespace(grant=("class prior", "action rate"), seed=0, world=CHAT)
    kind = SimpleNamespace(needs=frozenset({"class prior", "action rate"}), optional=frozenset())
    told, _ = granted(cell, kind, log, truth)
    for name, values in (("class_prior", truth.reward), ("action_rate", truth.propensity)):
        drawn = np.average(np.broadcast_to(values, log.shown.shape), weights=log.shown)
        assert told[name] == pytest.approx(drawn, abs=0.002)
        assert told[name] != pytest.approx(values.mean(), abs=0.002)


def test_weights_are_told_of_what_was_shown(chat):
    log, truth = chat.draw(range(2))
    log = replace(log, propensity=truth.propensity)
    found = weight_diagnostics(log)
    for replicate in range(2):
        alone = weight_diagnostics(log.replicates(slice(replicate, replicate + 1)).only_shown())
        for name, values in alone.items():
            assert found[name][replicate] == pytest.approx(values[0])


def test_the_propensity_by_context_is_fitted_on_what_was_shown(chat):
    log, _ = chat.draw(range(2))
    found = context_ratio(log)
    for replicate, there in enumerate(log.shown):
        alone = context_ratio(log.replicates(slice(replicate, replicate + 1)).only_shown())
        assert np.allclose(found[replicate, there], alone[0])


def test_calibration_reads_what_was_shown_alone(chat):
    log, truth = chat.draw(range(2))
    estimator = find("naive")(epochs=1, validation_share=0.0)
    model = estimator.fit_replicates(log)
    seen = model.predict(log.features)
    found = isotonic(model, seen, log, truth.preference, estimator, Holdout())
    for replicate, there in enumerate(log.shown):
        own = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1)
        own.fit(seen[replicate, there], truth.preference[replicate, there])
        assert np.allclose(found[replicate], own.predict(seen[replicate]))


def test_the_criterion_of_a_search_reads_what_was_shown_alone(chat):
    log, truth = chat.draw(range(1))
    estimator = find("ips-clipped")(epochs=1)
    log = replace(log, propensity=truth.propensity)
    elsewhere = np.where(log.shown[0, :, None], log.features, log.features[::-1] - 1)
    found = [held_out_criterion(estimator, replace(log, features=x)) for x in (log.features, elsewhere)]
    assert found[0] == found[1]


def test_tables_of_a_simulated_log_hold_what_was_shown(chat):
    log, truth = chat.draw(range(1))
    there = np.flatnonzero(log.shown[0])
    table, of_truth = log_table(log, CHAT), truth_table(truth, log.rows_shown(0))
    assert 0 < len(there) < log.n_rows
    assert table.response_id.tolist() == of_truth.response_id.tolist() == there.tolist()
    assert np.array_equal(table.clicked, log.feedback[0, there])
    assert np.array_equal(table.regenerated, log.signals[0, 1, there])
    assert np.array_equal(table.emb_0, log.features[there, 0])
    assert np.array_equal(of_truth.true_reward, truth.reward[there])
    assert of_truth.index.tolist() == list(range(len(there)))
