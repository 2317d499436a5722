"""The precision of matrix products: chosen for a run, and restored after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from simbench.errors import BadInput

Precision = Literal["fp32", "tf32", "bf16"]
MEANING = {
    "fp32": "float32 throughout",
    "tf32": "float32 in memory, products of 10-bit mantissas on NVIDIA GPUs since Ampere",
    "bf16": "features, hidden activations and the hidden layers' products in bfloat16 (8-bit mantissas), "
    "summed in float32; parameters, Adam's state, the last layer and the losses in float32",
}


def product_dtype(precision: str, device: torch.device | str) -> torch.dtype:
    """The torch type of the inputs and of the hidden layers' products in this precision.

    Raises
    ------
    BadInput
        If there is no such precision, or the device does not support it.
    """
    if precision not in MEANING:
        raise BadInput(f"precision must be one of {', '.join(MEANING)}, got {precision!r}.")
    if precision == "tf32" and not str(device).startswith("cuda"):
        raise BadInput(f"tf32 is a mode of NVIDIA GPUs, but the device is {device}: choose fp32 or bf16.")
    return torch.bfloat16 if precision == "bf16" else torch.float32


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Context in which float32 products have this precision; PyTorch's previous setting is restored after."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
