"""Random streams, each derived from the axes that should change it and from nothing else."""

import hashlib
import json

import numpy as np


def seed_of(*axes: str | int | float) -> int:
    """128-bit seed derived from the named axes; equal axes, equal seed, on every platform."""
    digest = hashlib.sha256(json.dumps(axes).encode()).digest()
    return int.from_bytes(digest[:16], "little")


def stream(*axes: str | int | float) -> np.random.Generator:
    """Independent NumPy generator for these axes (say: seed, purpose, replicate)."""
    return np.random.default_rng(seed_of(*axes))
