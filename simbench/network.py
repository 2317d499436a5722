"""R multilayer perceptrons as one: blocks of replicates, each layer a matrix product a block."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


def block_width(hidden: tuple[int, ...]) -> int:
    """Replicates a block: enough columns for an efficient product, few enough to waste no padding."""
    return max(1, 256 // hidden[0]) if hidden else 16


class StackedMLP:
    """ReLU networks ``d -> hidden -> n_outputs``, one a replicate, PyTorch's default initialisation.

    Parameters
    ----------
    n_inputs : int
        d.
    hidden : tuple of int
    generators : list of numpy Generator, length R
        One a replicate; R is a multiple of :func:`block_width`.
    device : torch.device
    n_outputs : int
        Logits a response: more than one where heads share a trunk.

    Notes
    -----
    Every block holds its parameters in one flat vector of a fixed length, and works through all its
    layers before the next begins, so that its activations stay in the cache, and a replicate's numbers
    do not depend on how many blocks there are: vectorised arithmetic differs in the last place with a
    tensor's length. The backward pass is written out: autograd would keep and copy more than is needed.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        generators: list[np.random.Generator],
        device: torch.device,
        n_outputs: int = 1,
    ):
        self.device, self.width = device, block_width(hidden)
        self.sizes = [n_inputs, *hidden, n_outputs]
        draws = [_initial(self.sizes, g) for g in generators]
        blocks = [draws[i : i + self.width] for i in range(0, len(draws), self.width)]
        flat = np.stack([np.concatenate(_interleave(block)) for block in blocks])
        self.parameters = torch.as_tensor(flat, dtype=torch.float32, device=device)
        self._bind()

    @property
    def n_blocks(self) -> int:
        return len(self.blocks)

    def _bind(self) -> None:
        """Views of every block's parameters. The optimiser steps each block's vector."""
        self.gradients = torch.zeros_like(self.parameters)
        scratch: dict[int, _Scratch] = {}
        self.blocks = [
            _Block(self.sizes, self.width, parameters, gradients, scratch)
            for parameters, gradients in zip(self.parameters, self.gradients, strict=True)
        ]

    def forward(self, x: Tensor, keep: bool = False) -> Tensor:
        """Logits of shape (n_outputs, R, b) for inputs (b, d); ``keep`` for a backward pass."""
        rows = self.n_blocks * self.width
        logits = torch.empty(self.sizes[-1], rows, len(x), device=self.device)
        for number, block in enumerate(self.blocks):
            block.forward(x, logits[:, number * self.width : (number + 1) * self.width], keep)
        return logits

    def backward(self, gradient: Tensor) -> None:
        """Set the gradient of every parameter from ``gradient`` (n_outputs, R, b) of the logits."""
        for number, block in enumerate(self.blocks):
            block.backward(gradient[:, number * self.width : (number + 1) * self.width])

    def shift_outputs(self, shifts: np.ndarray) -> None:
        """Add to the last biases, (n_outputs, R): where each replicate's logits start."""
        for number, block in enumerate(self.blocks):
            part = shifts[:, number * self.width : (number + 1) * self.width].T
            block.biases[-1] += torch.as_tensor(part[:, :, None], dtype=torch.float32, device=self.device)

    def copy(self) -> "StackedMLP":
        return self._with(self.parameters.clone())

    def keep(self, blocks: list[int]) -> None:
        """Keep only the numbered blocks."""
        self.parameters = self.parameters[blocks]
        self._bind()

    def take(self, source: "StackedMLP", blocks: Tensor, replicates: Tensor) -> None:
        """Copy the parameters of the marked replicates from ``source``.

        Parameters
        ----------
        source : StackedMLP
            Holds only the blocks numbered ``blocks`` of this network.
        blocks : Tensor of int64
        replicates : Tensor of bool, shape (len(blocks) * G,)
        """
        mask = replicates.view(-1, self.width)
        changed = mask.any(1)
        mine = self.parameters[blocks[changed]]
        chosen = mask[changed][:, self._owner()]
        self.parameters[blocks[changed]] = torch.where(chosen, source.parameters[changed], mine)

    def _owner(self) -> Tensor:
        """Which replicate of its block each parameter of the flat vector belongs to."""
        numbers = [_Parameters(self.sizes, float(i)) for i in range(self.width)]
        return torch.as_tensor(np.concatenate(_interleave(numbers)), dtype=torch.long, device=self.device)

    def layers_of(self, replicate: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights (fan_out, fan_in) and biases (fan_out,) of one replicate, layer by layer, float32."""
        block, place = self.blocks[replicate // self.width], replicate % self.width
        weights, biases = [], []
        last = len(self.sizes) - 2
        for layer, fan_out in enumerate(self.sizes[1:]):
            weight, bias = block.weights[layer], block.biases[layer]
            if layer == last:
                weight, bias = weight[place], bias[place, :, 0]
            elif layer == 0:
                columns = slice(place * fan_out, (place + 1) * fan_out)
                weight, bias = weight[:, columns].T, bias[columns]
            else:
                weight, bias = weight[place].T, bias[place, 0]
            weights.append(weight.cpu().numpy().copy())
            biases.append(bias.cpu().numpy().copy())
        return weights, biases

    @classmethod
    def of(cls, parameters: Tensor, sizes: list[int]) -> "StackedMLP":
        """Networks ``sizes[0] -> ... -> sizes[-1]`` with these parameters, one row a block."""
        other = object.__new__(cls)
        other.device, other.width, other.sizes = parameters.device, block_width(tuple(sizes[1:-1])), sizes
        other.parameters = parameters
        other._bind()
        return other

    def _with(self, parameters: Tensor) -> "StackedMLP":
        return StackedMLP.of(parameters, self.sizes)


class _Parameters:
    """Weights (d_in, d_out) and biases (d_out,) of one replicate, layer by layer."""

    def __init__(self, sizes: list[int], value: float = 0.0):
        self.weights = [np.full(shape, value) for shape in pairwise(sizes)]
        self.biases = [np.full(size, value) for size in sizes[1:]]


def _initial(sizes: list[int], rng: np.random.Generator) -> _Parameters:
    drawn = _Parameters(sizes)
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        bound = 1 / math.sqrt(fan_in)
        both = rng.uniform(-bound, bound, (fan_in + 1, fan_out))
        drawn.weights[layer], drawn.biases[layer] = both[:-1], both[-1]
    return drawn


def _interleave(replicates: list[_Parameters]) -> list[np.ndarray]:
    """A block's vector, in parts; see :meth:`_Block._layers` for the layout."""
    parts, last = [], len(replicates[0].weights) - 1
    for layer in range(last + 1):
        weights = [r.weights[layer] for r in replicates]
        if layer == last:
            joined = np.stack([weight.T for weight in weights])
        else:
            joined = np.concatenate(weights, axis=1) if layer == 0 else np.stack(weights)
        parts += [joined.ravel(), np.concatenate([r.biases[layer] for r in replicates])]
    return parts


class _Block:
    """G replicates: views into their flat parameters and gradients, and their activations."""

    def __init__(
        self,
        sizes: list[int],
        width: int,
        parameters: Tensor,
        gradients: Tensor,
        scratch: "dict[int, _Scratch]",
    ):
        self.sizes, self.width = sizes, width
        self.vector = parameters
        self.vector.grad = gradients
        self.weights, self.biases = self._layers(parameters)
        self.weight_gradients, self.bias_gradients = self._layers(gradients)
        self.kept: list[Tensor] = []
        self._activations: dict[int, _Activations] = {}
        self._scratch = scratch

    def _layers(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Views of a flat vector: the first layer's weight is (d, G * h), so that one product serves
        all; the next ones' (G, h, h'); the last one's (G, outputs, h), so that logits come out as
        rows. Biases to match."""
        weights, biases, start, width = [], [], 0, self.width
        last = len(self.sizes) - 2
        for layer, (fan_in, fan_out) in enumerate(pairwise(self.sizes)):
            if layer == last:
                shape, bias_shape = (width, fan_out, fan_in), (width, fan_out, 1)
            elif layer == 0:
                shape, bias_shape = (fan_in, width * fan_out), (width * fan_out,)
            else:
                shape, bias_shape = (width, fan_in, fan_out), (width, 1, fan_out)
            for views, view_shape in ((weights, shape), (biases, bias_shape)):
                end = start + math.prod(view_shape)
                views.append(flat[start:end].view(view_shape))
                start = end
        return weights, biases

    def forward(self, x: Tensor, logits: Tensor, keep: bool) -> None:
        """Write the logits, (outputs, G, n)."""
        work = self._memory(len(x))
        kept = [x.expand(self.width, *x.shape)] if len(self.weights) == 1 else [x]
        for layer in range(len(self.weights) - 1):
            weight, bias = self.weights[layer], self.biases[layer]
            multiply = torch.addmm if layer == 0 else torch.baddbmm
            multiply(bias, kept[layer], weight, out=work.products[layer])
            kept.append(work.outputs[layer].clamp_min_(0))
        rows = kept[-1].transpose(1, 2)
        torch.baddbmm(self.biases[-1], self.weights[-1], rows, out=logits.transpose(0, 1))
        self.kept = kept if keep else []

    def backward(self, gradient: Tensor) -> None:
        """Set the gradients from those of the logits, (outputs, G, n)."""
        by_row = gradient.transpose(0, 1)
        torch.bmm(by_row, self.kept[-1], out=self.weight_gradients[-1])
        torch.sum(by_row, 2, keepdim=True, out=self.bias_gradients[-1])
        if len(self.weights) == 1:
            return
        work = self._scratch[gradient.shape[2]]
        # One output: an outer product, for which a matrix product is slow.
        multiply = torch.mul if gradient.shape[0] == 1 else torch.bmm
        multiply(by_row.transpose(1, 2), self.weights[-1], out=work.below[-1])
        g = work.mask(-1, self.kept[-1])
        for layer in range(len(self.weights) - 2, 0, -1):
            torch.bmm(self.kept[layer].transpose(1, 2), g, out=self.weight_gradients[layer])
            torch.sum(g, 1, keepdim=True, out=self.bias_gradients[layer])
            torch.bmm(g, self.weights[layer].transpose(1, 2), out=work.below[layer - 1])
            g = work.mask(layer - 1, self.kept[layer])
        g = g.transpose(0, 1).flatten(1)
        torch.mm(self.kept[0].t(), g, out=self.weight_gradients[0])
        torch.sum(g, 0, out=self.bias_gradients[0])
        self.kept = []

    def _memory(self, n: int) -> "_Activations":
        """Memory for ``n`` rows, used again in every step: fresh pages would cost as much time as the
        arithmetic."""
        if n not in self._activations:
            self._activations[n] = _Activations(n, self.sizes[1:-1], self.width, self.vector.device)
        if n not in self._scratch:
            self._scratch[n] = _Scratch(self._activations[n].outputs)
        return self._activations[n]


class _Activations:
    """What each hidden layer's matrix product writes, and the same memory read as (G, n, h)."""

    def __init__(self, n: int, hidden: list[int], width: int, device: torch.device):
        self.products: list[Tensor] = []
        self.outputs: list[Tensor] = []
        for layer, size in enumerate(hidden):
            product = torch.empty((n, width * size) if layer == 0 else (width, n, size), device=device)
            output = product.view(n, width, size).transpose(0, 1) if layer == 0 else product
            self.products.append(product)
            self.outputs.append(output)


class _Scratch:
    """Gradients of each hidden layer's outputs before and after the rectifier's mask; all blocks share
    them, as each is done with them before the next begins."""

    def __init__(self, outputs: list[Tensor]):
        self.below = [torch.empty(output.shape, device=output.device) for output in outputs]
        # Laid out as the activation is, so that the first layer's needs no copy.
        self.masked = [torch.empty_like(output) for output in outputs]

    def mask(self, layer: int, activation: Tensor) -> Tensor:
        """Zero the gradient where the unit was off."""
        below, masked = self.below[layer], self.masked[layer]
        return torch.ops.aten.threshold_backward.grad_input(below, activation, 0, grad_input=masked)
