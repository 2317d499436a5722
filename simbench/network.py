"""R multilayer perceptrons as one: blocks of replicates, each layer a matrix product a block."""

import math

import numpy as np
import torch
from torch import Tensor


def block_width(hidden: tuple[int, ...]) -> int:
    """Replicates a block: enough columns for an efficient product, few enough to waste no padding."""
    return max(1, 128 // hidden[0]) if hidden else 16


class StackedMLP:
    """ReLU networks ``d -> hidden -> 1``, one a replicate, PyTorch's default initialisation.

    Parameters
    ----------
    n_inputs : int
        d.
    hidden : tuple of int
    generators : list of numpy Generator, length R
        One a replicate; R is a multiple of :func:`block_width`.
    device : torch.device

    Notes
    -----
    Layer parameters have shape (blocks, d_in, G * d_out) for the first layer and
    (blocks, G, d_in, d_out) for later ones, G replicates a block. The backward pass is written out:
    autograd would keep and copy more than is needed.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        generators: list[np.random.Generator],
        device: torch.device,
    ):
        self.device, self.width = device, block_width(hidden)
        self.n_blocks = len(generators) // self.width
        self.sizes = [n_inputs, *hidden, 1]
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        for layer, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            bound = 1 / math.sqrt(fan_in)
            draw = np.stack([g.uniform(-bound, bound, (fan_in + 1, fan_out)) for g in generators])
            block = torch.as_tensor(draw, dtype=torch.float32, device=device)
            block = block.view(self.n_blocks, self.width, fan_in + 1, fan_out)
            weight, bias = block[:, :, :fan_in], block[:, :, fan_in]
            if layer == 0:
                weight = weight.permute(0, 2, 1, 3).flatten(2)
                bias = bias.flatten(1)
            self.weights.append(weight.contiguous())
            self.biases.append(bias.contiguous())
        self._kept: list[Tensor] = []
        self.views = self._views()

    def _views(self) -> list[list[Tensor]]:
        """Per block, its slice of every parameter. The optimiser steps these: vectorised arithmetic
        differs in the last place with a tensor's length, and a block's slice has one length always."""
        return [[p[block] for p in self.parameters] for block in range(self.n_blocks)]

    @property
    def parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases]

    def forward(self, x: Tensor, keep: bool = False) -> Tensor:
        """Logits of shape (R, b) for inputs of shape (b, d); ``keep`` for a backward pass."""
        kept = [x]
        # (blocks, b, G * h): each block is the same product, whatever the number of blocks
        z = torch.empty(self.n_blocks, len(x), self.weights[0].shape[2], device=self.device)
        for block in range(self.n_blocks):
            torch.addmm(self.biases[0][block], x, self.weights[0][block], out=z[block])
        h = self._by_replicate(z, 0)
        for layer in range(1, len(self.weights)):
            h.clamp_min_(0)
            kept.append(h)
            weight, bias = self.weights[layer], self.biases[layer].unsqueeze(2)
            z = torch.empty(self.n_blocks, len(x), self.width, weight.shape[3], device=self.device)
            z = z.permute(0, 2, 1, 3)
            for block in range(self.n_blocks):
                torch.baddbmm(bias[block], h[block], weight[block], out=z[block])
            h = z
        if keep:
            self._kept = kept
        # One memory layout whatever R: strided and contiguous arithmetic differ in the last place.
        return h.reshape(self.n_blocks * self.width, len(x)).contiguous()

    def backward(self, gradient: Tensor) -> None:
        """Set ``.grad`` of every view of a parameter from ``gradient`` (R, b) of the logits."""
        g = gradient.contiguous().view(self.n_blocks, self.width, -1, 1)
        count = len(self.weights)
        for layer in range(len(self.weights) - 1, 0, -1):
            h, weight = self._kept[layer], self.weights[layer]
            grad_w = torch.empty_like(weight)
            grad_h = torch.empty_like(h)
            for block in range(self.n_blocks):
                torch.bmm(h[block].transpose(1, 2), g[block], out=grad_w[block])
                torch.bmm(g[block], weight[block].transpose(1, 2), out=grad_h[block])
            self._set_gradients(layer, list(grad_w))
            self._set_gradients(count + layer, [b.sum(1) for b in g])
            g = torch.ops.aten.threshold_backward(grad_h, h, 0)
        g = g.permute(0, 2, 1, 3).flatten(2)
        x, weight = self._kept[0], self.weights[0]
        grad_w = torch.empty_like(weight)
        for block in range(self.n_blocks):
            torch.mm(x.t(), g[block], out=grad_w[block])
        self._set_gradients(0, list(grad_w))
        self._set_gradients(count, [b.sum(0) for b in g])
        self._kept = []

    def _set_gradients(self, parameter: int, gradients: list[Tensor]) -> None:
        for views, gradient in zip(self.views, gradients, strict=True):
            views[parameter].grad = gradient

    def _by_replicate(self, z: Tensor, layer: int) -> Tensor:
        """View (blocks, b, G * h) as (blocks, G, b, h)."""
        return z.view(self.n_blocks, z.shape[1], self.width, -1).permute(0, 2, 1, 3)

    def copy(self) -> "StackedMLP":
        other = object.__new__(StackedMLP)
        other.__dict__.update(self.__dict__)
        other.weights = [weight.clone() for weight in self.weights]
        other.biases = [bias.clone() for bias in self.biases]
        other._kept = []
        return other

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
        for mine, theirs in zip(self.parameters, source.parameters, strict=True):
            first = mine is self.weights[0] or mine is self.biases[0]
            if first:  # columns are (G, h)
                expanded = mask.repeat_interleave(mine.shape[-1] // self.width, dim=1)
                expanded = expanded.view(len(blocks), *[1] * (mine.dim() - 2), -1)
            else:
                expanded = mask.view(*mask.shape, *[1] * (mine.dim() - 2))
            mine[blocks] = torch.where(expanded, theirs, mine[blocks])

    def keep(self, blocks: list[int]) -> None:
        """Keep only the numbered blocks, as their own slices: the optimiser's state stays theirs."""
        self.weights = [torch.stack([weight[b] for b in blocks]) for weight in self.weights]
        self.biases = [torch.stack([bias[b] for b in blocks]) for bias in self.biases]
        self.n_blocks = len(blocks)
        self.views = self._views()
