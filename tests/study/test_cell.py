"""A cell: what its key names, what it hands to an estimator, and how it ends."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from simbench._compat import VERSION
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.study import cell as module
from simbench.study import supervision
from simbench.study.cell import (
    Cell,
    Outcome,
    fit_cell,
    missing,
    run_cell,
    weight_diagnostics,
)
from simbench.study.protocol import EvaluationProtocol
from simbench.study.shards import Shards
from simbench.training.contract import Network
from simbench.training.trainer import Execution
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

WORLD = PRESETS["exclusive"].changed(test_size=100, n_features=3)
AT = Cell(
    world=WORLD,
    bias_level=1.0,
    size=40,
    estimator="naive",
    parameters={},
    replicates=2,
    seed=5,
    grant=(),
    label_share=0.2,
    device="cpu",
)


def changed(**fields) -> Cell:
    return AT.model_copy(update=fields)


OTHER = {
    "world": WORLD.changed(misclick=0.01),
    "bias_level": 1.5,
    "size": 41,
    "estimator": "ips",
    "parameters": {"lr": 0.1},
    "replicates": 3,
    "seed": 6,
    "grant": ("propensity",),
    "label_share": 0.3,
    "device": "cuda",
    "precision": "tf32",
    "protocol": EvaluationProtocol(oracle_stopping=True),
    "data": (("responses.csv", "sha256:0"),),
    "code": (("mine.py:Mine", "sha256:0"),),
}


NOT_ALONE = ("memory_budget", "timeout", "replicates", "draw", "label_share")


@pytest.mark.parametrize("field", [name for name in Cell.model_fields if name not in NOT_ALONE])
def test_every_field_is_part_of_the_key(field):
    assert changed(**{field: OTHER[field]}).key != AT.key


def test_the_key_names_what_changes_a_replicate_and_nothing_else(monkeypatch):
    few = EvaluationProtocol(replicates=1)
    for same in (
        {"memory_budget": 1 << 20}, {"timeout": 9.0}, {"replicates": 3}, {"draw": 2}, {"protocol": few},
        {"label_share": 0.3}, {"label_share": 0.3, "grant": ()},
    ):  # fmt: skip
        assert changed(**same).key == AT.key == changed().key
    assert changed(device="cuda:0").key == changed(device="cuda:1").key == changed(device="cuda").key
    told = {"grant": ("labels",)}
    assert changed(label_share=0.3, **told).key != changed(**told).key
    own = {"grant": ("labels=0.1",)}
    assert changed(label_share=0.3, **own).key == changed(**own).key
    before = AT.key
    monkeypatch.setattr(module, "VERSION", "0.0.0")
    assert AT.key != before and len(before) == 20 and int(before, 16) >= 0


def test_the_key_does_not_depend_on_the_order_in_which_parameters_are_given():
    assert changed(parameters={"a": 1, "b": 2}).key == changed(parameters={"b": 2, "a": 1}).key


def test_a_table_says_of_a_cell_where_it_stands():
    world = WORLD.changed(name="mine", behaviour="rating")
    at = changed(world=world, protocol=EvaluationProtocol(name="theirs"))
    assert at.columns == {
        "world": "mine", "behaviour": "rating", "bias_level": 1.0, "size": 40, "protocol": "theirs",
        "draw": 0, "estimator": "naive",
    }  # fmt: skip


def test_a_cell_is_built_at_its_own_level_size_and_seed():
    for at in (AT, changed(bias_level=2.0), changed(size=60), changed(seed=6)):
        built, expected = at.built(), build(at.world, at.bias_level, at.size, at.seed)
        assert np.array_equal(built.train.features, expected.train.features)
        assert np.array_equal(built.train.propensity, expected.train.propensity)


# -- what an estimator is made with ------------------------------------------------------------


class Half:
    """A reward of 1/2 for all, unless told otherwise."""

    def __init__(self, replicates, value=0.5):
        self.replicates, self.value = replicates, value

    def predict(self, features):
        return np.full((self.replicates, len(features)), self.value)


class Plain(Estimator):
    """Trains nothing, and remembers what it was handed."""

    name = "plain"
    seen: ClassVar[list] = []

    def __init__(self, rate=0.0, seed=0):
        self.rate, self.seed = rate, seed

    def fit_replicates(self, log, replicates=None, holdout=None):
        self.seen.append((self, log))
        return Half(log.n_replicates)


def fitted(at, **attributes):
    """What an estimator of this kind was made with, the log that it was handed, and the facts."""
    kind = type("Kind", (Plain,), {"seen": [], **attributes})
    _, facts = fit_cell(at, kind)
    return kind.seen, facts


def test_an_estimator_is_made_with_the_seed_its_parameters_and_a_device_if_it_takes_one():
    at = changed(parameters={"lr": 0.1}, device="cuda")
    assert at.arguments(find("naive")) == {"seed": 5, "lr": 0.1, "device": "cuda"}
    assert at.arguments(Plain) == {"seed": 5, "lr": 0.1}
    assert changed(parameters={"seed": 9}).arguments(Plain) == {"seed": 9}


def test_settings_are_those_that_an_estimator_has_each_once_behind_the_shipped_ones():
    tries = ({"rate": 1.0, "lr": 2.0}, {"lr": 3.0}, {"rate": 1.0}, {"rate": 2.0})
    at = changed(protocol=EvaluationProtocol(settings=tries))
    assert at.settings(Plain) == [{}, {"rate": 1.0}, {"rate": 2.0}]
    assert changed(protocol=EvaluationProtocol(settings=tries, untuned=("naive",))).settings(Plain) == [{}]


def test_a_setting_is_laid_over_the_parameters_and_the_way_it_runs_is_the_cells(monkeypatch):
    asked, executions = [], []

    def chunk_size(estimator, log, budget, precision):
        asked.append((budget, precision))
        return log.n_replicates

    class Runs(Plain):
        def __init__(self, rate=0.0, seed=0, hidden=(4,)):
            super().__init__(rate, seed)
            self.hidden = hidden

        def fit_replicates(self, log, replicates=None, holdout=None, execution=None):
            executions.append(execution)
            return super().fit_replicates(log, replicates, holdout)

    monkeypatch.setattr(supervision, "chunk_size", chunk_size)
    monkeypatch.setattr(Runs, "seen", [])
    at = changed(
        parameters={"rate": 0.5},
        protocol=EvaluationProtocol(settings=({"rate": 1.0},)),
        precision="tf32",
        memory_budget=1 << 21,
    )
    _, facts = fit_cell(at, Runs)
    assert [(one.rate, one.seed) for one, _ in Runs.seen] == [(0.5, 5), (1.0, 5)]
    assert asked == [(1 << 21, "tf32")] * 2 and executions == [Execution.on("cpu", "tf32", 1 << 21)] * 2
    assert facts["settings"] == [0, 0] and facts["restarts"] == {} == facts["weights"]


def test_the_log_is_drawn_for_the_cells_replicates_and_the_truth_is_for_who_is_told():
    log, truth = AT.built().draw(range(2))
    (_, own), facts = fitted(AT)[0][0], fitted(AT)[1]
    assert np.array_equal(own.feedback, log.feedback) and facts["knows"] == "nothing"
    seen, facts = fitted(AT, needs=frozenset({"truth"}))
    assert np.array_equal(seen[0][1].feedback, truth.preference) and facts["knows"] == "truth"
    assert not np.array_equal(log.feedback, truth.preference)


def test_another_world_may_stand_in_for_the_cells_own():
    other = build(WORLD, 1.0, 50, 6)
    kind = type("Kind", (Plain,), {"seen": []})
    predictions, _ = fit_cell(AT, kind, other)
    assert np.array_equal(kind.seen[0][1].features, other.train.features) and predictions.shape == (2, 100)


def test_what_it_knows_is_the_grants_the_truth_the_context_the_signals_and_the_leaks_in_turn():
    reads_context = (Network(), Network(("propensity",), "context"))
    asks = {"needs": frozenset({"propensity", "signals"}), "networks": reads_context}
    leaky = EvaluationProtocol(oracle_stopping=True)
    signals = WORLD.changed(signals=3)
    at = changed(world=signals, grant=("propensity:distorted=2", "class prior"), protocol=leaky)
    told = "propensity (distorted 2), context, 3 signals, oracle stopping"
    assert fitted(at, **asks)[1]["knows"] == told
    asks["needs"] = frozenset({"propensity", "truth"})
    assert fitted(at, **asks)[1]["knows"] == "propensity (distorted 2), truth, context, oracle stopping"
    assert fitted(changed(world=signals), networks=reads_context)[1]["knows"] == "context"
    assert fitted(changed(world=signals), networks=(Network(),))[1]["knows"] == "nothing"
    no_context = WORLD.changed(reads="features")
    assert fitted(changed(world=no_context), networks=reads_context)[1]["knows"] == "nothing"


def test_signals_are_for_who_asks_for_them():
    regenerate = WORLD.changed(signals=2, regenerate=True)
    (_, log), facts = fitted(changed(world=regenerate))[0][0], fitted(changed(world=regenerate))[1]
    assert log.signals is None and log.negative_signals == () and facts["knows"] == "nothing"
    for how in ("needs", "optional"):
        seen, facts = fitted(changed(world=regenerate), **{how: frozenset({"signals"})})
        assert seen[0][1].signals.shape == (2, 3, 40) and seen[0][1].negative_signals == (2,)
        assert facts["knows"] == "3 signals"


# -- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["one for all", "one a replicate"])
def test_weight_diagnostics_are_loops_over_clicks(shape):
    rng = np.random.default_rng(0)
    feedback = (rng.random((3, 12)) < 0.5).astype(np.float32)
    alpha = rng.uniform(0.2, 1, (3, 12))
    alpha[:, :4] = 1.0  # whose weight is 1, and 1 - r/α is 0: not negative
    feedback[:, 0] = 1
    if shape == "one for all":
        alpha = alpha[0]
    log = FeedbackLog(rng.standard_normal((12, 2)).astype(np.float32), feedback, np.arange(12))
    shares, largest, negative = [], [], []
    for i in range(3):
        weights = [1 / np.broadcast_to(alpha, (3, 12))[i, j] for j in range(12) if feedback[i, j] == 1]
        shares.append(sum(weights) ** 2 / sum(w * w for w in weights) / len(weights))
        largest.append(max(weights))
        negative.append(sum(1 - w < 0 for w in weights) / 12)
    assert weight_diagnostics(log) == {}
    told = FeedbackLog(log.features, feedback, log.groups, propensity=alpha)
    found = weight_diagnostics(told)
    for name, each in {
        "effective_sample_share": shares, "largest_weight": largest, "negative_weight_share": negative,
    }.items():  # fmt: skip
        assert found.pop(name) == pytest.approx(each)
    assert not found and np.mean(shares) < 0.99


def test_the_weights_of_a_cell_are_of_the_propensity_that_it_was_told():
    world, asks = AT.built(), {"needs": frozenset({"propensity"})}
    log, truth = world.draw(range(2))
    facts = fitted(changed(grant=("propensity",)), **asks)[1]
    largest = np.where(log.feedback == 1, 1 / truth.propensity, 0).max(1)
    assert facts["weights"]["largest_weight"] == pytest.approx(largest)
    assert fitted(changed(grant=("propensity",)))[1]["weights"] == {}


# -- how it ends -------------------------------------------------------------------------------


def found(monkeypatch, kind):
    monkeypatch.setattr(module, "find", lambda name: kind)


def test_what_is_missing_is_what_neither_grants_nor_world_give(monkeypatch, tmp_path):
    kind = type("Kind", (Plain,), {"needs": frozenset({"truth", "propensity", "labels", "signals"})})
    assert missing(AT, kind) == ["labels", "propensity", "signals"]
    assert missing(changed(grant=("propensity:estimated=50",)), kind) == ["labels", "signals"]
    several = WORLD.changed(signals=2)
    assert missing(changed(world=several, grant=("labels", "propensity")), kind) == []
    assert missing(changed(grant=("always acts",)), Plain) == ["a world with users who always act"]
    found(monkeypatch, kind)
    outcome = run_cell(AT, Shards(tmp_path))
    assert outcome == Outcome(AT, "skipped", "needs labels and propensity and signals", 0.0)


def test_a_finished_cell_is_read_and_not_fitted_again(monkeypatch, tmp_path):
    shards = Shards(tmp_path)
    found(monkeypatch, type("Kind", (Plain,), {"seen": []}))
    first = run_cell(AT, shards)
    predictions, facts = shards.read(AT.key)
    (part,) = facts["parts"]
    assert first.status == "ok" and first.reason == "" and first.seconds == part["seconds"] > 0
    assert (predictions == 0.5).all() and predictions.shape == (2, 100) and facts["knows"] == "nothing"
    assert part.items() >= {
        "replicates": 2, "simbench": VERSION, "torch": torch.__version__, "numpy": np.__version__
    }.items()  # fmt: skip
    shards.write(AT.key, predictions, {**facts, "parts": [{**part, "seconds": 77.0}]})
    monkeypatch.setattr(module, "fit_cell", None)  # which cannot be called
    assert run_cell(AT, shards) == Outcome(AT, "ok", "", 77.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_no_result(value, monkeypatch, tmp_path):
    class Diverged(Plain):
        def fit_replicates(self, log, replicates=None, holdout=None):
            values = np.full(100, 0.5)
            values[7] = value
            return Half(log.n_replicates, values)

    found(monkeypatch, Diverged)
    outcome = run_cell(AT, Shards(tmp_path))
    assert outcome.status == "failed" and not Shards(tmp_path).has(AT.key)
    assert outcome.reason == "ArithmeticError: the predictions are not finite: training diverged"


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_predictions_that_leave_0_to_1_are_no_result_unless_they_only_rank(value, monkeypatch, tmp_path):
    class Logits(Plain):
        def fit_replicates(self, log, replicates=None, holdout=None):
            values = np.full(100, 0.5)
            values[7] = value
            return Half(log.n_replicates, values)

    found(monkeypatch, Logits)
    outcome = run_cell(AT, Shards(tmp_path))
    assert outcome.status == "failed" and not Shards(tmp_path).has(AT.key)
    assert "not in [0, 1]: these look like logits: override `link`" in outcome.reason
    found(monkeypatch, type("Ranks", (Logits,), {"ranks_only": True}))
    assert run_cell(AT, Shards(tmp_path)).status == "ok" and Shards(tmp_path).has(AT.key)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("first line\nsecond"), "ValueError: first line"), (KeyError(), "KeyError")],
)
def test_an_error_is_the_outcome_of_its_cell(error, reason, monkeypatch, tmp_path):
    class Raises(Plain):
        def fit_replicates(self, log, replicates=None, holdout=None):
            raise error

    found(monkeypatch, Raises)
    outcome = run_cell(AT, Shards(tmp_path))
    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert 0 < outcome.seconds < 60 and list(tmp_path.iterdir()) == []
