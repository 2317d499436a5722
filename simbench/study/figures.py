"""Finds figures by name, through entry points or in a Python file, and writes them as PNG and PDF."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Drawing

from simbench.errors import BadInput, did_you_mean
from simbench.files.location import Location
from simbench.files.plugins import load, plugin, plugin_names
from simbench.files.python_file import module_of
from simbench.files.write import write_whole
from simbench.study.table import read_table

GROUP = "simbench.figures"
WRITTEN: Any = {"savefig.dpi": 300, "pdf.fonttype": 42}  # letters stay letters


@dataclass(frozen=True)
class Figure:
    """A figure found by name.

    Its module states what it shows (``SHOWS``), which study it needs (``NEEDS``) and from which steps of the
    reproduction it is drawn (``STEPS``, may be empty). The module's ``draw(data)`` draws it from the results
    table, or from what the module's own ``read(folder)`` returns.
    """

    name: str
    module: ModuleType

    @property
    def shows(self) -> str:
        """What the figure shows, in a sentence; empty if the module does not say."""
        return getattr(self.module, "SHOWS", "")

    @property
    def needs(self) -> str:
        """Which study the figure is drawn from; empty if the module does not say."""
        return getattr(self.module, "NEEDS", "")

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the reproduction's steps that the figure is drawn from."""
        return getattr(self.module, "STEPS", ())

    def draw(self, folder: str | Path | Location) -> Drawing:
        """Draw the figure.

        Parameters
        ----------
        folder : str, Path or Location
            A results folder; the folder of the whole reproduction if the figure needs several steps.

        Raises
        ------
        BadInput
            If there are no results, or the figure cannot be drawn from them.
        """
        results = getattr(self.module, "read", read_table)(folder)
        try:
            return self.module.draw(results)
        except BadInput:
            raise
        except (ValueError, KeyError, IndexError, TypeError, ArithmeticError) as error:
            raise BadInput(
                f"the figure {self.name!r} cannot be drawn from the results in {folder} "
                f"({type(error).__name__}: {' '.join(str(error).split())}): make them again (simbench run)."
            ) from error


def names() -> list[str]:
    """Names of the installed figures, sorted."""
    return plugin_names(GROUP)


def find(name: str) -> Figure:
    """Find a figure by its name, or in a Python file.

    Parameters
    ----------
    name : str
        An installed name (``bias-variance``), or the path of a file ending in ``.py`` with a ``draw(table)``.

    Raises
    ------
    BadInput
        If there is no such figure, several distributions register it, or it cannot be imported.
    """
    if name.endswith(".py"):
        return _checked(
            Path(name).stem, module_of(Path(name), "give a Python file with a function draw(table)")
        )
    point = plugin(GROUP, name)
    if point is None:
        hint = did_you_mean(name, names())
        raise BadInput(f"there is no figure {name!r}.{hint} See: simbench list figures.")
    return _checked(name, load(point))


def _checked(name: str, module: ModuleType) -> Figure:
    if not callable(getattr(module, "draw", None)):
        raise BadInput(f"the figure {name!r} has no function draw(table).")
    return Figure(name, module)


def save(drawing: Drawing, path: str | Path | Location) -> list[Location]:
    """Write ``PATH.png`` (300 dpi) and ``PATH.pdf``, each whole or not at all; returns where they lie."""
    stem = Location(path)
    targets = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf")}
    with rc_context(WRITTEN):
        for kind, target in targets.items():
            write_whole(target, lambda to, kind=kind: drawing.savefig(to, format=kind))
    return list(targets.values())
