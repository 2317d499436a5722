"""Reads what a finished study left on disk: its configuration, and the predictions of every cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.study.cell import Cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.folder import HIDDEN
from simbench.study.shards import Shards
from simbench.worlds.config import WorldConfig


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell.

    Parameters
    ----------
    cell : Cell
    predictions : ndarray, shape (R, m)
        Rewards ``γ̂`` of the test responses.
    facts : dict
        How they were made, see :mod:`simbench.study.facts`.
    """

    cell: Cell
    predictions: np.ndarray
    facts: dict[str, Any]


def read_study(folder: Path | Location) -> StudyConfig:
    """Read the configuration of the study in a results folder.

    Raises
    ------
    BadInput
        If there is none, or it was made by a version whose shards this one does not read.
    """
    path = Location(folder) / "study.json"
    if not path.exists():
        raise BadInput(f"{path} cannot be read: give the folder of a study (simbench run --out).")
    found = read_mapping(path, "run the study again")
    made_by, config = found.get("simbench"), found.get("config")
    if made_by != VERSION:
        raise BadInput(f"{folder} was made by simbench {made_by}, not {VERSION}: run the study again.")
    if not isinstance(config, dict):
        raise BadInput(f"{path} is damaged (it holds no settings): run the study again.")
    if config.get("seed") == HIDDEN:
        raise BadInput(f"the seed of {folder} is secret until its last cell has run: finish the study.")
    try:
        return StudyConfig.model_validate(config)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadInput(f"{path}: {where} cannot be read by this simbench: run the study again.") from error


def _situation_of(cell: Cell) -> tuple[str, WorldConfig, int, float, int]:
    return cell.protocol.name, cell.world, cell.size, cell.bias_level, cell.draw


def situations(folder: Path | Location) -> Iterator[list[FinishedCell]]:
    """The finished cells of each situation (protocol, world, size, bias level and draw) in turn.

    Raises
    ------
    BadInput
        If there is no study, or none of its cells finished.
    """
    shards, is_empty = Shards(folder / "shards"), True
    for _, group in groupby(cells_of(read_study(folder)), key=_situation_of):
        cells = [cell for cell in group if shards.has(cell.key, cell.replicates)]
        if cells:
            yield [FinishedCell(cell, *shards.read(cell.key, cell.replicates)) for cell in cells]
            is_empty = False
    if is_empty:
        raise BadInput(f"{folder} has no finished cell: run the study again.")
