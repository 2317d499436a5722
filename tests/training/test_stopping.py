"""Early stopping of each replicate, against a loop over scripted held-out losses."""

from itertools import pairwise
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.training.losses import cross_entropy
from simbench.training.network import block_width
from simbench.training.train import train
from simbench.training.trainer import Execution, Trainer

R, N, EPOCHS = 20, 12, 12
PATIENCE = 2
assert block_width(()) < R  # two blocks, the second one padded
NAN, INF = np.nan, np.inf
LAYOUTS = [Execution(), Execution(wide=True)]


class Scripted(Estimator):
    """Held-out losses come from a table; replicates are told apart by their class prior."""

    script: ClassVar[np.ndarray]
    has_epoch_state = True

    def reward_loss(self, out, batch):
        assert torch.equal(batch.state["replicate"], number(batch).expand(batch.feedback.shape))
        self.steps = getattr(self, "steps", 0) + 1
        # targets of each replicate's own, so that another's parameters or optimiser state would show
        return cross_entropy(out.reward, batch.feedback * (0.3 + 0.03 * number(batch)))

    def epoch_state(self, out, batch):
        return {"replicate": number(batch).expand(batch.feedback.shape).clone()}

    def selection_loss(self, out, batch):
        self.watched = getattr(self, "watched", 0) + 1
        return torch.as_tensor(self.script[self.watched - 1])[number(batch)[:, 0]]


def number(batch):
    return (batch.class_prior * (R + 1)).round().long() - 1


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    feedback = (rng.random((R, N)) < 0.5).astype(np.float32)
    feedback[:, :2] = 0, 1
    x = rng.standard_normal((N, 2)).astype(np.float32)
    return FeedbackLog(x, feedback, np.arange(N), class_prior=np.arange(1, R + 1) / (R + 1))


def fitted(log, script, execution, patience=PATIENCE):
    Scripted.script = script
    estimator = Scripted(hidden=(), lr=0.1, batch_size=6, epochs=len(script), patience=patience)
    return estimator, train(estimator, log, range(R), execution=execution)


@pytest.fixture(scope="module")
def after(log):
    """Predictions after every number of epochs, when none stops."""
    falling = np.repeat(-np.arange(EPOCHS, dtype=float)[:, None], R, 1)
    return [fitted(log, falling[:k], Execution())[1].predict(log.features) for k in range(EPOCHS + 1)]


def stopped(losses, patience):
    """Epoch kept, its loss, and how many epochs were trained."""
    kept, best, waited = 0, INF, 0
    for epoch, loss in enumerate(losses, 1):
        waited += 1
        if np.isfinite(loss) and loss < best:
            kept, best, waited = epoch, loss, 0
        if waited == patience:
            break
    return kept, best, epoch


def check(log, after, script, execution, patience=PATIENCE):
    estimator, model = fitted(log, script, execution, patience)
    kept, best, trained = zip(*(stopped(losses, patience) for losses in script.T), strict=True)
    assert model.epochs.tolist() == list(kept)
    assert model.held_out_loss == pytest.approx(np.array(best))
    expected = np.stack([after[epoch][replicate] for replicate, epoch in enumerate(kept)])
    assert model.predict(log.features) == pytest.approx(expected, abs=1e-4)
    assert estimator.watched == max(trained)
    return kept


def test_one_epoch_more_is_seen_in_every_prediction(after):
    """Else the tests below could not tell which weights were kept."""
    assert all(np.abs(a - b).max(1).min() > 1e-3 for a, b in pairwise(after))


@pytest.mark.parametrize("execution", LAYOUTS)
@pytest.mark.parametrize("patience", [1, 2, 4])
def test_every_replicate_keeps_its_best_epoch_and_stops_on_its_own(log, after, execution, patience):
    """Losses of few values, so that ties are frequent: a tie is no improvement."""
    script = np.random.default_rng(patience).integers(0, 6, (EPOCHS, R)).astype(float)
    kept = check(log, after, script, execution, patience)
    assert len(set(kept)) > 3


@pytest.mark.parametrize("execution", LAYOUTS)
def test_a_better_loss_after_the_patience_ran_out_does_not_count(log, after, execution):
    """A replicate whose company goes on is trained with it, but is closed."""
    script = np.repeat(-np.arange(EPOCHS, dtype=float)[:, None], R, 1)
    script[:, 3] = [5, 4, 6, 6, *[0] * (EPOCHS - 4)]
    script[:, 19] = [1, *[2] * (EPOCHS - 2), -9]
    kept = check(log, after, script, execution)
    assert kept[3] == 2 and kept[19] == 1 and kept[0] == EPOCHS


@pytest.mark.parametrize("execution", LAYOUTS)
@pytest.mark.parametrize("diverged", [NAN, INF, -INF])
def test_a_loss_that_is_not_finite_is_never_the_best(log, after, execution, diverged):
    script = np.repeat(-np.arange(EPOCHS, dtype=float)[:, None], R, 1)
    script[:, 1] = diverged  # from the first: the initial weights stay
    script[2:, 5] = diverged
    script[1, 7] = diverged
    kept = check(log, after, script, execution)
    assert (kept[1], kept[5], kept[7]) == (0, 2, EPOCHS)


@pytest.mark.parametrize("execution", LAYOUTS)
def test_training_ends_when_the_last_replicate_stops(log, execution):
    script = np.repeat(np.arange(EPOCHS, dtype=float)[:, None], R, 1)
    script[:4, 19] = [3, 2, 1, 0]
    estimator, model = fitted(log, script, execution)
    assert estimator.watched == 4 + PATIENCE
    assert model.epochs.tolist() == [1] * (R - 1) + [4]
    assert estimator.steps == 2 * estimator.watched  # 10 rows in steps of 6


@pytest.mark.parametrize(
    ("is_open", "wide", "kept"),
    [
        ([1, 0, 0, 0, 0, 1], False, [1, 1, 0, 0, 1, 1]),  # whole blocks
        ([0, 0, 0, 1, 1, 1], False, [0, 0, 1, 1, 1, 1]),
        ([1, 0, 1, 1, 0, 1], True, [1] * 6),  # more than half are open: not worth packing
        ([1, 0, 0, 1, 0, 1], True, [1, 0, 0, 1, 0, 1]),
        ([0, 0, 0, 0, 0, 0], True, [0] * 6),
    ],
)
def test_which_replicates_the_next_epoch_trains(is_open, wide, kept):
    trainer = SimpleNamespace(execution=Execution(wide), width=2)
    found = Trainer._worth_keeping(trainer, np.array(is_open, bool))
    assert found.tolist() == [bool(k) for k in kept]


@pytest.mark.parametrize("goes_on", [3, 17])
def test_a_block_that_stopped_takes_no_part_in_the_steps(log, after, monkeypatch, goes_on):
    """One replicate improves in every epoch, and keeps its block, its parameters and its Adam."""
    sizes, original = [], Trainer._keep

    def watched(self, kept, optimiser):
        original(self, kept, optimiser)
        (vector,) = optimiser.param_groups[0]["params"]
        sizes.append((len(self.log.feedback), len(vector), int(optimiser.state[vector]["step"])))

    monkeypatch.setattr(Trainer, "_keep", watched)
    script = np.repeat(np.arange(EPOCHS, dtype=float)[:, None], R, 1)
    script[:, goes_on] *= -1
    check(log, after, script, Execution())
    assert sizes == [(16, 3 * 16, 6)]  # two weights and a bias each; three epochs of two steps
