"""R multilayer perceptrons trained as one: in blocks of replicates, with one matrix product per layer."""

import math
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from simbench._compat import masked_gradient


def block_width(hidden: tuple[int, ...]) -> int:
    """Number of replicates in a block: wide enough for an efficient product, with little padding."""
    return max(1, 256 // hidden[0]) if hidden else 16


class StackedMLP:
    """ReLU networks ``d -> hidden -> n_outputs``, one per replicate, with PyTorch's default initialisation.

    Parameters
    ----------
    n_inputs : int
        Number of inputs, d.
    hidden : tuple of int
        Widths of the hidden layers; () is a linear network.
    generators : list of numpy Generator, length R
        Source of each replicate's initial weights; R is a multiple of the width.
    device : torch.device
    n_outputs : int
        Number of logits per response: more than one if heads share their hidden layers.
    width : int, optional
        Number of replicates in a block; by default :func:`block_width`. On a GPU one block holds all.
    dtype : torch.dtype
        Type of the inputs and of the hidden layers' products. Parameters, gradients and logits are always
        float32.

    Notes
    -----
    Every block holds its parameters in one flat vector of fixed length, and works through all its layers
    before the next block begins. So its activations stay in the cache, and a replicate's numbers do not
    depend on how many blocks there are: the last digit of vectorised arithmetic depends on a tensor's
    length. The backward pass is written out, because autograd would keep and copy more than is needed.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        generators: list[np.random.Generator],
        device: torch.device,
        n_outputs: int = 1,
        width: int | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.sizes = [n_inputs, *hidden, n_outputs]
        self.width, self.dtype = width or block_width(hidden), dtype
        length = self.width * sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.sizes))
        self.parameters = torch.zeros((len(generators) // self.width, length), device=device)
        views = _by_replicate(self.parameters, self.sizes, self.width)
        for number, generator in enumerate(generators):
            for view, drawn in zip(views, _initial(self.sizes, generator), strict=True):
                view[divmod(number, self.width)] = torch.as_tensor(drawn, dtype=torch.float32)
        self._bind()

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.parameters.device

    @property
    def n_blocks(self) -> int:
        """Number of blocks of replicates."""
        return len(self.blocks)

    def _bind(self) -> None:
        """Views of every block's parameters. The optimiser steps each block's vector."""
        scratch: dict[int, _Scratch] = {}
        self.__dict__.pop("gradients", None)
        self.blocks = [_Block(self.sizes, self.width, row, self.dtype, scratch) for row in self.parameters]

    @cached_property
    def gradients(self) -> Tensor:
        """Gradients of every block, shape (n_blocks, length); allocated only for a network that trains."""
        gradients = torch.zeros_like(self.parameters)
        for block, row in zip(self.blocks, gradients, strict=True):
            block.train(row)
        return gradients

    def forward(self, x: Tensor, keep: bool = False) -> Tensor:
        """Logits of the inputs ``x``, (b, d): shape (n_outputs, R, b), float32.

        With ``keep``, what :meth:`backward` and :meth:`representation` read is kept.
        """
        rows = self.n_blocks * self.width
        logits = torch.empty(self.sizes[-1], rows, len(x), device=self.device)
        for number, block in enumerate(self.blocks):
            block.forward(x, logits[:, number * self.width : (number + 1) * self.width], keep)
        return logits

    def representation(self) -> Tensor | None:
        """The last hidden layer of the kept forward pass, (R, h, b), float32; None without hidden layers."""
        if len(self.sizes) == 2:
            return None
        return torch.cat([block.kept[-1].transpose(1, 2).float() for block in self.blocks])

    def backward(self, gradient: Tensor, of_representation: Tensor | None = None) -> None:
        """Set the gradient of every parameter from the gradient of the logits.

        Parameters
        ----------
        gradient : Tensor, shape (n_outputs, R, b)
            Gradient with respect to the logits.
        of_representation : Tensor, shape (R, h, b), optional
            Gradient with respect to the last hidden layer, if the loss reads it as well.
        """
        assert self.gradients is not None  # and every block has its row
        for number, block in enumerate(self.blocks):
            mine = slice(number * self.width, (number + 1) * self.width)
            block.backward(gradient[:, mine], None if of_representation is None else of_representation[mine])

    def parameters_changed(self) -> None:
        """Refresh the bfloat16 copy that the products read; call it after each step of the optimiser."""
        for block in self.blocks:
            block.refresh()

    def shift_outputs(self, shifts: np.ndarray) -> None:
        """Add ``shifts``, (n_outputs, R), to the output biases, so that each replicate starts elsewhere."""
        for number, block in enumerate(self.blocks):
            part = shifts[:, number * self.width : (number + 1) * self.width].T
            block.biases[-1] += torch.as_tensor(part[:, :, None], dtype=torch.float32, device=self.device)

    def copy(self) -> "StackedMLP":
        """The same networks with parameters of their own."""
        return StackedMLP.of(self.parameters.clone(), self.sizes, self.width, self.dtype)

    def keep(self, blocks: list[int]) -> None:
        """Keep only the numbered blocks."""
        self.parameters = self.parameters[blocks]
        self._bind()

    def keep_replicates(self, replicates: Tensor) -> None:
        """Keep only the numbered replicates, in one block."""
        self.parameters = repacked(self.parameters, self.sizes, self.width, replicates, len(replicates))
        self.width = len(replicates)
        self._bind()

    def take(self, source: "StackedMLP", members: Tensor, chosen: Tensor) -> None:
        """Copy the parameters of some replicates from ``source``.

        Parameters
        ----------
        source : StackedMLP
            Networks of the same sizes, of as many replicates or fewer.
        members : Tensor of int64, shape (R of source,)
            Number in this network of each of the source's replicates.
        chosen : Tensor of bool, shape (R of source,), on the CPU
            Which of the source's replicates to copy.
        """
        there = chosen.nonzero().flatten()
        here = members[there].to(self.device)
        there = there.to(self.device)
        mine = _by_replicate(self.parameters, self.sizes, self.width)
        theirs = _by_replicate(source.parameters, self.sizes, source.width)
        for own, other in zip(mine, theirs, strict=True):
            own[here // self.width, here % self.width] = other[there // source.width, there % source.width]
        self.parameters_changed()

    def in_blocks(self) -> "StackedMLP":
        """The same networks in float32 on the CPU, in blocks of :func:`block_width`, the last one padded."""
        width = block_width(tuple(self.sizes[1:-1]))
        if (self.width, self.dtype, self.device.type) == (width, torch.float32, "cpu"):
            return self
        count = self.n_blocks * self.width
        replicates = torch.arange(-(-count // width) * width).clamp_max(count - 1)
        return StackedMLP.of(
            repacked(self.parameters.cpu(), self.sizes, self.width, replicates, width), self.sizes
        )

    def layers_of(self, replicate: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights (fan_out, fan_in) and biases (fan_out,) of one replicate, for each layer; float32."""
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
    def of(
        cls,
        parameters: Tensor,
        sizes: list[int],
        width: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "StackedMLP":
        """Networks ``sizes[0] -> ... -> sizes[-1]`` with the given parameters, one row per block."""
        other = object.__new__(cls)
        other.width, other.sizes, other.dtype = width or block_width(tuple(sizes[1:-1])), sizes, dtype
        other.parameters = parameters
        other._bind()
        return other


def repacked(flat: Tensor, sizes: list[int], width: int, replicates: Tensor, new_width: int) -> Tensor:
    """Copy the numbered replicates' parameters into flat vectors of blocks of another width.

    Parameters
    ----------
    flat : Tensor, shape (blocks, length)
        Parameters of every block (see :meth:`_Block._layers`).
    sizes : list of int
        Layer sizes, from the inputs to the outputs.
    width : int
        Replicates in a block of ``flat``.
    replicates : Tensor of int64
        Replicates to copy, in order; their number is a multiple of the new width.
    new_width : int

    Returns
    -------
    Tensor, shape (len(replicates) // new_width, new length)
    """
    replicates = replicates.to(flat.device)
    packed = flat.new_empty((len(replicates) // new_width, flat.shape[1] // width * new_width))
    old, new = _by_replicate(flat, sizes, width), _by_replicate(packed, sizes, new_width)
    for source, target in zip(old, new, strict=True):
        part = source[replicates // width, replicates % width]
        target.copy_(part.view(len(packed), new_width, *part.shape[1:]))
    return packed


def _initial(sizes: list[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Initial weights (d_in, d_out) and biases (d_out,) of one replicate, for each layer; the last layer's
    weights are transposed, as its block holds them."""
    drawn = []
    for fan_in, fan_out in pairwise(sizes):
        bound = 1 / math.sqrt(fan_in)
        both = rng.uniform(-bound, bound, (fan_in + 1, fan_out))
        drawn += [both[:-1], both[-1]]
    return [*drawn[:-2], drawn[-2].T, drawn[-1]]


def _by_replicate(flat: Tensor, sizes: list[int], width: int) -> list[Tensor]:
    """Views (blocks, width, ...) of flat vectors (blocks, length): weights and biases of every layer."""
    views, start, last = [], 0, len(sizes) - 2
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        middle = start + width * fan_in * fan_out
        end = middle + width * fan_out
        weights, biases = flat[:, start:middle], flat[:, middle:end]
        if layer == last:
            views.append(weights.view(-1, width, fan_out, fan_in))
        elif layer == 0:
            views.append(weights.view(-1, fan_in, width, fan_out).transpose(1, 2))
        else:
            views.append(weights.view(-1, width, fan_in, fan_out))
        views.append(biases.view(-1, width, fan_out))
        start = end
    return views


class _Block:
    """G replicates: views of their flat parameters and gradients, and their activations.

    In bfloat16 the hidden layers read a bfloat16 copy of their parameters and write bfloat16 gradients; the
    last layer, whose products are small and whose logits become probabilities, stays in float32.
    """

    def __init__(
        self,
        sizes: list[int],
        width: int,
        parameters: Tensor,
        dtype: torch.dtype,
        scratch: "dict[int, _Scratch]",
    ):
        self.sizes, self.width, self.dtype = sizes, width, dtype
        self.vector = parameters
        self.weights, self.biases = self._layers(parameters)
        self._weights, self._biases = self.weights, self.biases  # as the products read them
        self._hidden = len(parameters) - width * (sizes[-2] + 1) * sizes[-1]  # length of the hidden layers'
        self._low: Tensor | None = None
        if dtype != torch.float32:
            self._low = torch.empty_like(parameters, dtype=dtype)
            low_weights, low_biases = self._layers(self._low)
            self._weights = [*low_weights[:-1], self.weights[-1]]
            self._biases = [*low_biases[:-1], self.biases[-1]]
            self.refresh()
        self.kept: list[Tensor] = []
        self._activations: dict[int, _Activations] = {}
        self._scratch = scratch

    def refresh(self) -> None:
        """Update the copy of the parameters that the products read in another type."""
        if self._low is not None:
            self._low.copy_(self.vector)

    def train(self, gradient: Tensor) -> None:
        """Use ``gradient`` as the memory for the flat vector's gradient."""
        self.vector.grad = self.gradient = gradient
        self.weight_gradients, self.bias_gradients = self._layers(gradient)
        self._weight_gradients, self._bias_gradients = self.weight_gradients, self.bias_gradients
        if self._low is not None:
            self._low_gradient = torch.empty_like(self._low)
            low_weights, low_biases = self._layers(self._low_gradient)
            self._weight_gradients = [*low_weights[:-1], self.weight_gradients[-1]]
            self._bias_gradients = [*low_biases[:-1], self.bias_gradients[-1]]

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
        """Write the logits of ``x`` into ``logits``, (outputs, G, n)."""
        work = self._memory(len(x))
        kept = [x.float().expand(self.width, *x.shape)] if len(self.weights) == 1 else [x]
        for layer in range(len(self.weights) - 1):
            weight, bias = self._weights[layer], self._biases[layer]
            multiply = torch.addmm if layer == 0 else torch.baddbmm
            multiply(bias, kept[layer], weight, out=work.products[layer])
            kept.append(work.outputs[layer].clamp_min_(0))
        rows = kept[-1].float().transpose(1, 2)
        torch.baddbmm(self.biases[-1], self.weights[-1], rows, out=logits.transpose(0, 1))
        self.kept = kept if keep else []

    def backward(self, gradient: Tensor, of_representation: Tensor | None) -> None:
        """Set the gradients from those of the logits, (outputs, G, n), and the representation, (G, h, n)."""
        by_row = gradient.transpose(0, 1)
        weight_gradients, bias_gradients = self._weight_gradients, self._bias_gradients
        torch.bmm(by_row, self.kept[-1].float(), out=weight_gradients[-1])
        torch.sum(by_row, 2, keepdim=True, out=bias_gradients[-1])
        if len(self.weights) == 1:
            return
        work = self._scratch[gradient.shape[2]]
        # One output: an outer product, for which a matrix product is slow.
        multiply = torch.mul if gradient.shape[0] == 1 else torch.bmm
        if self._low is None:
            multiply(by_row.transpose(1, 2), self.weights[-1], out=work.below[-1])
        else:
            work.below[-1].copy_(multiply(by_row.transpose(1, 2), self.weights[-1]))
        if of_representation is not None:
            work.below[-1].add_(of_representation.transpose(1, 2))
        g = work.mask(-1, self.kept[-1])
        for layer in range(len(self.weights) - 2, 0, -1):
            torch.bmm(self.kept[layer].transpose(1, 2), g, out=weight_gradients[layer])
            torch.sum(g, 1, keepdim=True, out=bias_gradients[layer])
            torch.bmm(g, self._weights[layer].transpose(1, 2), out=work.below[layer - 1])
            g = work.mask(layer - 1, self.kept[layer])
        g = g.transpose(0, 1).flatten(1)
        torch.mm(self.kept[0].t(), g, out=weight_gradients[0])
        torch.sum(g, 0, out=bias_gradients[0])
        if self._low is not None:
            self.gradient[: self._hidden].copy_(self._low_gradient[: self._hidden])
        self.kept = []

    def _memory(self, n: int) -> "_Activations":
        """Memory for ``n`` rows, reused in every step: fresh pages would cost as much time as the
        arithmetic."""
        if n not in self._activations:
            self._activations[n] = _Activations(
                n, self.sizes[1:-1], self.width, self.vector.device, self.dtype
            )
        if n not in self._scratch:
            self._scratch[n] = _Scratch(self._activations[n].outputs)
        return self._activations[n]


class _Activations:
    """Memory that each hidden layer's matrix product writes, and the same memory viewed as (G, n, h)."""

    def __init__(self, n: int, hidden: list[int], width: int, device: torch.device, dtype: torch.dtype):
        self.products: list[Tensor] = []
        self.outputs: list[Tensor] = []
        for layer, size in enumerate(hidden):
            shape = (n, width * size) if layer == 0 else (width, n, size)
            product = torch.empty(shape, device=device, dtype=dtype)
            output = product.view(n, width, size).transpose(0, 1) if layer == 0 else product
            self.products.append(product)
            self.outputs.append(output)


class _Scratch:
    """Gradients of each hidden layer's outputs before and after the rectifier's mask.

    All blocks share them, because each block is done with them before the next begins.
    """

    def __init__(self, outputs: list[Tensor]):
        self.below = [
            torch.empty(output.shape, device=output.device, dtype=output.dtype) for output in outputs
        ]
        # Laid out as the activation is, so that the first layer's needs no copy.
        self.masked = [torch.empty_like(output) for output in outputs]

    def mask(self, layer: int, activation: Tensor) -> Tensor:
        """The gradient, set to zero wherever the unit was off."""
        below, masked = self.below[layer], self.masked[layer]
        return masked_gradient(below, activation, masked)
