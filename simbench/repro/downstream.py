"""The step that measures policies on every replicate's reward, so that estimators are compared in pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench.repro import measurements, replicates
from simbench.repro.run import Run
from simbench.repro.studies import StudyFile
from simbench.score.policies import Prompts, best_of, tilted_to
from simbench.study.finished import FinishedCell, situations

COPYABLE: dict[str, Any] = {"preset": "copyable"}
FILE = StudyFile(
    "downstream.yaml",
    {"worlds": [COPYABLE], "estimators": ["oracle", "naive", "naive-sqrt", "implicitrm"], "replicates": 8},
)
KLS = (0.4, 1.0, 2.0)  # nats, of tilted policies
NS = (4, 16)  # of best-of-n
POLICIES = (*(f"KL {kl:g}" for kl in KLS), *(f"best of {n}" for n in NS))


def describe(run: Run) -> dict[str, Any]:
    """Return the settings that decide the results of the step."""
    return {"study": FILE.config(run.form).model_dump(mode="json"), "policies": POLICIES}


def measure(run: Run, folder: Path) -> None:
    """Run the study, and measure value against KL and the value of chosen policies in every replicate."""
    measurements.run_study(FILE.config(run.form), folder, run)
    scores = pd.read_parquet(folder / replicates.FILE)
    values = [_values(found) for cells in situations(folder) for found in cells]
    replicates.write(folder / replicates.FILE, pd.concat([scores, *values], ignore_index=True))


def _values(found: FinishedCell) -> pd.DataFrame:
    """Rows as of :func:`simbench.repro.replicates.collect`; metrics ``value POLICY`` and ``trait POLICY``.

    A policy that is out of reach in one replicate, because too many responses tie at the top, gets no
    rows: the mean over the others would be that of a selection.
    """
    test = found.cell.built().test
    prompts = Prompts.of(test.groups)
    scores = prompts.spread(found.predictions)
    policies = [tilted_to(scores, kl=kl, prompts=prompts) for kl in KLS]
    policies += [best_of(scores, n=n) for n in NS]
    judged = {"value": test.reward}
    if test.trait is not None:
        judged["trait"] = test.trait.astype(float)
    metrics = {
        f"{what} {name}": prompts.mean_under(policy, truth)
        for name, policy in zip(POLICIES, policies, strict=True)
        for what, truth in judged.items()
    }
    reached = {name: values for name, values in metrics.items() if np.isfinite(values).all()}
    return replicates.as_rows(found.cell, found.facts["knows"], reached)
