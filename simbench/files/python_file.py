"""Imports a user's Python file by its path."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from simbench.errors import BadInput
from simbench.files.fingerprint import of_file

_ran: dict[Path, tuple[str, ModuleType]] = {}


class _FromSource(SourceFileLoader):
    """Compiles the file itself: compiled code that lies beside it passes for current by size and second."""

    def path_stats(self, path: str) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Tell the machinery that there is no compiled code."""
        raise OSError


def module_of(path: Path, wanted: str) -> ModuleType:
    """Run a Python file as a module: once in a process, and again when its content has changed.

    Parameters
    ----------
    path : Path
    wanted : str
        What the file is to hold, for the message if there is no such file.

    Raises
    ------
    BadInput
        If the file does not exist, or raises when it is run.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist: {wanted}.")
    place, content = path.resolve(), of_file(path)
    if place in _ran and _ran[place][0] == content:
        return _ran[place][1]
    name = f"simbench_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert spec is not None and spec.loader is not None  # it has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickles look a class's module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # other people's code runs here: whatever it raises
        del sys.modules[name]
        raise BadInput(f"{path} cannot be imported: {type(error).__name__}: {error}.") from error
    _ran[place] = content, module
    return module
