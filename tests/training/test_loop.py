"""A stacked training is a plain loop around torch.nn and Adam, one replicate at a time."""

from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream
from simbench.training.contract import Network
from simbench.training.holdout import Holdout
from simbench.training.losses import cross_entropy, observed_nll
from simbench.training.train import train
from simbench.training.trainer import Execution

N, D, K = 43, 3, 2
RESTART = 2**32  # from which a restart's numbers count
SEED = 7
GROUPS = np.random.default_rng(5).integers(0, 14, N)
NUMBERS = [0, RESTART + 3, 4]  # the second is a restart
SETTING = {
    "hidden": (5,),
    "lr": 0.05,
    "batch_size": 8,
    "epochs": 12,
    "patience": 2,
    "weight_decay": 0.2,
    "validation_share": 0.3,
    "seed": SEED,
}


class Clicks(Estimator):
    """Cross-entropy on the feedback."""

    def reward_loss(self, out, batch):
        return cross_entropy(out.reward, batch.feedback)

    def initial_shift(self, head, restart):
        return {"reward": 0.3, "propensity": -0.8}[head] * (1 + 2 * restart)


class Warmed(Clicks):
    """Two epochs of another objective before the training."""

    initial_epochs = 2

    def initial_objective(self, out, batch):
        return (out.reward - 1).square().mean(-1)


class Apart(Clicks):
    """Reward and propensity in two networks, the second one on the context."""

    networks = (Network(), Network(("propensity",), "context"))

    def reward_loss(self, out, batch):
        return observed_nll(out.reward, nn.functional.logsigmoid(out.propensity), batch.feedback)


class Together(Apart):
    """Both heads on one trunk."""

    networks = (Network(("reward", "propensity")),)


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((N, D)).astype(np.float32), rng.standard_normal((N, K)).astype(np.float32)
    p = 1 / (1 + np.exp(-2 * x[:, 0])) / (1 + np.exp(-2 * z[:, 0]))
    feedback = (rng.random((len(NUMBERS), N)) < p).astype(np.float32)
    return FeedbackLog(x, feedback, GROUPS, context=z)


def plain(sizes, generator, shifts):
    """One network in torch.nn, drawn as the stacked one is."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        drawn = torch.as_tensor(generator.uniform(-1, 1, (fan_in + 1, fan_out)) / np.sqrt(fan_in))
        linear = nn.Linear(fan_in, fan_out)
        linear.weight.data, linear.bias.data = drawn[:-1].T.float(), drawn[-1].float()
        layers += [linear, nn.ReLU()]
    layers[-2].bias.data += torch.tensor(shifts)
    return nn.Sequential(*layers[:-1])


class Alone:
    """One replicate, trained as a textbook would."""

    def __init__(self, estimator, log, row, number, train_rows, held_out):
        # copies: a log's arrays are read-only
        self.x, self.z = torch.tensor(log.features), torch.tensor(log.context)
        self.r = torch.tensor(log.feedback[row])
        self.estimator, hidden = estimator, estimator.hidden
        restart = number // RESTART
        shift = [0.3 * (1 + 2 * restart), -0.8 * (1 + 2 * restart)]
        draws = {
            name: stream(SEED, "init", name, number) for name in ("reward", "propensity", "reward+propensity")
        }
        if isinstance(estimator, Together):
            self.nets = [plain([D, *hidden, 2], draws["reward+propensity"], shift)]
        else:
            self.nets = [plain([D, *hidden, 1], draws["reward"], shift[:1])]
            if isinstance(estimator, Apart):
                self.nets.append(plain([K, *hidden, 1], draws["propensity"], shift[1:]))
        self.train_rows, self.held_out = train_rows, held_out

    def logits(self, rows):
        """Of the reward and, where there is one, the propensity."""
        if len(self.nets) == 2:
            return torch.cat([self.nets[0](self.x[rows]), self.nets[1](self.z[rows])], 1)
        return self.nets[0](self.x[rows])

    def loss(self, rows):
        logits = self.logits(rows)
        if logits.shape[1] == 1:
            return binary_cross_entropy_with_logits(logits[:, 0], self.r[rows])
        return binary_cross_entropy(logits.sigmoid().prod(1), self.r[rows])

    def adam(self):
        parameters = [p for net in self.nets for p in net.parameters()]
        settings = {"lr": self.estimator.lr, "weight_decay": self.estimator.weight_decay}
        return torch.optim.Adam(parameters, **settings)

    def epoch(self, adam, order, loss):
        rows = self.train_rows[order.permutation(len(self.train_rows))]
        for start in range(0, len(rows), self.estimator.batch_size):
            adam.zero_grad()
            loss(rows[start : start + self.estimator.batch_size]).backward()
            adam.step()

    def run(self):
        """Predicted probabilities of every row, the epoch that was kept, and its loss."""
        order, adam = stream(SEED, "order"), self.adam()
        for _ in range(self.estimator.initial_epochs):
            self.epoch(adam, order, lambda rows: (self.logits(rows)[:, 0] - 1).square().mean())
        adam, waited = self.adam(), 0
        kept, best_loss, best = 0, np.inf, deepcopy(self.nets)
        for epoch in range(self.estimator.epochs):
            self.epoch(adam, order, self.loss)
            loss = self.loss(self.held_out).item()
            waited += 1
            if loss < best_loss:
                kept, best_loss, best, waited = epoch + 1, loss, deepcopy(self.nets), 0
            if waited == self.estimator.patience:
                break
        self.nets = best
        return self.logits(np.arange(N)).sigmoid().T.detach().numpy(), kept, best_loss


def split(units):
    """The share of the units that come first in a random order, at their whole."""
    names, code = np.unique(units, return_inverse=True)
    first = stream(SEED, "split").permutation(len(names)) < round(0.3 * len(names))
    return np.flatnonzero(~first[code]), np.flatnonzero(first[code])


@pytest.mark.parametrize("kind", [Clicks, Warmed, Apart, Together])
@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("wide", [False, True])
def test_training_is_a_plain_loop(kind, hidden, wide, log):
    """Initial weights and shifts, order, Adam with coupled weight decay, early stopping, best weights."""
    estimator = kind(**(SETTING | {"hidden": hidden}))
    model = train(estimator, log, NUMBERS, execution=Execution(wide))
    rewards = model.predict(log.features)
    for row, number in enumerate(NUMBERS):
        expected, kept, loss = Alone(estimator, log, row, number, *split(GROUPS)).run()
        assert model.epochs[row] == kept
        assert model.held_out_loss[row] == pytest.approx(loss, abs=1e-4)
        assert np.abs(rewards[row] - expected[0]).max() < 1e-3
        if len(expected) == 2:
            inputs = log.features if kind is Together else log.context
            assert np.abs(model.predict_propensity(inputs)[row] - expected[1]).max() < 1e-3


def test_what_no_epoch_improves_is_the_fit_of_the_initial_epochs(log):
    estimator = Warmed(**(SETTING | {"epochs": 0}))
    model = train(estimator, log, NUMBERS)
    for row, number in enumerate(NUMBERS):
        expected, kept, loss = Alone(estimator, log, row, number, *split(GROUPS)).run()
        assert model.epochs[row] == kept == 0 and model.held_out_loss[row] == loss == np.inf
        assert np.abs(model.predict(log.features)[row] - expected[0]).max() < 1e-4


def test_the_reference_stops_at_different_epochs(log):
    """Else it could not tell a wrong patience, or the last weights from the best."""
    runs = [Alone(Clicks(**SETTING), log, row, NUMBERS[row], *split(GROUPS)).run() for row in range(3)]
    assert len({kept for _, kept, _ in runs}) > 1 and min(kept for _, kept, _ in runs) < 10


def test_single_responses_are_held_out_where_the_protocol_says_so(log):
    estimator = Clicks(**SETTING)
    model = train(estimator, log, NUMBERS, holdout=Holdout("sample"))
    for row, number in enumerate(NUMBERS):
        expected, kept, loss = Alone(estimator, log, row, number, *split(np.arange(N))).run()
        assert model.epochs[row] == kept and model.held_out_loss[row] == pytest.approx(loss, abs=1e-4)
        assert np.abs(model.predict(log.features)[row] - expected[0]).max() < 1e-3


def test_without_a_held_out_part_all_rows_train_and_are_watched(log):
    estimator = Clicks(**(SETTING | {"validation_share": 0.0}))
    model = train(estimator, log, NUMBERS)
    for row, number in enumerate(NUMBERS):
        expected, kept, loss = Alone(estimator, log, row, number, np.arange(N), np.arange(N)).run()
        assert model.epochs[row] == kept and model.held_out_loss[row] == pytest.approx(loss, abs=1e-4)
        assert np.abs(model.predict(log.features)[row] - expected[0]).max() < 1e-3


def test_features_stand_in_for_a_context_that_is_not_there(log):
    """The propensity network then reads what the reward network reads."""
    from dataclasses import replace

    estimator = Apart(**(SETTING | {"epochs": 3}))
    model = train(estimator, replace(log, context=None), NUMBERS)
    told = train(estimator, replace(log, context=log.features), NUMBERS)
    assert model.predict(log.features) == pytest.approx(told.predict(log.features), abs=1e-6)
    found = model.predict_propensity(log.features)
    assert found == pytest.approx(told.predict_propensity(log.features), abs=1e-6)
