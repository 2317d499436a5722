"""The search: equal budget, observed criteria only, resumable."""

from dataclasses import replace

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.streams import seed_of
from simbench.study.cell import Cell
from simbench.study.trap import retold
from simbench.study.tune import SPACE, held_out_criterion, tune, tuning_cell
from simbench.training.batches import split_by_prompt
from simbench.worlds.presets import PRESETS

COMMON = {
    "world": PRESETS["exclusive"],
    "bias_level": 1.0,
    "size": 600,
    "replicates": 2,
    "seed": 0,
    "label_share": 0.1,
    "device": "cpu",
}


def test_the_first_trial_is_what_ships_and_the_best_is_no_worse():
    found = tune(tuning_cell("naive", COMMON, ()), 4)
    assert found.trials == 4 and found.best <= found.default
    assert set(found.parameters) == {*SPACE, "batch_size"}
    log, _ = tuning_cell("naive", COMMON, ()).built().draw(range(2))
    shipped = find("naive")().fit_replicates(log)
    assert found.default == pytest.approx(shipped.held_out_loss.mean(), abs=1e-12)


def test_the_truth_plays_no_part(monkeypatch):
    cell = tuning_cell("implicitrm", COMMON, ())
    before = tune(cell, 2)
    other = retold(cell.built(), is_told=False)
    monkeypatch.setattr(Cell, "built", lambda self: other)
    assert tune(cell, 2) == before


def test_finished_trials_are_not_run_again(tmp_path, monkeypatch):
    cell, storage = tuning_cell("naive", COMMON, ()), tmp_path / "trials.db"
    first = tune(cell, 2, storage)
    calls = []
    from simbench_estimators.naive import Naive

    fit = Naive.fit_replicates

    def counted(self, *arguments):
        calls.append(1)
        return fit(self, *arguments)

    monkeypatch.setattr(Naive, "fit_replicates", counted)
    again = tune(cell, 3, storage)
    assert len(calls) == 1 and again.trials == 3 and again.default == first.default


def test_a_told_propensity_is_judged_by_the_observed_likelihood_which_is_bounded():
    """Witness: NumPy on the held-out prompts; the risk of IPS itself has no lower bound."""
    cell = tuning_cell("ips", COMMON, ("propensity",))
    log, truth = cell.built().draw(range(2))
    log = replace(log, propensity=truth.propensity)
    estimator = find("ips")(epochs=5)
    _, rows = split_by_prompt(log.groups, 0.2, seed_of(0, "split"))
    reward = estimator.fit_replicates(log).predict(log.features)[:, rows]
    p, clicked = reward * truth.propensity[rows], log.feedback[:, rows] == 1
    expected = -np.where(clicked, np.log(p), np.log(1 - p)).mean()
    assert held_out_criterion(estimator, log) == pytest.approx(expected, rel=1e-6)


def test_who_lacks_a_grant_or_has_nothing_to_tune_is_told_so():
    with pytest.raises(BadInput, match="ips needs propensity: grant it"):
        tuning_cell("ips", COMMON, ())
    with pytest.raises(BadInput, match="no learning rate"):
        tune(tuning_cell("sklearn:LogisticRegression", COMMON, ()), 2)


def test_a_criterion_that_is_not_finite_counts_for_nothing(monkeypatch):
    from simbench.training.stacked_model import StackedModel

    monkeypatch.setattr(StackedModel, "predict", lambda self, x: np.zeros((2, len(x))))
    cell = tuning_cell("naive", COMMON, ())
    from simbench_estimators.naive import Naive

    fit = Naive.fit_replicates

    def diverged(self, *arguments):
        return replace(fit(self, *arguments), held_out_loss=np.array([np.inf, np.inf]))

    monkeypatch.setattr(Naive, "fit_replicates", diverged)
    with pytest.raises(BadInput, match="no trial gave a finite criterion"):
        tune(cell, 2)
