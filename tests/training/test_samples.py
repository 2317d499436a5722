"""Mixed rows and representations as a training step hands them to a loss."""

from itertools import pairwise
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream
from simbench.training.contract import Network
from simbench.training.holdout import Holdout
from simbench.training.network import block_width
from simbench.training.samples import Batch, Outputs, partners, with_mixed_rows
from simbench.training.trainer import Execution, Trainer

ROWS, D, HIDDEN = 12, 4, (6, 5)


class Reads(Estimator):
    """Reads all that a step can give: two networks, mixed rows and the representation."""

    networks = (Network(), Network(("imputation",)))
    mixup: ClassVar[float | None] = 0.5
    reads_representation = True

    def objective(self, out: Outputs, batch: Batch) -> torch.Tensor:
        assert out.mixed is not None and batch.mixing is not None and out.imputation is not None
        assert out.representation is not None and out.representation.shape[-2:] == (HIDDEN[-1], ROWS)
        step = batch.feedback * out.reward + batch.mixing * out.mixed**2 + partners(out.reward) ** 3
        return (step + out.imputation).sum(-1) + (out.representation**2).sum((-2, -1))


def plain(generator: np.random.Generator) -> nn.Sequential:
    """One replicate's network in torch.nn, with the same initial draw."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([D, *HIDDEN, 1]):
        drawn = torch.as_tensor(generator.uniform(-1, 1, (fan_in + 1, fan_out)) / np.sqrt(fan_in))
        linear = nn.Linear(fan_in, fan_out)
        linear.weight.data, linear.bias.data = drawn[:-1].T.float(), drawn[-1].float()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def drawn_log(replicates: int) -> FeedbackLog:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((ROWS, D)).astype(np.float32)
    feedback = (rng.random((replicates, ROWS)) < 0.5).astype(np.float32)
    return FeedbackLog(features, feedback, np.arange(ROWS))


@pytest.mark.parametrize("wide", [False, True])
def test_a_step_has_the_gradient_of_torch_nn_under_autograd(wide):
    """Two blocks of replicates, or one wide block; every parameter after a plain gradient step."""
    estimator = Reads(hidden=HIDDEN, batch_size=ROWS, validation_share=0.0, epochs=1, seed=8)
    count = block_width(HIDDEN) + 2
    log = drawn_log(count)
    trainer = Trainer(estimator, log, list(range(count)), (), Holdout(), Execution(wide))
    # an epoch of one step, whose order and mixing are as the named streams draw them
    parameters = [one for own in trainer._parameters().values() for one in own]
    steps = trainer._steps(torch.optim.SGD(parameters, lr=0.01), estimator.objective)
    trainer._epoch(steps, stream("order"))
    order = stream("order").permutation(ROWS)
    share = torch.as_tensor(stream(8, "mixing").beta(0.5, 0.5, ROWS), dtype=torch.float32)[order]
    x = torch.as_tensor(log.features[order])
    mixed = share[:, None] * x + (1 - share[:, None]) * x[[*range(1, ROWS), 0]]
    for number in (0, 1, count - 1):
        peer = plain(stream(8, "init", "reward", number))
        feedback = torch.as_tensor(log.feedback[number, order])
        reward = peer(x)[:, 0]
        loss = feedback * reward + share * peer(mixed)[:, 0] ** 2 + reward[[*range(1, ROWS), 0]] ** 3
        (loss.sum() + (peer[:-1](x) ** 2).sum()).backward()
        torch.optim.SGD(peer.parameters(), lr=0.01).step()
        weights, biases = trainer.networks[Network()].layers_of(number)
        linears = [layer for layer in peer if isinstance(layer, nn.Linear)]
        for weight, bias, linear in zip(weights, biases, linears, strict=True):
            assert np.allclose(weight, linear.weight.detach(), atol=1e-5)
            assert np.allclose(bias, linear.bias.detach(), atol=1e-5)


def test_every_epoch_mixes_anew_in_the_same_memory():
    """Where a recorded step reads it."""
    estimator = Reads(hidden=HIDDEN, batch_size=ROWS, validation_share=0.0)
    trainer = Trainer(estimator, drawn_log(2), [0, 1], (), Holdout(), Execution())
    steps = trainer._steps(trainer._optimiser(), estimator.objective)
    seen = []
    for _ in range(2):
        trainer._epoch(steps, stream("order"))
        assert trainer.mixing is not None
        seen.append((trainer.mixing.data_ptr(), trainer.mixing.clone()))
    assert seen[0][0] == seen[1][0] and (seen[0][1] != seen[1][1]).all()


def test_a_row_alone_is_its_own_partner():
    x = torch.randn(1, D, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(with_mixed_rows(x, torch.tensor([0.3])), x.expand(2, D))


def test_halves_of_a_batch_of_pairs_share_out_the_representation_by_rows():
    """Even where the layer is as wide as the batch is long."""
    representation = torch.arange(16.0).view(1, 4, 4)
    first, second = Outputs(torch.zeros(1, 4), representation=representation).halves()
    assert first.representation is not None and second.representation is not None
    assert torch.equal(torch.cat([first.representation, second.representation], -1), representation)
    assert first.representation.shape == (1, 4, 2)


def test_a_mixed_row_is_its_share_of_the_row_and_the_rest_of_the_next():
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    found = with_mixed_rows(x, torch.tensor([0.75, 1.0, 0.1]))
    assert found[:3].tolist() == x.tolist()
    expected = [[1.25, 12.5], [2.0, 20.0], [0.1 * 4 + 0.9 * 1, 0.1 * 40 + 0.9 * 10]]
    assert found[3:].numpy() == pytest.approx(np.array(expected))
    assert with_mixed_rows(x.bfloat16(), torch.tensor([0.5, 0.5, 0.5])).dtype == torch.bfloat16


def test_partners_stand_next_along_the_rows():
    values = torch.arange(6).view(2, 3)
    assert partners(values).tolist() == [[1, 2, 0], [4, 5, 3]]
    assert partners(values, 0).tolist() == [[3, 4, 5], [0, 1, 2]]


def test_halves_of_a_batch_of_pairs_are_the_first_members_and_their_partners():
    """Of all that has a value a row; what has one a replicate stays whole."""
    row = torch.arange(4.0)
    batch = Batch(
        feedback=row.expand(2, 4),
        feedback_rate=torch.tensor([[0.1], [0.2]]),
        propensity=row,
        class_prior=torch.tensor(0.5),
        state={"row": row.expand(2, 4)},
        misclick=0.1,
        signals=row.expand(2, 3, 4),
        negative_signals=(1,),
    )
    for half, expected in zip(batch.halves(), ([0, 1], [2, 3]), strict=True):
        for value in (half.feedback, half.propensity, half.state["row"], half.signals):
            assert value.shape[-1] == 2 and (value == torch.tensor(expected)).all()
        assert half.feedback_rate.shape == (2, 1) and half.class_prior.item() == 0.5
        assert half.misclick == 0.1 and half.negative_signals == (1,) and half.labels is None
    out = Outputs(row.expand(2, 4), propensity=row.expand(2, 4) + 1, signals=row.expand(2, 3, 4))
    for half, expected in zip(out.halves(), ([0, 1], [2, 3]), strict=True):
        for value in (half.reward, half.propensity - 1, half.signals):
            assert value.shape[-1] == 2 and (value == torch.tensor(expected)).all()


def test_heads_of_signals_are_stacked_in_their_order_before_the_rows():
    trainer = SimpleNamespace(
        networks={Network(("signal:0", "reward", "signal:1")): 0, Network(("imputation",)): 0}
    )
    logits = torch.arange(24.0).view(3, 2, 4), torch.arange(8.0).view(1, 2, 4) - 100
    out = Trainer._outputs(trainer, list(logits))
    assert torch.equal(out.reward, logits[0][1]) and torch.equal(out.imputation, logits[1][0])
    assert out.signals.shape == (2, 2, 4) and out.propensity is None
    for number, head in enumerate((0, 2)):
        assert torch.equal(out.signals[:, number], logits[0][head])
