"""Measurements of the steps that are not studies, and what the steps add to a study."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from simbench.errors import BadInput
from simbench.repro import replicates
from simbench.repro.identities import IDENTITIES_OF, POINTS
from simbench.repro.run import Run
from simbench.score.risk import EXACT
from simbench.score.risk_table import collect
from simbench.study import library
from simbench.study.config import StudyConfig
from simbench.study.executors.local import Local
from simbench.study.run import run
from simbench.study.table import write_table

IDENTITIES = "identities.parquet"
THROUGHPUT = "throughput.parquet"
IDENTITY_NAMES = tuple(IDENTITIES_OF)


def run_study(config: StudyConfig, folder: Path, run_: Run) -> None:
    """Run what is missing of a study, and store the scores of every replicate beside its results."""
    run(config, folder, Local(run_.jobs), run_.progress, run_.phase)
    replicates.write(folder / replicates.FILE, replicates.collect(config, folder))


def measure_risk(folder: Path) -> None:
    """Write the verdicts of ``simbench check`` on the risks, and the errors of the paper's formulae."""
    verdicts = pd.DataFrame([vars(verdict) for verdict, _ in collect(None, 0)])
    rows = [
        {"identity": name, "case": case, "points": POINTS, "error": error(case)}
        for name, (error, cases) in IDENTITIES_OF.items()
        for case in cases
    ]
    replicates.write(folder / IDENTITIES, pd.DataFrame(rows).assign(tolerance=EXACT))
    write_table(folder / "results.parquet", verdicts)


def measure_throughput(folder: Path, quick: bool) -> None:
    """Run ``throughput.py`` beside the studies.

    Its timings are those of this machine and are never compared.

    Raises
    ------
    BadInput
        If the script fails.
    """
    if quick:  # no claim hangs on it, and a busy machine's timings say nothing
        write_table(folder / "results.parquet", pd.DataFrame())
        return
    command = [sys.executable, str(library.folder() / "throughput.py"), "--out", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        raise BadInput(f"{command[1]} failed: {finished.stderr.strip().splitlines()[-1]}.")
    write_table(folder / "results.parquet", pd.read_parquet(folder / THROUGHPUT))
