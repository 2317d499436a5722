"""One script a figure: a results table in, a figure out; nothing is drawn on global state.

Inside the package, not beside it: the installed command must find them, and a top-level import
package named ``figures`` would claim a name that others use.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from simbench.location import Location
from simbench.store import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = {
    "bias-variance": "bias_variance",
    "efficiency": "efficiency",
    "identification": "identification",
    "plane": "plane",
}


def save(figure: "Figure", path: Path | Location) -> list[Location]:
    """Write PATH.png (150 dpi) and PATH.pdf, each whole or not at all."""
    stem = Location(path)
    targets = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf")}
    for kind, target in targets.items():
        write_whole(target, lambda to, kind=kind: figure.savefig(to, dpi=150, format=kind))
    return list(targets.values())
