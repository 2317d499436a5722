"""Steps that run one study several times, each with some changes, and join the tables."""

from pathlib import Path
from typing import Any

import pandas as pd

from simbench.repro import measurements, replicates
from simbench.repro.run import RESULTS, Run
from simbench.study.config import StudyConfig
from simbench.study.table import read_table, write_table


def measure(parts: dict[str, tuple[StudyConfig, dict[str, Any]]], run: Run, folder: Path) -> None:
    """Run what is missing of every part in a folder of its own, and join what they found.

    Parameters
    ----------
    parts : dict of str
        By the name of the part's folder: its study, and the columns that tell its rows from the others'.
    run : Run
    folder : Path
        Folder of the step; the joined ``results.parquet`` and ``replicates.parquet`` are written there.
    """
    results, scores = [], []
    for name, (config, columns) in parts.items():
        measurements.run_study(config, folder / name, run)
        results.append(read_table(folder / name).assign(**columns))
        scores.append(pd.read_parquet(folder / name / replicates.FILE).assign(**columns))
    replicates.write(folder / replicates.FILE, pd.concat(scores, ignore_index=True))
    write_table(folder / RESULTS, pd.concat(results, ignore_index=True))
