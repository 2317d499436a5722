"""Measurements of the steps that are not studies, and what the steps add to a study."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.repro import replicates
from simbench.repro.run import Run
from simbench.score.risk import (
    CASES,
    EXACT,
    Probe,
    expected_loss,
    ideal_loss,
    situation,
)
from simbench.score.risk_table import collect
from simbench.study import library
from simbench.study.config import StudyConfig
from simbench.study.executors.local import Local
from simbench.study.run import run
from simbench.study.table import write_table
from simbench.training.losses import loss_negative, loss_positive

IDENTITIES = "identities.parquet"
THROUGHPUT = "throughput.parquet"
POINTS = 4096  # of each case


def run_study(config: StudyConfig, folder: Path, run_: Run) -> None:
    """Run what is missing of a study, and store the scores of every replicate beside its results."""
    run(config, folder, Local(run_.jobs), run_.progress, run_.phase)
    replicates.write(folder / replicates.FILE, replicates.collect(config, folder))


def measure_risk(folder: Path, names: list[str] | None) -> None:
    """Write the verdicts of ``simbench check`` on the risks, and the errors of the paper's formula.

    Parameters
    ----------
    folder : Path
        Where to write.
    names : list of str or None
        Estimators to check; None for all.
    """
    verdicts = pd.DataFrame([vars(verdict) for verdict, _ in collect(names, 0)])
    cases = [case for case in CASES if case not in ("misclicks", "imputation right", "true posteriors")]
    rows = [
        {"identity": "naive bias", "case": case, "points": POINTS, "error": naive_bias_error(case)}
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


def naive_bias_error(case: str) -> float:
    """Return the largest deviation of naive's exact bias from ``γ(1-α)[ℓ(h,0) - ℓ(h,1)]``."""
    at = situation(case, n=POINTS)
    bias = expected_loss(find("naive")(), at, case) - ideal_loss(at.hypothesis, at.reward)
    return float((bias - stated_naive_bias(at)).abs().max())


def stated_naive_bias(at: Probe) -> torch.Tensor:
    """Return the bias as the paper states it, one value per sample."""
    gap = loss_negative(at.hypothesis) - loss_positive(at.hypothesis)
    return at.reward * (1 - at.propensity) * gap
