"""Writing files completely or not at all, on this disk or behind a URL."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simbench.files.location import Location


def write_whole(path: Path | Location, write: Callable[[Path], object]) -> None:
    """Write a file completely or not at all.

    On a disk, the file is written under a temporary name in the same folder and then renamed.

    Parameters
    ----------
    path : Path or Location
        Where the file is to be.
    write : callable
        Called with the path of a temporary local file that it must fill.

    Raises
    ------
    BadInput
        If the disk is full, or the location cannot be written.
    """
    Location(path).write_whole(write)


def write_json(path: Path | Location, value: Any) -> None:
    """Write a value as a JSON document in UTF-8, completely or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # a name of a file may hold bytes that are no characters: they become escapes, as JSON has them
    write_whole(path, lambda to: to.write_text(text, "utf-8", "backslashreplace"))
