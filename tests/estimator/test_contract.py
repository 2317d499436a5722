"""What an estimator is unless it says otherwise, and what its scikit-learn face hands to the training."""

import inspect
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from simbench.errors import BadInput, NotIdentified
from simbench.estimator.estimator import Estimator, grant
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import KNOWLEDGE, MEMORY_BUDGET, Network
from simbench.training.holdout import Holdout
from simbench.training.samples import Batch, Outputs
from simbench.training.trainer import Execution

LOGIT = torch.tensor([[0.4, -1.0, 2.0], [0.0, 3.0, -2.0]])
BATCH = Batch(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), torch.tensor([[0.5], [0.5]]))


class Terms(Estimator):
    """A reward's and another network's loss that are told apart."""

    name = "terms"

    def reward_loss(self, out, batch):
        return out.reward * batch.feedback

    def auxiliary_loss(self, out, batch):
        return 10 * (out.reward + 1)


class Noted(Terms):
    """Keeps the log that it is given, and predicts what it is told."""

    def fit_replicates(self, log, replicates=None, holdout=None):
        self.log_ = log
        return SimpleNamespace(predict=lambda x: np.stack([x[:, 0], 1 - x[:, 0]]).astype(float), warning=None)


class Reader(Noted):
    """Reads whatever can be told."""

    optional = frozenset(KNOWLEDGE)
    networks = (Network(), Network(("propensity",), "context"))


X = np.array([[0.1, 1], [0.5, 2], [0.500001, 3], [0.9, 4]])


# -- defaults -------------------------------------------------------------------------------------


def test_an_objective_is_the_mean_of_both_losses_and_the_risk_of_the_rewards_alone():
    reward = (LOGIT * BATCH.feedback).numpy()
    whole = (reward + 10 * (LOGIT.numpy() + 1)).mean(1)
    estimator, out = Terms(), Outputs(LOGIT)
    for method in ("objective", "initial_objective", "selection_loss"):
        assert getattr(estimator, method)(out, BATCH).numpy() == pytest.approx(whole)
    assert estimator.risk(out, BATCH).numpy() == pytest.approx(reward.mean(1))


def test_an_initialisation_and_early_stopping_follow_the_objective_where_it_is_no_mean():
    class Other(Terms):
        def objective(self, out, batch):
            return out.reward.square().sum(-1)

    for method in ("initial_objective", "selection_loss"):
        found = getattr(Other(), method)(Outputs(LOGIT), BATCH)
        assert found.numpy() == pytest.approx((LOGIT.numpy() ** 2).sum(1))


def test_an_estimator_that_says_nothing_shifts_freezes_and_calibrates_nothing():
    estimator, log = Terms(), FeedbackLog(X, np.array([[0.0, 1, 1, 0]]), np.arange(4))
    assert estimator.initial_shift("reward", 3) == 0
    assert estimator.epoch_state(Outputs(LOGIT), BATCH) == {}
    assert estimator.calibration(Outputs(LOGIT), BATCH) is None
    assert estimator.prepare(log) is log
    assert estimator.networks_for(log) == (Network(("reward",), "features"),)
    assert Estimator.auxiliary_loss(estimator, Outputs(LOGIT), BATCH) == 0
    sigmoid = 1 / (1 + np.exp(-LOGIT.numpy()))
    assert estimator.link(LOGIT, torch.ones(2, 1)).numpy() == pytest.approx(sigmoid, rel=1e-6)
    ideal = estimator.ideal_loss(LOGIT, BATCH.feedback).numpy()
    r = BATCH.feedback.numpy()
    assert ideal == pytest.approx(-r * np.log(sigmoid) - (1 - r) * np.log(1 - sigmoid), rel=1e-5)
    flags = ("reads_pairs", "has_epoch_state", "reads_representation", "ranks_only")
    assert not any(getattr(Estimator, flag) for flag in flags) and Estimator.sums_over_samples
    assert (Estimator.initial_epochs, Estimator.mixup, Estimator.workspace) == (0, None, 0)
    with pytest.raises(NotImplementedError, match="Estimator must define reward_loss"):
        Estimator().reward_loss(Outputs(LOGIT), BATCH)


def test_hyper_parameters_are_the_documented_ones():
    """Every published number of this project was made with them."""
    defaults = {p.name: p.default for p in inspect.signature(Estimator).parameters.values()}
    assert defaults == {
        "hidden": (32, 16),
        "lr": 3e-3,
        "batch_size": 512,
        "epochs": 100,
        "patience": 8,
        "optimiser": "adam",
        "weight_decay": 1e-4,
        "validation_share": 0.2,
        "seed": 0,
        "device": "cpu",
    }
    assert Terms().get_params() == defaults
    assert MEMORY_BUDGET == 2 * 1024**3 and Execution().precision == "fp32"
    given = {name: f"the {name}" for name in defaults}
    assert Terms(**given).get_params() == given


def test_heads_are_those_of_all_networks():
    class Two(Terms):
        networks = (Network(("reward", "imputation")), Network(("propensity",), "context"))

    assert Two.heads() == {"reward", "imputation", "propensity"}
    assert Terms.heads() == {"reward"}


@pytest.mark.parametrize("need", ["propensity", "class prior", "misclick", "signals"])
def test_what_an_estimator_needs_is_refused_where_the_log_lacks_it(need):
    class Needs(Terms):
        needs = frozenset({need, "truth"})  # the truth is no part of a log

    feedback = np.array([[0.0, 1, 1, 0]])
    log = FeedbackLog(X, feedback, np.arange(4))
    with pytest.raises(BadInput, match=f"terms must be told the {need}, and the log"):
        Needs().require(log)
    with pytest.raises(BadInput, match=f"the {need}"):
        Needs(epochs=1).fit_replicates(log)
    told = {"propensity": np.full(4, 0.5), "class_prior": 0.5, "misclick": 0.0, "signals": feedback[:, None]}
    Needs().require(grant(log, **{need.replace(" ", "_"): told[need.replace(" ", "_")]}))


def test_replicates_are_numbered_from_zero_and_stopped_as_the_study_says(monkeypatch):
    seen = []

    def train(estimator, log, replicates, holdout=None, execution=None):
        seen.append((estimator, log, list(replicates), holdout, execution))
        return "fitted"

    monkeypatch.setattr("simbench.estimator.estimator.train", train)
    log = FeedbackLog(X, np.array([[0.0, 1, 1, 0]] * 3), np.arange(4))
    estimator, holdout = Terms(), Holdout("sample")
    assert estimator.fit_replicates(log) == "fitted"
    how = Execution(precision="bf16")
    assert estimator.fit_replicates(log, [7, 5, 6], holdout, how) == "fitted"
    assert seen == [(estimator, log, [0, 1, 2], None, None), (estimator, log, [7, 5, 6], holdout, how)]


def test_what_a_run_grants_is_put_into_the_log():
    log = FeedbackLog(X, np.array([[0.0, 1, 1, 0]]), np.arange(4))
    told = grant(log, class_prior=0.3, action_rate=0.4)
    assert (told.class_prior, told.action_rate, log.class_prior) == (0.3, 0.4, None)
    assert told.features is log.features


# -- the face -------------------------------------------------------------------------------------


def test_fit_hands_on_all_that_it_is_told():
    x = np.arange(8.0).reshape(4, 2)
    y = np.array(["no", "yes", "yes", "no"])
    clicks = np.array([0, 1, 1, 0])
    signals = np.column_stack([clicks, [1, 0, 1, 1], [0, 0, 1, 0]])
    context, propensity = np.arange(12.0).reshape(4, 3), np.array([0.1, 0.2, 0.3, 1.0])
    told = {"context": context, "propensity": propensity, "class_prior": 0.6, "signals": signals}
    told |= {"labels": [1, None, 0, np.nan], "misclick": 0.1, "action_rate": 0.7}
    told |= {"always_acts": [[True], [False], [False], [True]], "negative_signals": [2]}
    log = Reader().fit(x, y, groups=["b", "a", "b", "c"], **told).log_
    assert log.features.tolist() == x.tolist() and log.context.tolist() == context.tolist()
    assert log.feedback.tolist() == [clicks.tolist()] and log.feedback.dtype == np.float32
    assert log.groups.tolist() == [1, 0, 1, 2]
    assert log.propensity.tolist() == propensity.tolist() and log.class_prior == 0.6
    assert log.signals.tolist() == [signals.T.tolist()] and log.negative_signals == (2,)
    assert np.array_equal(log.labels, [[1, np.nan, 0, np.nan]], equal_nan=True)
    assert (log.misclick, log.action_rate) == (0.1, 0.7)
    assert log.always_acts.tolist() == [True, False, False, True]


def test_what_fit_is_not_told_is_not_there_and_every_row_is_its_own_prompt():
    log = Noted().fit(X, [3, 5, 5, 3]).log_
    assert log.feedback.tolist() == [[0, 1, 1, 0]] and log.groups.tolist() == [0, 1, 2, 3]
    assert (log.context, log.propensity, log.class_prior, log.signals) == (None,) * 4


def test_predictions_are_the_first_rewards_and_their_class_beyond_one_half():
    fitted = Noted().fit(X, ["good", "bad", "good", "bad"])
    reward = X[:, 0].astype(np.float32)
    assert fitted.predict_reward(X) == pytest.approx(reward)
    assert fitted.predict_proba(X) == pytest.approx(np.column_stack([1 - reward, reward]))
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert fitted.predict(X).tolist() == ["bad", "bad", "good", "good"]  # 1/2 itself is not beyond


@pytest.mark.parametrize(
    ("y", "message"), [([0, 1, 2, 1], "two classes, got 3"), ([1] * 4, "one class only")]
)
def test_other_than_two_classes_are_refused(y, message):
    with pytest.raises(BadInput, match=message):
        Noted().fit(X, y)


def test_a_fit_that_is_not_identified_says_so():
    class Advised(Noted):
        def fit_replicates(self, log, replicates=None, holdout=None):
            return SimpleNamespace(predict=None, warning="two rewards fit.")

    with pytest.warns(NotIdentified, match="^Advised: two rewards fit"):
        Advised().fit(X, [0, 1, 1, 0])


def test_a_clone_keeps_the_parameters_and_nothing_that_was_fitted():
    other = clone(Noted(lr=0.5).fit(X, [0, 1, 1, 0]))
    assert other.get_params() == Noted(lr=0.5).get_params()
    assert not hasattr(other, "model_") and not hasattr(other, "log_")


# -- parameters of an estimator of one's own ---------------------------------------------------------


class Mine(Estimator):
    """Cross-entropy on the feedback, multiplied by a parameter; the scale is none."""

    name = "mine"
    scale: ClassVar[float] = 2.0
    doubt: float = 0.5
    epochs = 3

    def reward_loss(self, out, batch):
        return (1 - self.doubt) * self.scale * self.ideal_loss(out.reward, batch.feedback)


def test_an_annotated_parameter_is_searched_over_a_grid():
    """At a doubt of 2 the loss is negative, and every step leads away from the feedback."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 2))
    y = (x[:, 0] > 0).astype(int)
    estimator = Mine(hidden=(), epochs=20, batch_size=32, lr=0.1)
    found = GridSearchCV(estimator, {"doubt": [0.0, 2.0]}, scoring="neg_log_loss", cv=2).fit(x, y)
    scores = found.cv_results_["mean_test_score"]
    assert found.best_params_ == {"doubt": 0.0} and found.best_estimator_.doubt == 0.0
    assert scores[0] > np.log(0.5) > scores[1]


def test_a_clone_keeps_the_parameters_of_an_estimator_of_ones_own():
    other = clone(Mine(doubt=0.3, seed=7))
    expected = {**Estimator().get_params(), "doubt": 0.3, "seed": 7, "epochs": 3}
    assert type(other) is Mine and other.get_params() == expected


def test_positional_arguments_and_unknown_parameters_are_refused():
    with pytest.raises(
        TypeError, match=r"^Mine takes its parameters by name only, such as Mine\(hidden=\.\.\.\)\.$"
    ):
        Mine(0.3)
    with pytest.raises(TypeError, match=r"^Mine has no parameter 'daubt'; it has hidden, lr, .*, doubt\.$"):
        Mine(daubt=0.3)


def test_an_annotated_class_variable_is_no_parameter_below_it_either():
    class Below(Mine):
        scale: float = 3.0

    for kind in (Mine, Below):
        assert "scale" not in kind().get_params() and "scale" not in inspect.signature(kind).parameters
        with pytest.raises(TypeError, match="has no parameter 'scale'"):
            kind(scale=1.0)


def test_a_subclass_changes_a_default_by_assigning_it():
    class Below(Mine):
        doubt = 0.25

    assert inspect.signature(Below).parameters["doubt"].default == 0.25 == Below().doubt
    assert (Mine().doubt, Mine().epochs, Estimator().epochs) == (0.5, 3, 100)
    assert Below(doubt=0.1).doubt == 0.1
