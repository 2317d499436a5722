"""The long, self-describing table of a study: its columns, written and read."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.parquet import parse_own_parquet
from simbench.files.write import write_whole

COLUMNS = [
    *(
        "world",
        "behaviour",
        "bias_level",
        "size",
        "protocol",
        "estimator",
        "knows",
        "metric",
        "value",
        "low",
        "high",
    ),
    *("n_replicates", "status", "reason", "verdict", "seconds"),
]

OF_A_DRAW = [*COLUMNS[:-5], "draw", *COLUMNS[-5:]]
OF_A_STUDY = [*COLUMNS[:-5], "n_worlds", *COLUMNS[-5:]]

FILE = "results.parquet"
DRAWS = "draws.parquet"
FOOTER = b"simbench"
REMEDY = "run the study again"


@dataclass(frozen=True)
class Footer:
    """What a table was made of, in the footer of its file; it says which rows are still right.

    Parameters
    ----------
    config : str
        Fingerprint of the study's configuration.
    cells : tuple of (str, int)
        For each cell, in the order of the rows: a fingerprint of all that its rows follow from, and their
        number.
    """

    config: str
    cells: tuple[tuple[str, int], ...]


def digest(value: Any) -> str:
    """A fingerprint of a value that JSON can hold, 20 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


def write_table(path: Path | Location, table: pd.DataFrame, footer: Footer | None = None) -> None:
    """Write a table as parquet, with checksums of its pages, whole or not at all."""
    content = pa.Table.from_pandas(table, preserve_index=False)
    if footer is not None:
        said = json.dumps({"config": footer.config, "cells": footer.cells}).encode()
        content = content.replace_schema_metadata({**(content.schema.metadata or {}), FOOTER: said})
    write_whole(path, lambda to: pq.write_table(content, to, write_page_checksum=True))


def read_table(folder: str | Path | Location) -> pd.DataFrame:
    """Read the long table of a results folder, on this disk or behind a URL.

    Raises
    ------
    BadInput
        If there is none, or it is damaged.
    """
    return _read(folder)[0]


def read_draws(folder: str | Path | Location) -> pd.DataFrame:
    """Read the long table of every draw of a results folder, on this disk or behind a URL.

    Raises
    ------
    BadInput
        If there is none, or it is damaged.
    """
    return _read(folder, DRAWS)[0]


def read_footer(folder: str | Path | Location) -> Footer | None:
    """Read what the table of a results folder was made of; None if it does not say.

    Raises
    ------
    BadInput
        If there is no table, or it is damaged.
    """
    return _read(folder)[1]


def footer_of(folder: Location) -> Footer | None:
    """What the table of a results folder was made of; None also if it cannot be read."""
    try:
        return read_footer(folder)
    except BadInput:
        return None


def earlier_rows(folder: Location) -> tuple[Footer | None, dict[str, Sequence[dict[str, Any]]]]:
    """The footer of the table of draws in a folder and its rows, by the fingerprint of what they follow from.

    Without a table that can be read, there are none.
    """
    try:
        table, footer = _read(folder, DRAWS)
    except BadInput:
        return None, {}
    if footer is None or sum(count for _, count in footer.cells) != len(table):
        return None, {}
    rows, found, start = table.to_dict("records"), {}, 0
    for basis, count in footer.cells:
        found[basis] = rows[start : start + count]
        start += count
    return footer, found


def _read(folder: str | Path | Location, file: str = FILE) -> tuple[pd.DataFrame, Footer | None]:
    path = Location(folder) / file
    if not path.exists():
        raise BadInput(f"{path} does not exist: finish the study first (simbench run --out {folder}).")
    content = path.read_bytes()
    return parse_own_parquet(content, path, REMEDY), _footer(content, path)


def _footer(content: bytes, path: Location) -> Footer | None:
    said = (pq.read_schema(io.BytesIO(content)).metadata or {}).get(FOOTER)
    if said is None:
        return None
    try:
        found = json.loads(said)
        return Footer(found["config"], tuple((basis, int(count)) for basis, count in found["cells"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read ({error}): {REMEDY}.") from error


def to_json(table: pd.DataFrame) -> str:
    """The rows of a table as JSON, a list of records; NaN becomes null."""
    return json.dumps(json.loads(table.to_json(orient="records", double_precision=15)), indent=1)
