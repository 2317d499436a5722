"""Reads JSON files that simbench wrote: a mapping each, or one sentence that says what is wrong."""

import json
from pathlib import Path
from typing import Any

from simbench.errors import BadInput
from simbench.files.location import Location


def read_mapping(path: Path | Location, remedy: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Parameters
    ----------
    path : Path or Location
    remedy : str
        What makes the file anew, for the message.

    Raises
    ------
    BadInput
        If it cannot be read, or holds something else.
    """
    content = Location(path).read_bytes()
    try:
        value = json.loads(content.decode())
        if not isinstance(value, dict):
            raise TypeError("it holds no JSON object")
        return value
    except (ValueError, TypeError, RecursionError) as error:
        said = next(iter(str(error).splitlines()), "").rstrip(".")
        raise BadInput(f"{path} is damaged ({said}): {remedy}.") from error
