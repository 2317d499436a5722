"""One script a figure: a results table in, a figure out; nothing is drawn on global state.

Inside the package, not beside it: the installed command must find them, and a top-level import
package named ``figures`` would claim a name that others use.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from simbench.location import Location
from simbench.store import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Entry:
    """A figure: its module, and the steps of the reproduction whose folders it is drawn from.

    The module's ``draw(data)`` makes the figure, of the results table, or of what its own ``read(folder)``
    gives.
    """

    module: str
    steps: tuple[str, ...]

    def load(self) -> ModuleType:
        return importlib.import_module(f"simbench.figures.{self.module}")

    def draw(self, folder: Path | Location) -> "Figure":
        """From a results folder; from the folder of the whole reproduction where it needs several steps."""
        from simbench.results import read_table

        module = self.load()
        return module.draw(getattr(module, "read", read_table)(folder))


FIGURES = {
    "groups": Entry("groups", ("bias-level",)),
    "bias-variance": Entry("bias_variance", ("bias-level",)),
    "risk": Entry("risk", ("risk",)),
    "identification": Entry("identification", ("identification",)),
    "efficiency": Entry("efficiency", ("efficiency",)),
    "leaks": Entry("leaks", ("leaks",)),
    "comparison": Entry("comparison", ("twins-published", "twins-honest")),
    "learning-rate": Entry("learning_rate", ("learning-rate",)),
    "reliability": Entry("reliability", ("bias-level",)),
    "value-kl": Entry("value_kl", ("downstream",)),
    "throughput": Entry("throughput", ("throughput",)),
    "plane": Entry("plane", ("bias-level",)),
}


def save(figure: "Figure", path: Path | Location) -> list[Location]:
    """Write PATH.png (300 dpi) and PATH.pdf, each whole or not at all."""
    from matplotlib import rc_context

    from simbench.figures.paper import STYLE

    stem = Location(path)
    targets = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf")}
    with rc_context(STYLE):
        for kind, target in targets.items():
            write_whole(target, lambda to, kind=kind: figure.savefig(to, format=kind))
    return list(targets.values())
