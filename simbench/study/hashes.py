"""The hashes of a finished study: ``hashes.json`` lists its files and cells, so that a change of them shows.

They find damage, and a table that was edited. They cannot find a lie: who makes up a whole study can hash it.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.checksum import file_sha256
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.files.write import write_json
from simbench.study import folder, table
from simbench.study.cell import Cell
from simbench.study.observers import PhaseObserver, unseen
from simbench.study.shards import Shards

FILE = "hashes.json"
TABLES = (folder.FILE, table.FILE, table.DRAWS)
LISTED = re.compile(r"shards/[0-9a-f]{20}\.safetensors")
REMEDY = "run the study's command again in that folder, which computes only what is missing"


def write_hashes(out: Location, cells: list[Cell], phase: PhaseObserver = unseen) -> None:
    """Write ``hashes.json``: the SHA-256 of every file of a study that ended, and what its cells are.

    Files that other commands make in the folder (pages, figures, ``downstream.parquet``) are not listed.

    Parameters
    ----------
    out : Location
        The folder of the study, with its tables written.
    cells : list of Cell
        Those of the study; one that was skipped or failed has no shard.
    phase : callable, optional
        Told how many files are read.
    """
    shards, there = Shards(out / "shards"), set((out / "shards").names() or ())
    of_cells = [_described(cell) for cell in cells]
    names = [shards.path(cell["key"]).name for cell in of_cells]
    files = [*TABLES, *(f"shards/{name}" for name in dict.fromkeys(names) if name in there)]
    sums = {}
    for number, name in enumerate(files):
        phase("hashing files", number, len(files))
        sums[name] = _sha256(out, name)
    said = {"simbench": VERSION, "files": sums, "cells": of_cells}
    write_json(out / FILE, {**said, "sha256": _own(said)})


def verified_hashes(out: str | Path | Location) -> dict[str, Any]:
    """Read ``hashes.json`` and every file that it lists, and compare.

    Parameters
    ----------
    out : str, Path or Location
        The folder of a finished study.

    Returns
    -------
    dict
        ``simbench``: version; ``files``: SHA-256 by name; ``cells``: list of dict with ``key``, ``world``,
        ``bias_level``, ``size``, ``protocol``, ``draw``, ``estimator``, ``parameters``, ``replicates``,
        ``data`` and ``code`` (fingerprints by name, of files and of plug-ins from outside); ``sha256``: of
        all that.

    Raises
    ------
    BadInput
        If there is none, a file is missing, or something is not what was written.
    """
    out = Location(out)
    if not (out / FILE).exists():
        raise BadInput(f"{out} holds no {FILE}, which a study writes when it ends: {REMEDY}.")
    said = read_mapping(out / FILE, REMEDY)
    try:
        files, cells = dict(said["files"]), [dict(cell) for cell in said["cells"]]
        is_own = said["sha256"] == _own({name: said[name] for name in ("simbench", "files", "cells")})
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{out / FILE} is damaged ({error!r}): {REMEDY}.") from error
    if not is_own:
        raise BadInput(f"{out / FILE} does not match its own hash, so it was changed: {REMEDY}.")
    # a name such as ../../x would have another file read
    odd = next((name for name in files if name not in TABLES and not LISTED.fullmatch(str(name))), None)
    if odd is not None or not set(TABLES) <= files.keys():
        wrong = f"lists {odd!r}" if odd is not None else "does not list every table"
        raise BadInput(f"{out / FILE} {wrong}, as no study does: {REMEDY}.")
    for name, sha256 in files.items():
        if not (out / name).exists():
            raise BadInput(f"{out / name} is missing, which {FILE} lists: send the whole folder.")
        if _sha256(out, name) != sha256:
            raise BadInput(f"{out / name} is not the file that {FILE} lists, so it was changed: {REMEDY}.")
    return {**said, "files": files, "cells": cells}


def _described(cell: Cell) -> dict[str, Any]:
    """What a cell is, with the fingerprints of what it reads besides its settings."""
    return {
        **{"key": cell.key, "world": cell.world.name, "bias_level": cell.bias_level, "size": cell.size},
        **{"protocol": cell.protocol.name, "draw": cell.draw, "estimator": cell.estimator},
        **{"parameters": cell.model_dump(mode="json")["parameters"], "replicates": cell.replicates},
        **{"data": dict(cell.data), "code": dict(cell.code)},
    }


def _own(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _sha256(out: Location, name: str) -> str:
    path = out / name
    if path.local is not None:
        try:
            return file_sha256(path.local)
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from error
    return hashlib.sha256(path.read_bytes()).hexdigest()
