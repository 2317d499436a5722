"""No estimator reaches the truth: what each one's log holds, and what its predictions depend on."""

from dataclasses import fields, replace

import numpy as np
import pytest

from simbench.estimator.registry import find, names
from simbench.log.feedback import FeedbackLog
from simbench.study.cell import Cell, fit_cell, run_cell
from simbench.study.grants import BASES, granted
from simbench.study.shards import Shards
from simbench.study.trap import retold
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

GRANTS = BASES
ESTIMATORS = [name for name in names() if name != "sklearn"] + ["sklearn:LogisticRegression"]
MISCLICK = PRESETS["misclick"].changed(test_size=100, signals=2, always_share=0.1)
# click models read logs of pages, or of a chat
PAGED = {
    "pbm": PRESETS["page"].changed(test_size=100, always_share=0.1),
    "cascade-mle": PRESETS["cascade"].changed(test_size=100),
    "regenerate-mle": PRESETS["regenerate"].changed(test_size=100),
}
IN_THE_LOG = {"truth", "signals", "pages", "attempts"}  # needs for which nothing must be granted


def world_of(estimator):
    """A world whose log holds what this estimator reads."""
    return PAGED.get(estimator, MISCLICK)


def cell(estimator, grant=(), parameters=None):
    return Cell(
        world=world_of(estimator),
        bias_level=1.0,
        size=200,
        estimator=estimator,
        parameters=parameters or {},
        replicates=2,
        seed=0,
        grant=grant,
        label_share=0.2,
        device="cpu",
    )


class Half:
    """A reward of 1/2 for all."""

    def predict(self, features):
        return np.full((2, len(features)), 0.5)


def seen_by(name, grant):
    """The one log that this estimator is given, the world that it is of, and the truth of that log."""
    seen = []

    class Spy(find(name)):
        def fit_replicates(self, log, replicates=None):
            seen.append(log)
            return Half()

    at = cell(name, grant)
    fit_cell(at, Spy)
    assert len(seen) == 1
    return seen[0], at.built(), at.built().draw(range(2))


@pytest.mark.parametrize("grant", [(), *((g,) for g in GRANTS), GRANTS], ids=str)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_log_holds_what_is_asked_and_granted_and_no_more(name, grant):
    log, world, (drawn, truth) = seen_by(name, grant)
    assert type(log) is FeedbackLog and set(vars(log)) == {f.name for f in fields(FeedbackLog)}
    kind = find(name)
    allowed = (kind.needs | kind.optional) & set(grant)
    held = {g for g in GRANTS if getattr(log, g.replace(" ", "_")) is not None}
    assert held == allowed
    assert (log.signals is not None) == ("signals" in kind.needs | kind.optional)
    for field in ("features", "context", "groups"):
        assert np.array_equal(getattr(log, field), getattr(world.train, field))
    told = truth.preference if "truth" in kind.needs else drawn.feedback
    assert np.array_equal(log.feedback, told)
    secrets = [truth.reward, truth.preference]
    secrets += [] if "propensity" in allowed else [truth.propensity]
    arrays = [v for v in vars(log).values() if isinstance(v, np.ndarray)]
    assert not any(np.shares_memory(secret, array) for secret in secrets for array in arrays)


def test_truth_is_asked_for_by_the_oracle_alone():
    assert [name for name in ESTIMATORS if "truth" in find(name).needs] == ["oracle"]


def test_no_grant_is_the_truth_and_labels_are_a_share_of_it():
    assert "truth" not in GRANTS
    labels = seen_by("implicitrm", ("labels",))[0].labels
    _, truth = cell("implicitrm").built().draw(range(2))
    known = ~np.isnan(labels)
    assert np.array_equal(labels[known], truth.preference[known])
    assert 0.1 < known.mean() < 0.3 and not np.array_equal(known[0], known[1])


def in_world(monkeypatch, world):
    """From here on, cells are of this world."""
    monkeypatch.setattr(Cell, "built", lambda self: world)


def short(name, grant=()):
    kind = find(name)
    parameters = {"epochs": 2} if "epochs" in kind().get_params() else {}
    return fit_cell(cell(name, grant, parameters), kind)[0]


@pytest.fixture
def world(name):
    return build(world_of(name), 1.0, 200, 0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_truth_of_the_test_responses_changes_nothing(name, world, monkeypatch):
    """Were a stopping rule or a calibration to look at it, other rewards would give other fits."""
    in_world(monkeypatch, world)
    before = short(name, GRANTS)
    in_world(monkeypatch, replace(world, test=retold(world, is_told=False).test))
    assert np.array_equal(before, short(name, GRANTS))
    assert np.ptp(before) > 0


@pytest.mark.parametrize("name", ESTIMATORS)
def test_without_a_grant_the_truth_of_the_log_changes_nothing(name, world, monkeypatch, tmp_path):
    kind = find(name)
    if kind.needs - IN_THE_LOG:
        outcome = run_cell(cell(name), Shards(tmp_path))
        assert outcome.status == "skipped" and outcome.reason.startswith("needs ")
        return
    in_world(monkeypatch, world)
    before = short(name)
    in_world(monkeypatch, retold(world, is_told=False))
    assert np.array_equal(before, short(name)) == ("truth" not in kind.needs)


@pytest.mark.parametrize("name", ["ips"])
def test_what_is_granted_is_the_truth_of_the_log(name, world):
    at = cell(name, GRANTS)
    log, truth = world.draw(range(2))
    given, told = granted(at, find(name), log, truth)
    assert told == ["propensity"]
    assert np.array_equal(given["propensity"], truth.propensity)
    assert granted(at, find("upu"), log, truth)[0] == {"class_prior": truth.reward.mean()}
