"""Constructed results: folders as the steps leave them, with numbers that a test chooses."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simbench.repro import replicates
from simbench.repro.measurements import IDENTITIES
from simbench.repro.steps import FINISHED

R = 12


@pytest.fixture
def finish(tmp_path: Path) -> Callable[..., Path]:
    """Write the files of a finished step into a results folder; returns the results folder."""

    def write(step: str, **tables: pd.DataFrame) -> Path:
        folder = tmp_path / "results" / step
        folder.mkdir(parents=True, exist_ok=True)
        names = {"results": "results.parquet", "replicates": replicates.FILE, "identities": IDENTITIES}
        for name, table in tables.items():
            table.to_parquet(folder / names[name], index=False)
        (folder / FINISHED).write_text(json.dumps({"fingerprint": "constructed", "seconds": 1.0}))
        return folder.parent

    return write


def scored(values: dict[tuple[str, str], float], noise: float = 0.002, **where: object) -> pd.DataFrame:
    """Per-replicate scores around chosen means, ``{(estimator, metric): mean}``, with noise."""
    rng = np.random.default_rng(zlib.crc32(repr((values, where)).encode()))
    rows = [
        {**where, "estimator": name, "knows": "", "replicate": r, "metric": metric, "value": value}
        for (name, metric), mean in values.items()
        for r, value in enumerate(mean + noise * rng.standard_normal(R))
    ]
    return pd.DataFrame(rows)
