"""One writer of files: whole or not at all, on this disk or behind a URL."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simbench.files.location import Location


def write_whole(path: Path | Location, write: Callable[[Path], object]) -> None:
    """Have ``write`` fill a file on this disk, and put it at ``path``: never half a file.

    On a disk the file is written under a temporary name in the same folder, and renamed.

    Raises
    ------
    BadInput
        If the disk is full or the place cannot be written.
    """
    Location(path).write_whole(write)


def write_json(path: Path | Location, value: Any) -> None:
    """Write a JSON document whole."""
    write_whole(path, lambda to: to.write_text(json.dumps(value, indent=2, ensure_ascii=False)))
