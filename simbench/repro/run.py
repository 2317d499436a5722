"""Where and how the steps of the reproduction run; a type that steps and measurements share."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from simbench.repro.real import RealData
from simbench.study.observers import CellObserver, PhaseObserver, unseen

FINISHED = "finished.json"
RESULTS = "results.parquet"
REMEDY = "delete that folder and run simbench repro again"  # a damaged file in it


class Form(StrEnum):
    """How much of the reproduction is run."""

    quick = "quick"
    default = "default"
    full = "full"


@dataclass(frozen=True)
class Run:
    """Where and how the steps of a reproduction run.

    Parameters
    ----------
    out : Path
        Folder of the reproduction; every step gets a folder in it.
    form : Form
        ``quick`` runs some of the cells, at the same sizes, with fewer replicates; ``full`` runs the studies
        of the published protocol at the published sizes.
    jobs : int
        Number of processes.
    real : RealData, optional
        Real data, on which the main comparison runs in place of the twins.
    progress : callable, optional
        Called with every finished cell.
    phase : callable, optional
        Told what a study is at besides its cells.
    """

    out: Path
    form: Form = Form.default
    jobs: int = 1
    real: RealData | None = None
    progress: CellObserver | None = field(default=None, compare=False)
    phase: PhaseObserver = field(default=unseen, compare=False)

    @property
    def quick(self) -> bool:
        """Whether this is the small form."""
        return self.form is Form.quick

    @property
    def data(self) -> str:
        """What the main comparison runs on, ``twin`` or ``hub``."""
        return "twin" if self.real is None else "hub"
