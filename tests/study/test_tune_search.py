"""The search itself: which way it goes, from where, in which space, and by what criterion."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find
from simbench.streams import seed_of
from simbench.study import tune as module
from simbench.study.cell import Cell
from simbench.study.tune import BATCHES, SPACE, held_out_criterion, tune, tuning_cell
from simbench.training.batches import split_by_prompt
from simbench.training.stacked_model import StackedModel
from simbench.worlds.presets import PRESETS

COMMON = {
    "world": PRESETS["exclusive"].changed(test_size=100, n_features=3),
    "bias_level": 1.0,
    "size": 60,
    "replicates": 2,
    "seed": 5,
    "label_share": 0.1,
    "device": "cpu",
}


@pytest.fixture
def tried(monkeypatch):
    """Estimators that the search tries, with a criterion that is least at a learning rate of .01."""
    tried = []

    def criterion(estimator, log):
        tried.append(estimator)
        return abs(np.log(estimator.lr / 0.01)) + 1

    monkeypatch.setattr(module, "held_out_criterion", criterion)
    return tried


def test_the_least_criterion_wins_and_stands_beside_that_of_the_shipped_parameters(tried):
    found = tune(tuning_cell("naive", COMMON, ()), 12)
    criteria = [abs(np.log(one.lr / 0.01)) + 1 for one in tried]
    best = tried[int(np.argmin(criteria))]
    assert len(tried) == found.trials == 12 and found.estimator == "naive"
    assert found.best == pytest.approx(min(criteria)) and found.default == pytest.approx(criteria[0])
    assert found.best < found.default
    expected = {"lr": best.lr, "weight_decay": best.weight_decay, "batch_size": best.batch_size}
    assert found.parameters == pytest.approx(expected)


def test_it_starts_at_what_ships_and_stays_in_its_space(tried):
    tune(tuning_cell("naive", COMMON, ()), 30)
    shipped = find("naive")()
    first = tried[0]
    assert (first.lr, first.weight_decay, first.batch_size) == (shipped.lr, shipped.weight_decay, 512)
    for name, (low, high) in SPACE.items():
        values = np.array([getattr(one, name) for one in tried[1:]])
        assert ((low <= values) & (values <= high)).all() and (values < np.sqrt(low * high)).sum() > 3
    assert {one.batch_size for one in tried} == set(BATCHES)
    assert {one.seed for one in tried} == {5} and {one.epochs for one in tried} == {shipped.epochs}


def test_the_seed_decides_the_search(tried):
    for seed in (5, 5, 6):
        tune(tuning_cell("naive", {**COMMON, "seed": seed}, ()), 4)
    first, again, other = ([one.lr for one in tried[i : i + 4]] for i in (0, 4, 8))
    assert first == again and first[1:] != other[1:]


def test_trials_that_are_not_finite_are_neither_counted_nor_best(monkeypatch):
    values = iter([2.0, np.nan, np.inf, 1.5, 1.75])
    monkeypatch.setattr(module, "held_out_criterion", lambda estimator, log: next(values))
    found = tune(tuning_cell("naive", COMMON, ()), 5)
    assert (found.trials, found.default, found.best) == (3, 2.0, 1.5)


@pytest.mark.parametrize("diverged", [np.inf, np.nan])
def test_where_the_shipped_parameters_diverge_no_other_trial_passes_for_them(diverged, monkeypatch):
    values = iter([diverged, 3.0, 1.0])
    monkeypatch.setattr(module, "held_out_criterion", lambda estimator, log: next(values))
    found = tune(tuning_cell("naive", COMMON, ()), 3)
    assert (found.trials, found.default, found.best) == (2, np.inf, 1.0)


def test_a_search_killed_in_its_first_trial_begins_with_what_ships(tmp_path, monkeypatch):
    """The database keeps a trial that never ended; the next one is what ships, and is reported as such."""
    cell, storage = tuning_cell("naive", COMMON, ()), tmp_path / "trials.db"

    def killed(estimator, log):
        raise SystemExit

    monkeypatch.setattr(module, "held_out_criterion", killed)
    with pytest.raises(SystemExit):
        tune(cell, 3, storage)
    monkeypatch.setattr(module, "held_out_criterion", lambda estimator, log: float(estimator.lr))
    assert tune(cell, 3, storage).default == find("naive")().lr


def test_the_oracle_is_tuned_on_preferences_and_everyone_on_what_is_granted(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "held_out_criterion", lambda estimator, log: seen.append(log) or 1.0)
    for name, grant in (("naive", ()), ("oracle", ()), ("ips", ("propensity",))):
        tune(tuning_cell(name, COMMON, grant), 1)
    log, truth = tuning_cell("naive", COMMON, ()).built().draw(range(2))
    naive, oracle, ips = seen
    assert np.array_equal(naive.feedback, log.feedback) and naive.propensity is None
    assert np.array_equal(oracle.feedback, truth.preference)
    assert np.array_equal(ips.propensity, truth.propensity) and np.array_equal(ips.feedback, log.feedback)


# -- the criterion -----------------------------------------------------------------------------


class Constant(StackedModel):
    """A reward that the first feature makes, and a held-out loss of its own."""

    def __init__(self, losses):
        self.held_out_loss = np.array(losses)

    def predict(self, features):
        return np.stack([expit(features[:, 0]), expit(-3 * features[:, 0])]).astype(float)


class Stub(Estimator):
    name = "stub"

    def fit_replicates(self, log, replicates=None, holdout=None):
        return Constant([1.0, 4.0])


class Ranks(Stub):
    ranks_only = True


class Prepares(Stub):
    """Estimates its class prior from the log."""

    def prepare(self, log):
        return replace(log, class_prior=np.array([0.4, 0.6]))


LOG, TRUTH = tuning_cell("naive", COMMON, ()).built().draw(range(2))
ESTIMATED = np.random.default_rng(0).uniform(0.2, 1, LOG.feedback.shape)


def likelihood(alpha) -> float:
    """Mean negative log-likelihood of the held-out clicks under ``γ̂α``, click by click."""
    held = split_by_prompt(LOG.groups, 0.3, seed_of(5, "split"))[1]
    reward, losses = Constant([0]).predict(LOG.features), []
    for replicate in range(2):
        for row in held:
            p = min(reward[replicate, row] * alpha[replicate, row], 1 - 1e-6)
            losses.append(-np.log(p) if LOG.feedback[replicate, row] == 1 else -np.log(1 - p))
    return float(np.mean(losses))


def test_without_a_propensity_or_a_prior_it_is_the_estimators_own_and_so_it_is_for_ranks():
    told = replace(LOG, propensity=TRUTH.propensity, class_prior=0.5)
    assert held_out_criterion(Stub(), LOG) == 2.5 == held_out_criterion(Ranks(), told)


@pytest.mark.parametrize(
    ("kind", "told", "alpha"),
    [
        (Stub, {"propensity": TRUTH.propensity}, np.tile(TRUTH.propensity, (2, 1))),
        (Stub, {"propensity": ESTIMATED, "class_prior": 0.1}, ESTIMATED),
        (Stub, {"class_prior": 0.5}, LOG.feedback.mean(1)[:, None] / np.full((2, 60), 0.5)),
        (Prepares, {}, LOG.feedback.mean(1)[:, None] / np.repeat([[0.4], [0.6]], 60, axis=1)),
    ],
    ids=["propensity", "per replicate", "prior", "estimated prior"],
)
def test_it_is_the_likelihood_of_the_held_out_clicks_under_what_is_known(kind, told, alpha):
    """A class prior π amounts to the propensity P(r = 1) / π."""
    found = held_out_criterion(kind(validation_share=0.3, seed=5), replace(LOG, **told))
    assert found == pytest.approx(likelihood(alpha), rel=1e-6)


def test_a_certain_click_that_did_not_come_costs_a_finite_amount(monkeypatch):
    monkeypatch.setattr(Constant, "predict", lambda self, x: np.ones((2, len(x))))
    told = replace(LOG, propensity=np.ones(60))
    held = split_by_prompt(LOG.groups, 0.3, seed_of(5, "split"))[1]
    rate = LOG.feedback[:, held].mean()
    found = held_out_criterion(Stub(validation_share=0.3, seed=5), told)
    assert found == pytest.approx((1 - rate) * -np.log(1e-6), rel=1e-5)


def test_a_tuning_cell_is_told_the_first_variant_of_what_it_asks_for():
    grants = ("propensity:estimated", "propensity", "class prior", "labels")
    assert tuning_cell("ips", COMMON, grants).grant == ("propensity:estimated",)
    assert tuning_cell("naive", COMMON, grants).grant == ()
    assert tuning_cell("oracle", COMMON, ()) == Cell(estimator="oracle", parameters={}, grant=(), **COMMON)
    with pytest.raises(BadInput, match="snips needs class prior and propensity: grant it"):
        tuning_cell("snips", COMMON, ())
    with pytest.raises(BadInput, match="snips needs class prior: grant it"):
        tuning_cell("snips", COMMON, ("propensity:shifted=2",))
