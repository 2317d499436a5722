"""The device that arithmetic runs on: whether there is one of this name."""

import torch
from pydantic_core import PydanticCustomError

from simbench.errors import BadInput


def usable_device(name: str) -> torch.device:
    """The device of this name.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, or ``cuda:1`` for the second GPU.

    Raises
    ------
    BadInput
        If there is no such kind of device, or this machine has none.
    """
    try:
        return torch.device(checked_device(name))
    except PydanticCustomError as error:
        raise BadInput(f"device {error.message()}, got {name!r}.") from error


def checked_device(name: str) -> str:
    """The name itself, for a check by pydantic.

    Raises
    ------
    PydanticCustomError
        If there is no such kind of device, or this machine has none.
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise PydanticCustomError("device", "must be cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise PydanticCustomError("device", "must be cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= _gpus():
        there = {"there": _there()}
        raise PydanticCustomError("device", "must be one that this machine has ({there})", there)
    return name


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _there() -> str:
    return f"cpu, and {_gpus()} GPUs" if _gpus() else "cpu; no GPU that PyTorch can use"
