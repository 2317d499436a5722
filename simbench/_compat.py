"""What depends on what is installed: our own version, and private interfaces of other packages."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

try:
    VERSION = version("simbench-rm")
except PackageNotFoundError:  # run from a checkout that was never installed
    VERSION = "not installed"


def masked_gradient(below: "Tensor", activation: "Tensor", out: "Tensor") -> "Tensor":
    """The rectifier's backward pass: ``below`` where ``activation`` is positive, else 0; fills ``out``.

    PyTorch's own kernel, which has no public name; by public means it takes two passes over memory.
    """
    import torch

    return torch.ops.aten.threshold_backward.grad_input(below, activation, 0, grad_input=out)


def forget_accelerator() -> None:
    """Let a new ``Accelerator`` choose its precision: the first one's is kept for the life of the process."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
