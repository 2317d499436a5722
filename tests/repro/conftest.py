"""Constructed results: folders as the steps leave them, with numbers that a test chooses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from simbench.repro import replicates
from simbench.repro.measurements import IDENTITIES
from simbench.repro.run import FINISHED

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: constructed.py is in no package


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
