"""Scores with chosen means, and the finding that a claim makes of them."""

import zlib

import numpy as np
import pandas as pd

from simbench.repro.check import compare_verdicts
from simbench.repro.document import Reproduction, unfilled
from simbench.repro.evidence import Evidence
from simbench.repro.verdicts import ClaimVerdict

R = 12  # replicates


def scored(values: dict[tuple[str, str], float], noise: float = 0.002, **where: object) -> pd.DataFrame:
    """Per-replicate scores around chosen means, ``{(estimator, metric): mean}``, with noise."""
    rng = np.random.default_rng(zlib.crc32(repr((values, where)).encode()))
    rows = [
        {**where, "estimator": name, "knows": "", "replicate": r, "metric": metric, "value": value}
        for (name, metric), mean in values.items()
        for r, value in enumerate(mean + noise * rng.standard_normal(R))
    ]
    return pd.DataFrame(rows)


def judged(claim, folder):
    """The finding; every text of it can be filled."""
    found = claim.examine(Evidence(folder))
    for text in (found.because, found.rule, *(cell for t in found.tables for row in t.rows for cell in row)):
        assert unfilled(found.fill(text)) == []
    # what was decided follows from what is stored, and a condition is named
    assert compare_verdicts(Reproduction(environment={}, level=0.95, findings=(found,))) == []
    assert bool(found.condition) is (found.verdict is ClaimVerdict.condition)
    return found


def twin(protocol, values, world="twin:helpsteer"):
    """A twin under a protocol: R² by estimator; AUROC the same for all, recalibrated R² alike."""
    metrics = {(name, "r2"): value for name, value in values.items()}
    metrics |= {(name, "r2_recalibrated"): 0.3 for name in values}
    metrics |= {(name, "auroc"): 0.8 for name in values} | {
        (name, "shift"): v - 0.3 for name, v in values.items()
    }
    table = scored(metrics, world=world, bias_level=0.8, size=10, protocol=protocol)
    return table.assign(knows="nothing")
