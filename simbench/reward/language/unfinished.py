"""The rows of a shard that are embedded already: a large encoder can take an hour over one shard."""

import time
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from simbench.files.write import write_whole

SECONDS = 60.0  # of work that a killed run can lose


def rows_done(path: Path) -> int:
    """How many rows a file of unfinished work holds; 0 if there is none, or a power cut damaged it."""
    try:
        with safe_open(path, framework="np") as found:
            return int(found.get_tensor("done").sum())
    except (OSError, SafetensorError):
        return 0


class Unfinished:
    """A matrix that fills with embeddings, and a file of it that is at most :data:`SECONDS` old.

    Parameters
    ----------
    path : Path
        Where a killed run left such a file, and where this one keeps its own.
    rows, width : int
        Shape of the matrix.

    Attributes
    ----------
    matrix : ndarray, shape (rows, width), float32
    done : ndarray, shape (rows,), bool
        Which rows are filled.
    """

    def __init__(self, path: Path, rows: int, width: int):
        self.path, self.saved = path, time.monotonic()
        self.matrix = np.zeros((rows, width), dtype=np.float32)
        self.done = np.zeros(rows, dtype=bool)
        if rows_done(path):
            found = load_file(path)
            self.matrix, self.done = found["embeddings"], found["done"].astype(bool)

    def add(self, rows: np.ndarray, embeddings: np.ndarray) -> None:
        """Fill some rows, and write the file if that is due."""
        self.matrix[rows] = embeddings
        self.done[rows] = True
        if time.monotonic() - self.saved >= SECONDS:
            blob = save({"embeddings": self.matrix, "done": self.done.astype(np.uint8)})
            write_whole(self.path, lambda to: to.write_bytes(blob))
            self.saved = time.monotonic()

    def forget(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
