"""Imports a user's Python file by its path."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from simbench.errors import BadInput


def module_of(path: Path, wanted: str) -> ModuleType:
    """Run a Python file as a module.

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
    name = f"simbench_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a file that ends in .py has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickles look a class's module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # other people's code runs here: whatever it raises
        del sys.modules[name]
        raise BadInput(f"{path} cannot be imported: {type(error).__name__}: {error}.") from error
    return module
