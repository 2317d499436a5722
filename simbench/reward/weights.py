"""The weights of a fitted reward, checked against its card."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.reward.card import Card
from simbench.training.contract import Network, Trainable
from simbench.training.network import StackedMLP, block_width


def stacks_of(
    tensors: dict[str, Tensor], card: Card, estimator: Trainable, folder: Path
) -> tuple[dict[Network, StackedMLP], Tensor | None]:
    """The networks that a card describes, and the calibration, from tensors by name.

    Parameters
    ----------
    tensors : dict of Tensor
        ``network.0``, ``network.1``, ... and ``calibration`` if the estimator has one.
    card : Card
    estimator : Estimator
        The estimator that the card names, with its parameters.
    folder : Path
        Where they lie, for messages.

    Raises
    ------
    BadInput
        If a tensor is missing, too many, of another type or shape, or not finite, or the row is not there.
    """
    hidden = tuple(estimator.hidden)
    width = block_width(hidden)
    expected = {f"network.{number}" for number in range(len(card.networks))}
    calibrates = type(estimator).calibration is not Trainable.calibration
    expected |= {"calibration"} if calibrates else set()
    if tensors.keys() != expected:
        odd = sorted(tensors.keys() ^ expected)[0]
        raise _damaged(folder, f"the tensor {odd[:40]!r} is {'missing' if odd in expected else 'not known'}")
    networks, rows = {}, set()
    for number, described in enumerate(card.networks):
        name = f"network.{number}"
        sizes = [described.width, *hidden, len(described.heads)]
        length = width * sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
        values = _checked(name, tensors[name], torch.float32, (None, length), folder)
        rows.add(len(values) * width)
        networks[Network(described.heads, described.inputs)] = StackedMLP.of(values, sizes)
    count, calibration = min(rows), None
    if calibrates:
        calibration = _checked("calibration", tensors["calibration"], torch.float64, (None, 1), folder)
        count = min(count, len(calibration))
    if len(rows) > 1 or card.row >= count:
        raise _damaged(folder, f"row {card.row} of {count} fits is not there")
    return networks, calibration


def _checked(
    name: str, values: Tensor, dtype: torch.dtype, shape: tuple[int | None, int], folder: Path
) -> Tensor:
    if values.dtype != dtype or values.dim() != 2 or values.shape[1] != shape[1] or len(values) == 0:
        found: Any = f"{tuple(values.shape)} of {str(values.dtype).removeprefix('torch.')}"
        raise _damaged(folder, f"the tensor {name!r} has shape {found}, its card asks for (.., {shape[1]})")
    if not bool(torch.isfinite(values).all()):
        raise _damaged(folder, f"the tensor {name!r} holds values that are not finite")
    return values


def _damaged(folder: Path, what: str) -> BadInput:
    return BadInput(f"the model in {folder} is damaged: {what}: fit it again.")
