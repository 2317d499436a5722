"""Pools the states of a text's tokens into a vector. Needs only torch: exported models carry this file."""

import inspect
from typing import Any

import torch
from torch import Tensor


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Pool the unmasked states of each text: their mean, the first (``cls``) or the last.

    Parameters
    ----------
    hidden : Tensor, shape (b, t, h)
    mask : Tensor, shape (b, t), 1 where there is a token
    pooling : {"mean", "cls", "last"}

    Returns
    -------
    Tensor, shape (b, h), float32
    """
    if pooling == "mean":
        # padded states may be NaN in some attention kernels: they are filled, not multiplied by 0
        kept = hidden.float().masked_fill(mask[..., None] == 0, 0.0)
        return kept.sum(1) / mask.sum(1, keepdim=True)
    if pooling == "cls":
        place = (mask.cumsum(1) == 0).sum(1)
    else:
        place = mask.shape[1] - 1 - (mask.flip(1).cumsum(1) == 0).sum(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), place].float()


def packed(input_ids: Tensor, mask: Tensor, width: int | None = None) -> tuple[Tensor, Tensor]:
    """Every text moved to the start of its row.

    Parameters
    ----------
    input_ids, mask : Tensor, shape (b, t)
    width : int, optional
        Number of columns to return, s; by default as many as the longest text needs.

    Returns
    -------
    input_ids, mask : Tensor, shape (b, s)
    """
    columns = torch.arange(mask.shape[1], device=mask.device)
    before = (mask.cumsum(1) == 0).sum(1, keepdim=True)
    if width is None:
        after = (columns * (mask != 0)).amax(1, keepdim=True) + 1
        width = max(1, int((after - before).max()))
    places = (columns[:width] + before) % mask.shape[1]  # what wraps around is padding
    return input_ids.gather(1, places), mask.gather(1, places)


def positions_of(mask: Tensor) -> Tensor:
    """Positions counted from the first token of each text, shape (b, t), int64; 0 in padding before it."""
    return (mask.cumsum(1) - 1).clamp_min(0)


def takes_positions(model: Any) -> bool:
    """Whether a model takes explicit positions that count from 0.

    RoBERTa and its kin take positions, but count them from the padding id.
    """
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return False
    return not any(hasattr(part, "create_position_ids_from_input_ids") for part in model.modules())
