"""Predictions of fitted networks: of the right head, replicate and row, linked and calibrated."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from simbench.errors import BadInput
from simbench.training.contract import Network
from simbench.training.network import StackedMLP, block_width, repacked
from simbench.training.stacked_model import ROWS, ModelChunks, StackedModel

D = 3
BOTH = Network(("propensity", "reward"))
APART = Network(("propensity",), "context")


def network(hidden, count, outputs=1, width=None, first=0):
    drawn = [np.random.default_rng(first + i) for i in range(count)]
    return StackedMLP(D, hidden, drawn, torch.device("cpu"), outputs, width)


def by_hand(net, replicate, x):
    """Logits (outputs, n) of one replicate from its layers, in float64."""
    weights, biases = net.layers_of(replicate)
    hidden = np.asarray(x, float)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = np.maximum(hidden @ weight.T + bias, 0)
    return (hidden @ weights[-1].T + biases[-1]).T


def rows_of(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)


def model(networks, count, link=lambda h, c: torch.sigmoid(h), calibration=None):
    losses = np.arange(count) / 10
    return StackedModel(networks, link, calibration, count, np.arange(count), losses)


@pytest.mark.parametrize("n", [1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 3])
def test_a_reward_is_the_link_of_its_heads_logit_however_many_rows_are_asked_for(n):
    net, x = network((60,), 8, outputs=2), rows_of(n)
    found = model({BOTH: net}, 7)
    rewards, propensities = found.predict(x), found.predict_propensity(x)
    assert rewards.shape == propensities.shape == (7, n) and rewards.dtype == np.float64
    for replicate in (0, 4, 6):
        propensity, reward = expit(by_hand(net, replicate, x))
        assert rewards[replicate] == pytest.approx(reward, abs=1e-6)
        assert propensities[replicate] == pytest.approx(propensity, abs=1e-6)


def test_reward_and_propensity_come_from_their_own_networks():
    reward, propensity = network((), 16), network((), 16, first=100)
    found, x = model({Network(): reward, APART: propensity}, 5), rows_of(4)
    assert found.predict(x)[3] == pytest.approx(expit(by_hand(reward, 3, x)[0]), abs=1e-6)
    assert found.predict_propensity(x)[3] == pytest.approx(expit(by_hand(propensity, 3, x)[0]), abs=1e-6)
    with pytest.raises(BadInput, match="fits no propensity"):
        model({Network(): reward}, 5).predict_propensity(x)


def test_the_calibration_reaches_the_link_of_the_reward_alone():
    calibration = torch.linspace(0.1, 0.9, 5).double()[:, None]
    net, x = network((), 16, outputs=2), rows_of(4)
    found = model({BOTH: net}, 5, lambda h, c: c * torch.sigmoid(h), calibration)
    propensity, reward = expit(by_hand(net, 2, x))
    assert found.predict(x)[2] == pytest.approx(0.5 * reward, abs=1e-6)
    assert found.predict_propensity(x)[2] == pytest.approx(propensity, abs=1e-6)


@pytest.mark.parametrize(("precision", "switch"), [("fp32", "highest"), ("tf32", "high")])
def test_predictions_are_made_in_the_models_precision(precision, switch):
    seen = []

    def link(logit, calibration):
        seen.append(torch.get_float32_matmul_precision())
        return torch.sigmoid(logit)

    found = model({Network(): network((), 16)}, 5, link)
    found.precision = precision
    found.predict(rows_of(2))
    assert seen == [switch] and torch.get_float32_matmul_precision() != "high"


def test_chunks_stand_one_behind_another():
    parts = [model({BOTH: network((), 16, 2, first=f)}, count) for f, count in ((0, 2), (50, 3))]
    whole, x = ModelChunks(parts), rows_of(4)
    assert whole.epochs.tolist() == [0, 1, 0, 1, 2]
    assert whole.held_out_loss == pytest.approx([0, 0.1, 0, 0.1, 0.2])
    for name in ("predict", "predict_propensity"):
        expected = np.r_[getattr(parts[0], name)(x), getattr(parts[1], name)(x)]
        assert getattr(whole, name)(x) == pytest.approx(expected)


# -- the networks' layouts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden", "width"),
    [((), 16), ((32, 16), 8), ((16, 32), 16), ((128,), 2), ((129,), 1), ((256,), 1), ((257,), 1)],
)
def test_a_block_has_some_256_columns(hidden, width):
    assert block_width(hidden) == width


@pytest.mark.parametrize("hidden", [(), (60,), (60, 5), (60, 5, 4)])
@pytest.mark.parametrize("width", [None, 8])
def test_layers_of_a_replicate_give_its_logits(hidden, width):
    count = 8 if width else 2 * block_width(hidden)
    net, x = network(hidden, count, 2, width), rows_of(6)
    logits = net.forward(torch.as_tensor(x)).numpy()
    for replicate in range(count):
        assert by_hand(net, replicate, x) == pytest.approx(logits[:, replicate], abs=1e-5)


def test_shifts_are_added_to_the_logits_of_their_head_and_replicate():
    net, x = network((60,), 8, 2), torch.as_tensor(rows_of(6))
    before, shifts = net.forward(x), np.arange(16.0).reshape(2, 8) - 7
    net.shift_outputs(shifts)
    assert torch.allclose(net.forward(x), before + torch.as_tensor(shifts).float()[:, :, None], atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (60,), (60, 5)])
def test_a_wide_block_is_cut_into_blocks_of_the_usual_width(hidden):
    count = block_width(hidden) + 3
    net, x = network(hidden, count, 2, count), torch.as_tensor(rows_of(6))
    blocks = net.in_blocks()
    assert (blocks.width, blocks.n_blocks) == (block_width(hidden), 2)
    found = blocks.forward(x)
    assert torch.allclose(found[:, :count], net.forward(x), atol=1e-5)
    padding = net.forward(x)[:, -1:].expand(-1, found.shape[1] - count, -1)
    assert torch.allclose(found[:, count:], padding, atol=1e-5)
    assert blocks.in_blocks() is blocks
    assert net.in_blocks() is not net


def test_kept_replicates_of_a_wide_block_stay_themselves():
    net, x = network((60, 5), 9, 2, 9), torch.as_tensor(rows_of(6))
    before = net.forward(x)
    net.keep_replicates(torch.tensor([7, 0, 4]))
    assert net.width == 3 and torch.allclose(net.forward(x), before[:, [7, 0, 4]], atol=1e-5)


def test_repacking_there_and_back_is_nothing():
    net = network((60, 5), 8)
    order = torch.tensor([5, 2, 7, 0, 1, 3, 4, 6])
    packed = repacked(net.parameters, net.sizes, net.width, order, 8)
    assert not torch.equal(packed, net.parameters)
    back = repacked(packed, net.sizes, 8, order.argsort(), net.width)
    assert torch.equal(back, net.parameters)


def test_a_copy_shares_no_memory():
    net, x = network((60,), 4), torch.as_tensor(rows_of(6))
    other, before = net.copy(), net.forward(x)
    net.parameters.zero_()
    assert torch.equal(other.forward(x), before)


# -- bfloat16 -------------------------------------------------------------------------------------


def low(values):
    return torch.as_tensor(np.asarray(values)).bfloat16().float()


@pytest.mark.parametrize("changed", [False, True])
def test_products_in_bfloat16_read_rounded_parameters_and_sum_the_last_layer_in_float32(changed):
    drawn = [np.random.default_rng(i) for i in range(4)]
    net = StackedMLP(D, (60, 5), drawn, torch.device("cpu"), 2, None, torch.bfloat16)
    if changed:
        net.parameters.mul_(1.5)
        net.parameters_changed()
    x = torch.as_tensor(rows_of(6)).bfloat16()
    found = net.forward(x)
    assert found.dtype == torch.float32
    for replicate in range(4):
        weights, biases = net.layers_of(replicate)
        hidden = x.float()
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            hidden = low((hidden @ low(weight).T + low(bias)).clamp_min(0))
        expected = hidden @ torch.as_tensor(weights[-1]).T + torch.as_tensor(biases[-1])
        # a sum that is rounded the other way moves a hidden unit by a part in 128
        assert torch.allclose(found[:, replicate].T, expected, atol=0.01)


@pytest.mark.parametrize("outputs", [1, 2])
def test_gradients_in_bfloat16_are_those_of_float32_but_for_rounding(outputs):
    gradients, x = [], torch.as_tensor(rows_of(40))
    for dtype in (torch.float32, torch.bfloat16):
        drawn = [np.random.default_rng(i) for i in range(4)]
        net = StackedMLP(D, (60, 5), drawn, torch.device("cpu"), outputs, None, dtype)
        net.backward(torch.cos(net.forward(x.to(dtype), keep=True)))
        gradients.append(repacked(net.gradients, net.sizes, 4, torch.arange(4), 1))
    exact, rounded = gradients
    assert (exact.abs() > 1e-3).any(1).all()
    assert ((rounded - exact).norm(dim=1) / exact.norm(dim=1)).max() < 0.02
    last = (5 + 1) * outputs
    assert ((rounded - exact)[:, -last:].norm(dim=1) / exact[:, -last:].norm(dim=1)).max() < 0.01
