"""Stacked networks against torch.nn under autograd, and a trained one against scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from torch import nn

from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt
from simbench.training.network import StackedMLP, block_width
from simbench.training.train import train

D, ROWS = 4, 11
ARCHITECTURES = [(), (5,), (8, 3), (6, 5, 4)]


def generators(hidden, first_seed=0):
    """Two blocks of replicates, so that the second one's offset counts."""
    return [np.random.default_rng(first_seed + i) for i in range(2 * block_width(hidden))]


def stacked(hidden, n_outputs=1, first_seed=0):
    return StackedMLP(D, hidden, generators(hidden, first_seed), torch.device("cpu"), n_outputs)


def sequential(hidden, n_outputs, generator):
    """One replicate in torch.nn: the generator draws weights and biases of a layer in one array,
    uniform within ``1/√fan_in`` as PyTorch does."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([D, *hidden, n_outputs]):
        drawn = generator.uniform(-(fan_in**-0.5), fan_in**-0.5, (fan_in + 1, fan_out))
        linear = nn.Linear(fan_in, fan_out)
        with torch.no_grad():
            linear.weight.copy_(torch.as_tensor(drawn[:-1].T))
            linear.bias.copy_(torch.as_tensor(drawn[-1]))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def inputs(seed=0):
    return torch.randn(ROWS, D, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("hidden", ARCHITECTURES)
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_forward_and_backward_are_those_of_torch_nn(hidden, n_outputs):
    """A gradient step on each side, then the same logits: every parameter's gradient is right."""
    network = stacked(hidden, n_outputs)
    peers = [sequential(hidden, n_outputs, g) for g in generators(hidden)]
    x = inputs()
    logits = network.forward(x, keep=True)
    expected = torch.stack([peer(x).T for peer in peers], dim=1)
    assert logits.shape == (n_outputs, len(peers), ROWS)
    assert torch.allclose(logits, expected, atol=1e-6)

    target = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (0.5 * (expected - target) ** 2).sum().backward()
    network.backward(logits - target)
    network.parameters.sub_(network.gradients, alpha=0.05)
    for peer in peers:
        torch.optim.SGD(peer.parameters(), lr=0.05).step()
    stepped = torch.stack([peer(x).T for peer in peers], dim=1)
    assert (stepped - expected).abs().max() > 0.05, "the step must be large enough to tell"
    assert torch.allclose(network.forward(x), stepped, atol=1e-5)


@pytest.mark.parametrize("hidden", [(5,), (8, 3), (6, 5, 4)])
@pytest.mark.parametrize("wide", [False, True])
def test_a_loss_on_the_representation_has_the_gradient_of_torch_nn(hidden, wide):
    """Witness: autograd through the last hidden layer and through the logits above it."""
    drawn = generators(hidden)
    width = len(drawn) if wide else None
    network = StackedMLP(D, hidden, drawn, torch.device("cpu"), 1, width)
    x = inputs()
    logits = network.forward(x, keep=True)
    representation = network.representation()
    assert representation is not None and representation.shape == (len(drawn), hidden[-1], ROWS)

    peers = [sequential(hidden, 1, g) for g in generators(hidden)]
    for number, peer in enumerate(peers):
        below = peer[:-1](x)
        assert torch.allclose(representation[number], below.T, atol=1e-6)
        (0.5 * (below**3).sum() + 0.5 * (peer(x) ** 2).sum()).backward()
        torch.optim.SGD(peer.parameters(), lr=0.05).step()
    stepped = torch.stack([peer(x).T for peer in peers], dim=1)
    network.backward(logits, 1.5 * representation**2)
    network.parameters.sub_(network.gradients, alpha=0.05)
    assert (stepped - logits).abs().max() > 0.05, "the step must be large enough to tell"
    assert torch.allclose(network.forward(x), stepped, atol=1e-5)


def test_without_hidden_layers_there_is_no_representation():
    network = stacked(())
    network.forward(inputs(), keep=True)
    assert network.representation() is None


@pytest.mark.parametrize("hidden", ARCHITECTURES)
def test_a_second_backward_pass_does_not_add_to_the_first(hidden):
    network = stacked(hidden)
    gradients = []
    for _ in range(2):
        network.backward(torch.cos(network.forward(inputs(), keep=True)))
        gradients.append(network.gradients.clone())
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0


@pytest.mark.parametrize("hidden", ARCHITECTURES)
def test_the_best_weights_are_taken_replicate_by_replicate(hidden):
    """As early stopping does it: from a network that has dropped its first block."""
    best, current, x = stacked(hidden), stacked(hidden, first_seed=1000), inputs()
    width = block_width(hidden)
    before, other = best.copy().forward(x), current.forward(x)
    current.keep([1])
    assert torch.equal(current.forward(x), other[:, width:])
    chosen = torch.arange(width) % 2 == 0
    best.take(current, torch.arange(width, 2 * width), chosen)
    mask = torch.cat([torch.zeros(width, dtype=torch.bool), chosen])
    assert torch.equal(best.forward(x), torch.where(mask[None, :, None], other, before))


def test_initial_weights_are_those_of_pytorch():
    """Uniform within ``1/√fan_in``; by Kolmogorov-Smirnov, 1e-6 two-sided over 3 layers of weights."""
    from scipy.stats import kstest

    sizes = [D, 16, 8, 1]
    network = StackedMLP(D, (16, 8), generators((16, 8)), torch.device("cpu"))
    drawn = np.sort(network.parameters.abs().flatten().numpy())
    assert drawn[-1] <= D**-0.5
    counts = [(a + 1) * b for a, b in pairwise(sizes)]
    weights = np.array(counts) / sum(counts)
    bounds = np.array(sizes[:-1]) ** -0.5

    def distribution(value):
        return sum(w * np.clip(value / b, 0, 1) for w, b in zip(weights, bounds, strict=True))

    assert kstest(drawn, distribution).pvalue > 1e-6


def test_without_hidden_layers_it_is_logistic_regression():
    """Trained to convergence on full batches, without weight decay: the maximum likelihood fit.

    Every response stands in two prompts, one to train on and one held out, so that early stopping
    keeps the epoch of the best training loss. Tolerance 1e-3 in probability: float32 and Adam.
    """
    rng = np.random.default_rng(0)
    once = rng.standard_normal((400, 3)).astype(np.float32)
    clicks = (rng.random((3, 400)) < expit(once @ [1.0, -2.0, 0.5] - 0.7)).astype(np.float32)
    x, feedback = np.tile(once, (2, 1)), np.tile(clicks, (1, 2))
    groups = np.repeat([0, 1], 400)
    estimator = find("naive")(
        hidden=(),
        lr=0.03,
        batch_size=400,
        epochs=600,
        patience=600,
        weight_decay=0.0,
        validation_share=0.5,
    )
    predictions = train(estimator, FeedbackLog(x, feedback, groups), range(3)).predict(once)
    rows, held_out = split_by_prompt(groups, 0.5, seed_of(estimator.seed, "split"))
    assert len(rows) == len(held_out) == 400
    for replicate in range(3):
        peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        peer.fit(x[rows], feedback[replicate, rows])
        assert np.abs(predictions[replicate] - peer.predict_proba(once)[:, 1]).max() < 1e-3
