"""Stacked training: a replicate's numbers do not depend on its company."""

import numpy as np
import pytest
import torch

from simbench.estimator import grant
from simbench.network import StackedMLP, block_width
from simbench.registry import find
from simbench.training import split_by_prompt, train


@pytest.mark.parametrize("name", ["naive", "ips", "nnpu", "ips-scar", "implicitrm", "implicitrm-known"])
def test_a_replicate_is_the_same_alone_and_among_32(name, small_world):
    log, truth = small_world.draw(range(32))
    log = grant(log, propensity=truth.propensity, class_prior=0.5)
    estimator = find(name)(epochs=15)
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


@pytest.mark.parametrize("hidden", [(), (5,), (8, 3)])
def test_the_written_backward_pass_is_autograd(hidden):
    width = block_width(hidden)
    generators = [np.random.default_rng(i) for i in range(2 * width)]
    network = StackedMLP(4, hidden, generators, torch.device("cpu"))
    x = torch.randn(11, 4, generator=torch.Generator().manual_seed(0))
    target = torch.randn(2 * width, 11, generator=torch.Generator().manual_seed(1))
    logits = network.forward(x, keep=True)
    network.backward(logits - target)
    plain = [p.clone().requires_grad_() for p in network.parameters]
    layers = len(hidden) + 1
    h = x.expand(2, width, 11, 4)
    for layer in range(layers):
        w, b = plain[layer], plain[layers + layer]
        if layer == 0:
            w = w.view(2, 4, width, -1).permute(0, 2, 1, 3)
            b = b.view(2, width, -1)
        h = h @ w + b.unsqueeze(2)
        h = torch.relu(h) if layer < layers - 1 else h
    out = h.reshape(2 * width, 11)
    assert torch.allclose(out, logits, atol=1e-5)
    (0.5 * (out - target) ** 2).sum().backward()
    for block, views in enumerate(network.views):
        for mine, theirs in zip(views, plain, strict=True):
            assert torch.allclose(mine.grad, theirs.grad[block], atol=1e-4)


def test_prompts_stay_whole():
    groups = np.repeat(np.arange(50), 4)
    train_rows, held_out = split_by_prompt(groups, 0.2, 0)
    assert not set(groups[train_rows]) & set(groups[held_out])
    assert len(train_rows) + len(held_out) == 200 and len(held_out) == 40
