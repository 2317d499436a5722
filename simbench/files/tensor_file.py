"""Writing a safetensors file of one matrix block by block, so that it may be larger than memory."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_blocks(path: Path, name: str, blocks: Iterable[np.ndarray], shape: tuple[int, int]) -> None:
    """Write blocks of rows as one float32 tensor of a safetensors file.

    The safetensors library can only write whole tensors. Its format is the length of the header (8 bytes), a
    JSON header padded to a multiple of 8 bytes, and the values row by row.

    Parameters
    ----------
    path : Path
        The file to write.
    name : str
        Name of the tensor.
    blocks : iterable of ndarray, each of shape (k, d), float32
        The rows, in order.
    shape : (int, int)
        ``(n, d)`` of the whole tensor.

    Raises
    ------
    ValueError
        If the blocks do not add up to ``shape``.
    """
    size = shape[0] * shape[1] * 4
    header = json.dumps({name: {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype="<f4").data)
        written = file.tell() - 8 - len(header)
    if written != size:
        raise ValueError(f"{path}: {written} bytes written where {size} were promised")
