"""Fits under a protocol, of estimators that train nothing: what is chosen, calibrated and handed on."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from simbench.estimator.estimator import Estimator
from simbench.streams import seed_of
from simbench.study import supervision
from simbench.study.protocol import EvaluationProtocol
from simbench.study.supervision import fit_under, holdout_of
from simbench.training.batches import split_by_prompt
from simbench.training.holdout import Holdout
from simbench.training.trainer import Execution
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

WORLD = build(PRESETS["exclusive"].changed(test_size=100, n_features=3), 1.0, 60, 0)
LOG, TRUTH = WORLD.draw(range(3))
REWARD = WORLD.test.reward


@dataclass
class Fixed:
    """Predicts its value for all test responses, and for others what their first feature makes of it."""

    values: np.ndarray
    held_out_loss: np.ndarray = field(default_factory=lambda: np.zeros(3))
    diagnostics: dict = field(default_factory=dict)

    def predict(self, features):
        slope = 1 / (1 + np.exp(-np.asarray(features)[:, 0]))
        return np.clip(self.values[:, None] + 0.1 * slope, 0, 1)


class Stub(Estimator):
    """Fits nothing; ``answers`` holds the model of each setting."""

    name = "stub"

    def __init__(self, setting="shipped", validation_share=0.25, seed=3):
        self.setting, self.validation_share, self.seed = setting, validation_share, seed
        self.models: dict = {}

    def fit_replicates(self, log, replicates=None, holdout=None):
        return self.models[self.setting]


def under(protocol, models, calibrated=False, kind=Stub):
    """``fit_under`` with a model for the shipped setting and one for each of the others."""

    def make(setting):
        estimator = kind(**setting)
        estimator.models = models
        return estimator

    settings = [{}, *({"setting": name} for name in models if name != "shipped")]
    return fit_under(protocol, make, settings, LOG, TRUTH, WORLD.test, calibrated)


LEVELS = np.array([0.1, 0.4, 0.8])


def test_the_least_held_out_loss_is_kept_for_each_log():
    models = {
        "shipped": Fixed(LEVELS, np.array([3.0, 1.0, np.nan]), {"agree": np.array([1.0, 0.0, 1.0])}),
        "second": Fixed(LEVELS / 2, np.array([2.0, 2.0, 5.0]), {"agree": np.zeros(3)}),
        "third": Fixed(LEVELS / 4, np.array([1.0, np.nan, np.inf]), {"agree": np.zeros(3)}),
    }
    kept, diagnostics, chosen = under(EvaluationProtocol(settings=({"setting": "second"},)), models)
    assert chosen.tolist() == [2, 0, 1]
    assert {name: each.tolist() for name, each in diagnostics.items()} == {"agree": [1.0, 0.0, 1.0]}
    every = [model.predict(WORLD.test.features) for model in models.values()]
    for replicate, number in enumerate(chosen):
        assert kept[replicate] == pytest.approx(every[number][replicate])


def test_an_oracle_keeps_what_has_the_least_squared_error_to_the_true_reward():
    """Though the held-out loss says otherwise; a fit that diverged is never kept."""
    models = {
        "shipped": Fixed(np.array([0.0, 0.45, np.nan]), np.array([0.0, 9.0, 0.0])),
        "second": Fixed(np.array([0.45, 0.9, 0.9]), np.array([9.0, 0.0, 9.0])),
    }
    oracle = EvaluationProtocol(oracle_selection=True, settings=({"setting": "second"},))
    every = np.stack([model.predict(WORLD.test.features) for model in models.values()])
    error = ((every - REWARD) ** 2).mean(2)
    expected = [int(error[1, 0] < error[0, 0]), int(error[1, 1] < error[0, 1]), 1]
    assert expected == [1, 0, 1]
    assert under(oracle, models)[2].tolist() == expected
    assert under(EvaluationProtocol(settings=oracle.settings), models)[2].tolist() == [0, 1, 0]


def test_the_oracle_of_selection_sees_the_test_reward_and_not_its_propensity():
    near_propensity, near_reward = (np.full(3, v.mean() - 0.05) for v in (WORLD.test.propensity, REWARD))
    models = {"shipped": Fixed(near_propensity), "second": Fixed(near_reward)}
    assert under(EvaluationProtocol(oracle_selection=True, settings=({},)), models)[2].tolist() == [1, 1, 1]


def test_without_a_loss_or_with_one_setting_the_shipped_one_is_kept():
    class Silent:
        def predict(self, features):
            return np.full((3, len(features)), 0.3)

    kept, diagnostics, chosen = under(EvaluationProtocol(), {"shipped": Silent(), "second": Silent()})
    assert chosen.tolist() == [0, 0, 0] and diagnostics == {} and (kept == 0.3).all()
    assert under(EvaluationProtocol(), {"shipped": Fixed(LEVELS)})[2].tolist() == [0, 0, 0]


def test_of_several_restarts_the_likeliest_counts():
    models = {
        "shipped": Fixed(LEVELS, np.array([[5.0, 1.0], [4.0, 4.0], [1.0, 9.0]])),
        "second": Fixed(LEVELS, np.array([[2.0, 2.0], [3.0, 7.0], [2.0, 2.0]])),
    }
    assert under(EvaluationProtocol(), models)[2].tolist() == [0, 1, 0]


def test_predictions_of_another_shape_are_an_error():
    for values in (LEVELS[:2], np.full(4, 0.5)):
        with pytest.raises(ValueError, match=rf"have shape \({len(values)}, 100\), not \(3, 100\)"):
            under(EvaluationProtocol(), {"shipped": Fixed(values)})


# -- calibration -------------------------------------------------------------------------------


class NoShare(Stub):
    """Holds nothing out, and says of no seed."""

    def __init__(self, setting="shipped"):
        self.setting = setting


@pytest.mark.parametrize("split", ["prompt", "sample"])
@pytest.mark.parametrize("kind", [Stub, NoShare])
def test_predictions_are_calibrated_on_the_clean_labels_of_the_held_out_rows(split, kind):
    model = Fixed(LEVELS)
    found, _, _ = under(EvaluationProtocol(split=split), {"shipped": model}, calibrated=True, kind=kind)
    units = LOG.groups if split == "prompt" else np.arange(60)
    held = np.arange(60) if kind is NoShare else split_by_prompt(units, 0.25, seed_of(3, "split"))[1]
    assert kind is NoShare or len(held) == 15
    seen, new = model.predict(LOG.features[held]), model.predict(WORLD.test.features)
    for replicate in range(3):
        by_hand = IsotonicRegression(out_of_bounds="clip")
        by_hand.fit(seen[replicate], TRUTH.preference[replicate, held])
        assert found[replicate] == pytest.approx(by_hand.predict(new[replicate]))
        # labels of another replicate, or feedback in their place, would be another map
        by_hand.fit(seen[replicate], LOG.feedback[replicate, held])
        assert not np.allclose(found[replicate], by_hand.predict(new[replicate]))


def test_every_setting_is_calibrated_as_the_shipped_one_holds_out():
    """The seed and the share are those of the shipped parameters."""
    models = {"shipped": Fixed(LEVELS), "second": Fixed(LEVELS / 2, np.full(3, -1.0))}
    found, _, chosen = under(EvaluationProtocol(settings=({},)), models, calibrated=True)
    assert chosen.tolist() == [1, 1, 1]
    held = split_by_prompt(LOG.groups, 0.25, seed_of(3, "split"))[1]
    seen = models["second"].predict(LOG.features[held])
    new = models["second"].predict(WORLD.test.features)
    by_hand = IsotonicRegression(out_of_bounds="clip").fit(seen[2], TRUTH.preference[2, held])
    assert found[2] == pytest.approx(by_hand.predict(new[2]))


# -- what training is handed -------------------------------------------------------------------


def test_what_training_may_see_is_the_protocols():
    assert holdout_of(EvaluationProtocol(), TRUTH) == Holdout("prompt", None)
    assert holdout_of(EvaluationProtocol(split="sample"), TRUTH) == Holdout("sample", None)
    stopping = holdout_of(EvaluationProtocol(oracle_stopping=True, split="sample"), TRUTH)
    assert stopping.by == "sample" and np.array_equal(stopping.oracle_labels, TRUTH.preference)
    assert stopping.oracle_labels.dtype == np.float32


class Chunked(Estimator):
    """Says with what it was called; five replicates are seen in chunks."""

    name = "chunked"
    calls: ClassVar[list] = []

    def __init__(self, restarts=1, hidden=(4,), validation_share=0.25, seed=3):
        self.restarts, self.hidden = restarts, hidden
        self.validation_share, self.seed = validation_share, seed

    def fit_replicates(self, log, replicates=None, holdout=None, execution=None):
        self.calls.append((list(replicates), log, holdout, execution))
        numbers = np.array(list(replicates))
        return Fixed(numbers / 10, -numbers.astype(float), {"number": numbers.astype(float)})


@pytest.mark.parametrize(
    ("restarts", "room", "chunks"),
    [
        (1, 2, [[0, 1], [2, 3], [4]]),
        (2, 4, [[0, 1], [2, 3], [4]]),
        (3, 2, [[0], [1], [2], [3], [4]]),
        (1, 9, [[0, 1, 2, 3, 4]]),
    ],
)
def test_so_many_replicates_are_fitted_at_a_time_as_the_memory_holds(restarts, room, chunks, monkeypatch):
    """A fit of several restarts takes the room of as many replicates."""
    log, truth = WORLD.draw(range(5))
    asked = []
    monkeypatch.setattr(supervision, "chunk_size", lambda e, log, *how: asked.append(how) or room)
    monkeypatch.setattr(Chunked, "calls", [])

    def make(setting):
        return Chunked(restarts, **setting)

    protocol, how = EvaluationProtocol(oracle_stopping=True), Execution(precision="bf16")
    kept, diagnostics, _ = fit_under(protocol, make, [{}], log, truth, WORLD.test, True, 12345, how)
    assert asked == [(12345, "bf16")] and [numbers for numbers, *_ in Chunked.calls] == chunks
    for numbers, part, holdout, execution in Chunked.calls:
        assert execution is how
        assert np.array_equal(part.feedback, log.feedback[numbers])
        assert np.array_equal(holdout.oracle_labels, truth.preference[numbers])
    # of every replicate, however they lie in chunks; calibrated, each by labels of its own
    assert diagnostics["number"].tolist() == [0, 1, 2, 3, 4]
    held = split_by_prompt(log.groups, 0.25, seed_of(3, "split"))[1]
    for number in range(5):
        model = Fixed(np.array([number / 10]))
        by_hand = IsotonicRegression(out_of_bounds="clip")
        by_hand.fit(model.predict(log.features[held])[0], truth.preference[number, held])
        assert kept[number] == pytest.approx(by_hand.predict(model.predict(WORLD.test.features)[0]))


def test_replicates_before_the_first_are_not_fitted_and_the_others_keep_their_numbers(monkeypatch):
    log, truth = WORLD.draw(range(5))
    monkeypatch.setattr(supervision, "chunk_size", lambda *_: 2)
    monkeypatch.setattr(Chunked, "calls", [])
    what = (
        EvaluationProtocol(oracle_stopping=True),
        lambda s: Chunked(**s),
        [{}],
        log,
        truth,
        WORLD.test,
        True,
    )
    kept, diagnostics, chosen = fit_under(*what, first=2)
    assert [numbers for numbers, *_ in Chunked.calls] == [[2, 3], [4]] and chosen.tolist() == [0, 0, 0]
    for numbers, part, holdout, _ in Chunked.calls:
        assert np.array_equal(part.feedback, log.feedback[numbers])
        assert np.array_equal(holdout.oracle_labels, truth.preference[numbers])
    assert np.array_equal(kept, fit_under(*what)[0][2:]) and diagnostics["number"].tolist() == [2, 3, 4]


def test_losses_of_chunks_stand_one_behind_another(monkeypatch):
    log, truth = WORLD.draw(range(5))
    monkeypatch.setattr(supervision, "chunk_size", lambda *_: 2)

    class Alternating(Chunked):
        def fit_replicates(self, log, replicates=None, holdout=None):
            numbers = np.array(list(replicates))
            assert holdout is None  # nothing unusual is said of
            return Fixed(np.full(len(numbers), 0.1), np.where(numbers % 2 == self.restarts - 1, 0.0, 1.0))

    settings = [{}, {"restarts": 2}]
    _, _, chosen = fit_under(
        EvaluationProtocol(), lambda s: Alternating(**s), settings, log, truth, WORLD.test, False
    )
    assert chosen.tolist() == [0, 1, 0, 1, 0]


# -- the switches of a protocol ----------------------------------------------------------------


def test_a_protocol_calibrates_whom_it_names_or_everyone():
    some = EvaluationProtocol(oracle_calibration=("ips",))
    assert some.calibrates("ips") and not some.calibrates("naive")
    assert EvaluationProtocol(oracle_calibration=("all",)).calibrates(
        "naive"
    ) and not EvaluationProtocol().calibrates("naive")


def test_a_protocol_tries_the_shipped_setting_first_and_alone_for_who_is_left_untuned():
    tries = ({"lr": 1.0}, {"lr": 2.0})
    assert EvaluationProtocol(settings=tries, untuned=("ips",)).tries("naive") == ({}, *tries)
    assert (
        EvaluationProtocol(settings=tries, untuned=("ips",)).tries("ips")
        == ({},)
        == EvaluationProtocol().tries("ips")
    )


def test_every_leak_is_told_in_its_own_words_and_only_where_it_leaks():
    tries = ({"lr": 1.0},)
    assert (
        EvaluationProtocol().told("naive")
        == []
        == EvaluationProtocol(split="sample", settings=tries).told("naive")
    )
    assert EvaluationProtocol(oracle_stopping=True).told("naive") == ["oracle stopping"]
    everything = EvaluationProtocol(
        oracle_stopping=True, oracle_calibration=("naive",), oracle_selection=True, settings=tries,
        untuned=("ips",),
    )  # fmt: skip
    assert everything.told("naive") == ["oracle stopping", "oracle calibration", "oracle selection"]
    assert everything.told("ips") == ["oracle stopping"]


def test_the_honest_protocol_is_the_default_and_one_replicate_is_the_least():
    assert EvaluationProtocol().model_dump() == {
        "name": "honest", "split": "prompt", "oracle_stopping": False, "oracle_calibration": (),
        "settings": (), "untuned": (), "oracle_selection": False, "converged": False,
        "capped": None, "grant": None, "grant_of": {}, "replicates": None,
    }  # fmt: skip
    assert EvaluationProtocol(replicates=1).replicates == 1
    for impossible in (
        {"replicates": 0},
        {"oracle_selection": True},
        {"converged": True, "oracle_stopping": True},
        {"split": "user"},
        {"leak": True},
    ):
        with pytest.raises(ValueError, match=next(iter(impossible))):
            EvaluationProtocol(**impossible)
