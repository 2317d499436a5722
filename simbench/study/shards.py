"""Shards: the predictions of one finished cell each, on disk or behind a URL, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.write import write_whole


class Shards:
    """The finished cells of a study: their predictions, and how they were made.

    Parameters
    ----------
    folder : Path or Location
        ``OUT/shards``, where ``OUT`` is the results folder.
    """

    def __init__(self, folder: Path | Location):
        self.folder: Location = Location(folder)

    def path(self, key: str) -> Location:
        """Where the shard of the cell with this key lies."""
        return self.folder / f"{key}.safetensors"

    def has(self, key: str) -> bool:
        """Whether the cell with this key is finished."""
        return self.path(key).exists()

    def write(self, key: str, predictions: np.ndarray, facts: dict[str, Any]) -> None:
        """Write the shard of a cell: predictions of shape (R, m) as float32, and facts that JSON can hold."""
        # safetensors writes the memory as it lies: a transposed array would come back scrambled
        whole = np.ascontiguousarray(predictions, dtype=np.float32)
        blob = save({"predictions": whole}, {"facts": json.dumps(facts)})
        write_whole(self.path(key), lambda to: to.write_bytes(blob))

    def read(self, key: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Read the predictions (R, m), as float64, and the facts of a finished cell.

        Raises
        ------
        BadInput
            If the shard is damaged.
        """
        blob = self.path(key).read_bytes()
        try:
            return load(blob)["predictions"].astype(float), json.loads(_metadata(blob)["facts"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"the shard {self.path(key)} is damaged ({error}): delete it and run the same command again."
            ) from error


def _metadata(blob: bytes) -> dict[str, str]:
    """The strings that a safetensors file carries; its header is JSON behind eight bytes of length."""
    end = 8 + int.from_bytes(blob[:8], "little")
    return json.loads(blob[8:end])["__metadata__"]
