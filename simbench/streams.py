"""Random streams, each derived from the axes that may change it and from nothing else."""

import hashlib
import json

import numpy as np


def seed_of(*axes: str | int | float) -> int:
    """Derive a 128-bit seed from the given axes.

    Equal axes give the same seed on every platform, NumPy's integers the same as Python's.
    """
    digest = hashlib.sha256(json.dumps(axes, default=int).encode()).digest()
    return int.from_bytes(digest[:16], "little")


def stream(*axes: str | int | float) -> np.random.Generator:
    """Return a NumPy generator that belongs to these axes (for example seed, purpose and replicate) alone."""
    return np.random.default_rng(seed_of(*axes))
