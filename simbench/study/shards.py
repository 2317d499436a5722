"""Shards: the predictions of one finished cell each, on disk or behind a URL, written whole or not at all.

A shard holds the key of its cell and a checksum of all that it says, so that a file that was damaged, renamed
or changed is not taken for a result.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.write import write_whole
from simbench.study.facts import Facts, checked, first


class DamagedShard(UserWarning):
    """A shard cannot be used, and its cell is computed again."""


@dataclass(frozen=True)
class Shard:
    """What a shard holds.

    Parameters
    ----------
    predictions : ndarray, shape (R, m), float32
        Rewards ``γ̂`` of the test responses.
    facts : dict
        How they were made, see :mod:`simbench.study.facts`.
    checksum : str
        SHA-256 of key, predictions and facts.
    """

    predictions: np.ndarray
    facts: Facts
    checksum: str

    @property
    def replicates(self) -> int:
        """Number of replicates, R."""
        return len(self.predictions)

    def first(self, replicates: int) -> tuple[np.ndarray, Facts]:
        """Predictions, as float64, and facts of the first replicates."""
        return self.predictions[:replicates].astype(float), first(self.facts, replicates)


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

    def has(self, key: str, replicates: int = 1) -> bool:
        """Whether so many replicates of the cell with this key are finished.

        Raises
        ------
        BadInput
            If the shard is damaged.
        """
        return self.path(key).exists() and self.find(key).replicates >= replicates

    def write(self, key: str, predictions: np.ndarray, facts: dict[str, Any]) -> None:
        """Write the shard of a cell: predictions of shape (R, m) as float32, and facts that JSON can hold."""
        # safetensors writes the memory as it lies: a transposed array would come back scrambled
        whole = np.ascontiguousarray(predictions, dtype=np.float32)
        said = {"key": key, "facts": json.dumps(facts)}
        blob = save({"predictions": whole}, {**said, "sha256": _checksum(whole, **said)})
        write_whole(self.path(key), lambda to: to.write_bytes(blob))

    def find(self, key: str) -> Shard:
        """Read the shard of a finished cell, with all its replicates.

        Raises
        ------
        BadInput
            If there is none, or it is damaged.
        """
        blob = self.path(key).read_bytes()
        try:
            return _sound(key, load(blob)["predictions"], _metadata(blob))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"the shard {self.path(key)} is damaged ({_said(error)}): run the same command again, which "
                "computes it anew."
            ) from error

    def sound(self, key: str) -> Shard | None:
        """The shard of a cell, with all its replicates; None if there is none that can be used."""
        try:
            return self.find(key) if self.path(key).exists() else None
        except BadInput:
            return None

    def finished(self, key: str, replicates: int) -> Shard | None:
        """The shard of a cell if it holds so many replicates; a damaged one is a :class:`DamagedShard`."""
        try:
            shard = self.find(key) if self.path(key).exists() else None
        except BadInput as error:
            said = str(error).split(": run the same")[0]
            warnings.warn(f"{said}: its cell is computed again.", DamagedShard, stacklevel=2)
            return None
        return shard if shard is not None and shard.replicates >= replicates else None

    def read(self, key: str, replicates: int | None = None) -> tuple[np.ndarray, Facts]:
        """Read the predictions, as float64, and the facts of a finished cell.

        Parameters
        ----------
        key : str
        replicates : int, optional
            Number of the first replicates to read, R; by default all.

        Returns
        -------
        predictions : ndarray, shape (R, m)
        facts : dict

        Raises
        ------
        BadInput
            If the shard is damaged, or holds fewer replicates.
        """
        shard = self.find(key)
        wanted = shard.replicates if replicates is None else replicates
        if shard.replicates < wanted:
            raise BadInput(
                f"the shard {self.path(key)} holds {shard.replicates} of {wanted} replicates: run the study "
                "to its end."
            )
        return shard.first(wanted)


def _sound(key: str, predictions: np.ndarray, said: dict[str, str]) -> Shard:
    """A shard, if it is what was written under this key; raises ValueError that says why not."""
    if said["key"] != key:
        raise ValueError(f"it is that of the cell {said['key']}")
    checksum = _checksum(predictions, key, said["facts"])
    if said["sha256"] != checksum:
        raise ValueError("its content does not match its checksum")
    if predictions.ndim != 2 or not np.isfinite(predictions).all():
        raise ValueError("its predictions are no matrix of finite numbers")
    return Shard(predictions, checked(json.loads(said["facts"]), len(predictions)), checksum)


def _checksum(predictions: np.ndarray, key: str, facts: str) -> str:
    digest = hashlib.sha256(f"{key} {predictions.shape} {predictions.dtype} {facts} ".encode())
    digest.update(np.ascontiguousarray(predictions).data)
    return digest.hexdigest()


def _said(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _metadata(blob: bytes) -> dict[str, str]:
    """The strings that a safetensors file carries; its header is JSON behind eight bytes of length."""
    end = 8 + int.from_bytes(blob[:8], "little")
    return json.loads(blob[8:end])["__metadata__"]
