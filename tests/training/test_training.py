"""Stacked training: a replicate's numbers do not depend on its company."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from simbench.estimator.estimator import grant
from simbench.estimator.registry import find
from simbench.training.batches import split_by_prompt
from simbench.training.network import StackedMLP, block_width
from simbench.training.train import train


@pytest.mark.parametrize(
    "name",
    ["naive", "ips", "nnpu", "ips-scar", "implicitrm", "implicitrm-known", "vpu"],
)
def test_a_replicate_is_the_same_alone_and_among_32(name, small_world):
    log, truth = small_world.draw(range(32))
    log = grant(log, propensity=truth.propensity, class_prior=0.5)
    estimator = find(name)(epochs=4, lr=0.01)
    x = small_world.test.features
    among = train(estimator, log, range(32)).predict(x)
    alone = train(estimator, log.replicates(slice(9, 10)), range(9, 10)).predict(x)
    assert np.abs(among[9] - alone[0]).max() < 1e-5
    chunked = train(estimator, log, range(32), memory_budget=1).predict(x)
    assert np.abs(among - chunked).max() < 1e-5
    assert np.abs(among[9] - among[10]).max() > 1e-3


def test_a_row_is_scored_the_same_in_any_company(small_world):
    log, _ = small_world.draw(range(2))
    model = find("naive")(epochs=2).fit_replicates(log)
    x = small_world.test.features
    assert np.array_equal(model.predict(x)[:, 7:8], model.predict(x[7:8]))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("hidden", [(), (150,), (5,), (40, 3), (8, 3, 4)])
def test_the_written_backward_pass_is_autograd(hidden, outputs):
    width = block_width(hidden)
    generators = [np.random.default_rng(i) for i in range(2 * width)]
    network = StackedMLP(4, hidden, generators, torch.device("cpu"), outputs)
    x = torch.randn(11, 4, generator=torch.Generator().manual_seed(0))
    target = torch.randn(outputs, 2 * width, 11, generator=torch.Generator().manual_seed(1))
    logits = network.forward(x, keep=True)
    network.backward(logits - target)
    for number, generator in enumerate(np.random.default_rng(i) for i in range(2 * width)):
        plain = _plain_network([4, *hidden, outputs], generator)
        out = plain(x).T
        rows = logits[:, number]
        assert torch.allclose(out, rows, atol=1e-5)
        (0.5 * (out - target[:, number]) ** 2).sum().backward()
        mine = network.blocks[number // width].bias_gradients[-1].view(width, outputs)[number % width]
        assert torch.allclose(mine, plain[-1].bias.grad, atol=1e-4)
        first = network.blocks[number // width].weight_gradients[0]
        first = first.view(4, width, -1)[:, number % width].T if hidden else first[number % width]
        assert torch.allclose(first, plain[0].weight.grad, atol=1e-4)


def _plain_network(sizes: list[int], rng: np.random.Generator) -> torch.nn.Sequential:
    """The same network from PyTorch's modules, with the same initial draw."""
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = torch.nn.Linear(fan_in, fan_out)
        draw = torch.as_tensor(rng.uniform(-1, 1, (fan_in + 1, fan_out)) / np.sqrt(fan_in))
        linear.weight.data, linear.bias.data = draw[:-1].T.float(), draw[-1].float()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def test_prompts_stay_whole():
    groups = np.repeat(np.arange(50), 4)
    train_rows, held_out = split_by_prompt(groups, 0.2, 0)
    assert not set(groups[train_rows]) & set(groups[held_out])
    assert len(train_rows) + len(held_out) == 200 and len(held_out) == 40
