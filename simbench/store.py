"""Results on disk: one shard a finished cell, written under another name and then renamed."""

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from simbench.errors import BadInput


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write through a temporary name in the same folder, then rename: never half a file.

    Raises
    ------
    BadInput
        If the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room and run the same command again" if is_full else "choose another folder"
        raise BadInput(
            f"cannot write {path}: {error.strerror or error}. Finished cells are kept; {remedy}."
        ) from error
    finally:
        with suppress(OSError):  # on a disk that cannot be written, there is none
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document whole."""
    write_whole(path, lambda to: to.write_text(json.dumps(value, indent=2, ensure_ascii=False)))


class Shards:
    """The finished cells of a study: predictions and how they were made.

    Parameters
    ----------
    folder : Path
        ``OUT/shards``.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def has(self, key: str) -> bool:
        return self.path(key).exists()

    def write(self, key: str, predictions: np.ndarray, facts: dict[str, Any]) -> None:
        """Keep predictions of shape (R, m) as float32, and the facts beside them."""
        # safetensors writes the memory as it lies: a transposed array would come back scrambled
        whole = np.ascontiguousarray(predictions, dtype=np.float32)
        blob = save({"predictions": whole}, {"facts": json.dumps(facts)})
        write_whole(self.path(key), lambda to: to.write_bytes(blob))

    def read(self, key: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Predictions (float64) and facts of a finished cell.

        Raises
        ------
        BadInput
            If the shard is damaged.
        """
        try:
            with safe_open(self.path(key), framework="np") as shard:
                facts = json.loads(shard.metadata()["facts"])
                return shard.get_tensor("predictions").astype(float), facts
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise BadInput(
                f"the shard {self.path(key)} is damaged ({error}): delete it and run the same command again."
            ) from error
