"""Opens what a user names: a file, a folder, a URL, a data set of the hub, or a table in memory."""

import os
from typing import Any

from simbench.errors import BadInput
from simbench.files.tables.read import hash_of_frame, read_table
from simbench.files.tables.table import Table
from simbench.log.hub import is_hub, read_hub


def open_table(source: Any, *, encoding: str | None = None, separator: str | None = None) -> Table:
    """Open a table of responses.

    Parameters
    ----------
    source : str, Path, DataFrame, or a table of Arrow or polars
        What :func:`simbench.files.tables.read.read_table` reads, or ``hub:OWNER/DATASET``
        (see :mod:`simbench.log.hub`).
    encoding, separator : str, optional
        Of a text file; by default they are recognised.

    Raises
    ------
    BadInput
        If it is missing, empty, of another kind, or damaged; the message names the row or line.
    """
    if not isinstance(source, str | os.PathLike) or not is_hub(os.fspath(source)):
        return read_table(source, encoding=encoding, separator=separator)
    if encoding is not None or separator is not None:
        raise BadInput(f"{source} is a data set of the hub: leave out --encoding and --separator.")
    frame = read_hub(os.fspath(source))
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    return Table(frame, str(source), True, None, lambda: hash_of_frame(frame))
