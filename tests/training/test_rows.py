"""Which rows of the log every step, evaluation and pair reads, and that all they read is of these rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from simbench_estimators.naive import Naive
from sklearn.metrics import log_loss

from simbench.estimator.estimator import Estimator, grant
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream
from simbench.training.contract import MEMORY_BUDGET
from simbench.training.holdout import Holdout
from simbench.training.losses import cross_entropy
from simbench.training.network import block_width
from simbench.training.train import train
from simbench.training.trainer import Execution, Trainer

N, R, SEED = 30, 3, 4
GROUPS = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 3))


class Notes(Estimator):
    """Writes down which rows every call was given, as the propensity tells them, and checks the rest."""

    def objective(self, out, batch):
        self.note("step", out, batch)
        return cross_entropy(out.reward, batch.feedback).mean(-1)

    def selection_loss(self, out, batch):
        self.note("held out", out, batch)
        return torch.full(batch.feedback.shape[:1], -float(len(self.notes)))

    def calibration(self, out, batch):
        self.note("calibration", out, batch)
        return batch.feedback.mean(-1, keepdim=True)

    def note(self, kind, out, batch):
        """Feature, feedback and propensity must be of one row: each is a function of its number."""
        rows = np.rint(batch.propensity.numpy() * N).astype(int) - 1
        assert np.array_equal(batch.feedback.numpy(), FEEDBACK[: len(batch.feedback)][:, rows])
        if self.lr == 0:
            logit = torch.as_tensor(np.stack([w * X[rows, 0] + b for w, b in drawn(R)]), dtype=torch.float64)
            assert torch.allclose(out.reward[:R].double(), logit, atol=1e-5)
        self.__dict__.setdefault("notes", []).append((kind, rows))

    def rows(self, kind):
        return [rows for noted, rows in self.notes if noted == kind]


class Paired(Notes):
    """The same on pairs."""

    reads_pairs = True


X = (np.arange(N, dtype=np.float32)[:, None] - 15) / 10
FEEDBACK = (np.random.default_rng(2).random((block_width(()), N)) < 0.5).astype(np.float32)
FEEDBACK[R:] = FEEDBACK[R - 1]  # as replicates are padded


def drawn(count):
    """Weight and bias of logistic regressions on one feature."""
    return [stream(SEED, "init", "reward", number).uniform(-1, 1, (2, 1))[:, 0] for number in range(count)]


@pytest.fixture(scope="module")
def log():
    return FeedbackLog(X, FEEDBACK[:R], GROUPS, propensity=np.arange(1, N + 1) / N)


def settings(**other):
    still = {"hidden": (), "lr": 0.0, "batch_size": 8, "epochs": 2, "validation_share": 0.3}
    return still | {"weight_decay": 0.0, "seed": SEED} | other


def split():
    first = stream(SEED, "split").permutation(10) < 3
    return np.flatnonzero(~first[GROUPS]), np.flatnonzero(first[GROUPS])


@pytest.mark.parametrize("pool", [1 << 20, 4 * 16])
def test_an_epoch_reads_every_training_row_once_in_the_order_of_its_stream(log, pool):
    """Whether all rows make one pool or several."""
    estimator, (train_rows, held_out) = Notes(**settings()), split()
    model = train(estimator, log, range(R), execution=Execution(pool=pool))
    order = stream(SEED, "order")
    steps = estimator.rows("step")
    for epoch in range(2):
        mine = steps[3 * epoch : 3 * epoch + 3]
        assert [len(rows) for rows in mine] == [8, 8, 5]
        if pool == 1 << 20:
            assert np.concatenate(mine).tolist() == train_rows[order.permutation(21)].tolist()
        assert np.array_equal(np.sort(np.concatenate(mine)), train_rows)
    assert len(steps) == 6
    for kind, times in (("held out", 2), ("calibration", 1)):
        assert [rows.tolist() for rows in estimator.rows(kind)] == [held_out.tolist()] * times
    assert model.calibration.numpy() == pytest.approx(FEEDBACK[:R][:, held_out].mean(1, keepdims=True))
    assert model.epochs.tolist() == [2] * R


def test_a_seed_of_its_own_gives_another_split_and_order(log):
    notes = []
    for seed in (0, 1):
        estimator = Notes(**settings(seed=seed, lr=0.1))
        train(estimator, log, range(R))
        notes.append(estimator)
    one, other = notes
    assert set(one.rows("held out")[0]) != set(other.rows("held out")[0])
    assert one.rows("step")[0].tolist() != other.rows("step")[0].tolist()


def test_pairs_are_of_one_prompt_and_of_one_side_of_the_split(log):
    """Steps of batch_size // 2 pairs; the held-out pairs are drawn once."""
    estimator, (train_rows, held_out) = Paired(**settings()), split()
    train(estimator, log, range(R))
    steps = estimator.rows("step")
    assert [len(rows) for rows in steps] == [8, 8, 8, 8, 8, 2] * 2
    for epoch in (steps[:6], steps[6:]):
        first, partner = np.concatenate([rows.reshape(2, -1) for rows in epoch], axis=1)
        assert np.array_equal(np.sort(first), train_rows) and set(partner) <= set(train_rows)
        assert (first != partner).all() and np.array_equal(GROUPS[first], GROUPS[partner])
    assert steps[0].tolist() != steps[6].tolist()
    watched = estimator.rows("held out")
    assert watched[0].tolist() == watched[1].tolist() == estimator.rows("calibration")[0].tolist()
    first, partner = watched[0].reshape(2, -1)
    assert np.array_equal(np.sort(first), held_out) and set(partner) <= set(held_out)
    assert (first != partner).all() and np.array_equal(GROUPS[first], GROUPS[partner])


def test_a_replicate_with_an_order_of_its_own_has_its_own_split_and_steps(log):
    estimator, numbers = Notes(**settings(lr=0.1)), [5, 9]
    log = log.replicates(slice(1))
    log = replace(log, feedback=np.repeat(log.feedback, 2, 0))
    estimator.note = lambda kind, out, batch: estimator.__dict__.setdefault("notes", []).append(
        (kind, np.rint(batch.propensity.numpy() * N).astype(int) - 1)
    )
    model = train(estimator, log, numbers, independent_order=True)
    assert [len(chunk.epochs) for chunk in model.models] == [1, 1]
    steps, watched = estimator.rows("step"), estimator.rows("held out")
    for place, number in enumerate(numbers):
        first = stream(SEED, "split", number).permutation(10) < 3
        assert watched[2 * place].tolist() == np.flatnonzero(first[GROUPS]).tolist()
        rows = np.flatnonzero(~first[GROUPS])[stream(SEED, "order", number).permutation(21)]
        assert np.concatenate(steps[6 * place : 6 * place + 3]).tolist() == rows.tolist()


class Frozen(Notes):
    """An epoch's state: the row, and how often it was refreshed."""

    has_epoch_state = True

    def epoch_state(self, out, batch):
        self.note("state", out, batch)
        self.refreshed = getattr(self, "refreshed", 0) + 1
        row = torch.arange(N).expand(batch.feedback.shape)
        return {"row": row.clone(), "refreshed": torch.full_like(row, self.refreshed)}

    def note(self, kind, out, batch):
        super().note(kind, out, batch)
        if kind not in ("state", "calibration"):
            rows = self.notes[-1][1]
            assert np.array_equal(batch.state["row"].numpy(), np.broadcast_to(rows, batch.feedback.shape))
            self.__dict__.setdefault("seen", []).append((kind, *batch.state["refreshed"].unique().tolist()))


def test_an_epochs_state_is_of_all_rows_and_is_refreshed_before_the_held_out_part_is_judged(log):
    estimator = Frozen(**settings())
    train(estimator, log, range(R))
    assert [rows.tolist() for rows in estimator.rows("state")] == [list(range(N))] * 3
    epoch = [("step", 1)] * 3 + [("held out", 2)]
    assert estimator.seen == epoch + [(kind, number + 1) for kind, number in epoch]


def test_a_state_stays_in_the_memory_from_which_a_recorded_step_reads(log):
    estimator = Frozen(**settings())
    trainer = Trainer(estimator, log, list(range(R)), (), Holdout(), Execution())
    trainer._refresh_state()
    place = {key: value.data_ptr() for key, value in trainer.state.items()}
    trainer._refresh_state()
    assert {key: value.data_ptr() for key, value in trainer.state.items()} == place
    assert trainer.state["refreshed"].unique().tolist() == [2]


class Warmed(Notes):
    """Epochs of an objective of their own before the training."""

    initial_epochs = 3

    def initial_objective(self, out, batch):
        self.note("initial", out, batch)
        return out.reward.mean(-1)


def test_initial_epochs_come_first_and_stop_nothing(log):
    estimator = Warmed(**settings())
    model = train(estimator, log, range(R))
    kinds = [kind for kind, _ in estimator.notes]
    assert kinds == ["initial"] * 9 + (["step"] * 3 + ["held out"]) * 2 + ["calibration"]
    order, train_rows = stream(SEED, "order"), split()[0]
    expected = np.concatenate([train_rows[order.permutation(21)] for _ in range(5)])
    steps = estimator.rows("initial") + estimator.rows("step")
    assert np.concatenate(steps).tolist() == expected.tolist() and model.epochs.tolist() == [2] * R


class Halved(Notes):
    """A link that halves, and a calibration that shifts."""

    def link(self, reward_logit, calibration=None):
        return torch.sigmoid(reward_logit) * (calibration if calibration is not None else 1.0)


@pytest.mark.parametrize("chunks", [False, True])
def test_oracle_stopping_sees_the_clean_labels_of_the_held_out_rows(log, chunks):
    """The loss that is watched is the log loss of the reported reward against them."""
    count, held_out = block_width(()) + 2, split()[1]
    rng = np.random.default_rng(3)
    clean = (rng.random((count, N)) < 0.5).astype(float)
    feedback = (rng.random((count, N)) < 0.5).astype(np.float32)
    estimator = Halved(**settings(epochs=1))
    estimator.note = lambda *_: None
    log = FeedbackLog(X, feedback, GROUPS)
    budget = 1 if chunks else MEMORY_BUDGET
    holdout = Holdout(oracle_labels=clean)
    model = train(estimator, log, range(count), memory_budget=budget, holdout=holdout)
    assert hasattr(model, "models") == chunks
    for row, (w, b) in enumerate(drawn(count)):
        reward = feedback[row, held_out].mean() / (1 + np.exp(-(w * X[held_out, 0] + b)))
        expected = log_loss(clean[row, held_out], reward)
        assert model.held_out_loss[row] == pytest.approx(expected, abs=1e-5)
        assert model.predict(X[held_out])[row] == pytest.approx(reward, abs=1e-5)


@pytest.mark.parametrize("wide", [False, True])
def test_oracle_stopping_goes_by_each_replicates_own_labels_when_others_have_stopped(wide):
    count = block_width(()) + 4
    rng = np.random.default_rng(3)
    clean = (rng.random((count, N)) < 0.5).astype(float)
    feedback = (rng.random((count, N)) < 0.5).astype(np.float32)
    clean[1 : block_width(()), :] = 1 - feedback[1 : block_width(()), :]  # these stop soon, most of a block
    estimator = Naive(**settings(epochs=25, lr=0.1, patience=1))
    log, holdout = FeedbackLog(X, feedback, GROUPS), Holdout(oracle_labels=clean)
    model = train(estimator, log, range(count), holdout=holdout, execution=Execution(wide))
    assert len(set(model.epochs)) > 3
    for row in range(count):
        own = log.replicates(slice(row, row + 1)), [row], Holdout(oracle_labels=clean[row : row + 1])
        alone = train(estimator, own[0], own[1], holdout=own[2])
        assert model.epochs[row] == alone.epochs[0]
        assert model.held_out_loss[row] == pytest.approx(alone.held_out_loss[0], abs=1e-5)


def test_what_training_is_told_of_each_replicate_is_its_own_in_every_chunk(log):
    """Its propensities and prior, its feedback rate, and what its chunk was prepared with."""
    count = block_width(()) + 3
    rng = np.random.default_rng(6)
    feedback = (rng.random((count, N)) < 0.5).astype(np.float32)
    own = {"propensity": rng.uniform(0.1, 1, (count, N)), "class_prior": rng.uniform(0.1, 0.9, count)}
    log = grant(FeedbackLog(X, feedback, GROUPS), **own)

    class Asks(Estimator):
        def prepare(self, log):
            return grant(log, misclick=log.n_replicates / 100)

        def reward_loss(self, out, batch):
            return cross_entropy(out.reward, batch.feedback)

        def selection_loss(self, out, batch):
            told = batch.propensity.mean(-1, keepdim=True) + 10 * batch.class_prior
            return (told + 100 * batch.feedback_rate + 1000 * batch.misclick)[:, 0]

    expected = own["propensity"][:, split()[1]].mean(1) + 10 * own["class_prior"] + 100 * feedback.mean(1)
    for budget, chunks in ((MEMORY_BUDGET, [count] * count), (1, [16] * 16 + [3] * 3)):
        model = train(Asks(**settings(epochs=1)), log, range(count), memory_budget=budget)
        assert model.held_out_loss == pytest.approx(expected + 10 * np.array(chunks), abs=1e-3)
