"""Where and how the steps of the reproduction run, which steps and measurements share."""

from dataclasses import dataclass, field
from pathlib import Path

from simbench.repro.real import RealData
from simbench.study.run import CellObserver

FINISHED = "finished.json"


RESULTS = "results.parquet"


@dataclass(frozen=True)
class Run:
    """Where and how the steps run.

    Parameters
    ----------
    out : Path
        A folder a step.
    quick : bool
        The small form: a part of the cells, at the same sizes, with fewer replicates.
    jobs : int
        Processes.
    real : RealData, optional
        Run the main comparison on real data in place of the twins.
    progress : callable, optional
        Told of every cell.
    """

    out: Path
    quick: bool = False
    jobs: int = 1
    real: RealData | None = None
    progress: CellObserver | None = field(default=None, compare=False)

    @property
    def data(self) -> str:
        """``twin`` or ``hub``."""
        return "twin" if self.real is None else "hub"
