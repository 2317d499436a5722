"""A safetensors file of one matrix, written block by block: it may be larger than memory."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_blocks(path: Path, name: str, blocks: Iterable[np.ndarray], shape: tuple[int, int]) -> None:
    """Write float32 blocks one under the other as a tensor of ``shape`` (n, d).

    The safetensors library takes whole tensors only; its format is a length (8 bytes), a JSON header
    padded to 8 bytes, and the rows as they lie.
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
