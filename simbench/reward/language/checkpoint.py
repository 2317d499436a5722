"""Checkpoints of a fine-tuning: tensors in safetensors, the rest in JSON; never a pickle.

A checkpoint is two files of tensors, of the last step and of the best one, and a JSON document that names
both. The document is renamed into place last, so that it names whole files whenever the process is killed.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from simbench.errors import BadInput
from simbench.files.write import write_json, write_whole

NOT_JSON = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
INDEX = "checkpoint.json"


class Checkpoints:
    """The checkpoint of a run, in a folder of its own.

    Parameters
    ----------
    folder : Path
    run : str
        Hash of all that decides the run; the checkpoint of another run is refused.
    """

    def __init__(self, folder: Path, run: str):
        self.folder, self.run = folder, run
        self._best: dict[str, str] | None = None

    def write_best(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the best weights so far; the next :meth:`write` refers to them."""
        self._best = self._tensors(f"best-{step:08d}", tensors)

    def write(self, step: int, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
        """Write the state of the run after a step, then remove the checkpoint before it."""
        last = self._tensors(f"step-{step:08d}", tensors)
        index = {"run": self.run, "step": step, "last": last, "best": self._best, "facts": facts}
        write_json(self.folder / INDEX, index)
        kept = {last["file"], *([self._best["file"]] if self._best else [])}
        for file in self.folder.glob("*.safetensors"):
            if file.name not in kept:
                file.unlink(missing_ok=True)

    def read(self) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """Read step, tensors and facts of the checkpoint; None if there is none.

        Raises
        ------
        BadInput
            If it belongs to another run, or is damaged.
        """
        if not (self.folder / INDEX).exists():
            return None
        try:
            index = json.loads((self.folder / INDEX).read_bytes().decode())
            if index["run"] != self.run:
                raise BadInput(
                    f"{self.folder} holds a checkpoint of another run (log, model or settings differ): "
                    "choose another --out, or say --force to begin anew."
                )
            self._best = index["best"]
            return index["step"], self._read(index["last"]), index["facts"]
        except (OSError, KeyError, TypeError, *NOT_JSON, SafetensorError) as error:
            raise self._damaged(error) from error

    def read_best(self) -> dict[str, Tensor]:
        """Read the weights that :meth:`write_best` wrote last."""
        assert self._best is not None
        try:
            return self._read(self._best)
        except (OSError, SafetensorError) as error:
            raise self._damaged(error) from error

    def forget(self) -> None:
        """Remove the checkpoint, the document first."""
        for file in (self.folder / INDEX, *self.folder.glob("*.safetensors")):
            file.unlink(missing_ok=True)
        if self.folder.is_dir():
            self.folder.rmdir()

    def abandon(self) -> None:
        """Remove the checkpoint of a run that came to nothing, and the folder of the model if it is empty."""
        self.forget()
        if self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()

    def _tensors(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
        content = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        write_whole(self.folder / f"{name}.safetensors", lambda to: to.write_bytes(content))
        return {"file": f"{name}.safetensors", "sha256": hashlib.sha256(content).hexdigest()}

    def _read(self, described: dict[str, str]) -> dict[str, Tensor]:
        content = (self.folder / described["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != described["sha256"]:
            raise OSError(f"{described['file']} is not what was written")
        return load(content)

    def _damaged(self, error: Exception) -> BadInput:
        return BadInput(f"the checkpoint in {self.folder} is damaged ({error}): say --force to begin anew.")
