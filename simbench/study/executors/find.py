"""Finds an executor by name; what it needs is only imported then."""

from importlib import import_module
from typing import Any

from simbench.errors import BadInput, did_you_mean
from simbench.study.executors.executor import Executor

EXECUTORS = {"local": "simbench.study.executors.local:Local", "ray": "simbench.study.executors.ray:Ray"}


def find_executor(name: str, **options: Any) -> Executor:
    """Make an executor by its name.

    Parameters
    ----------
    name : {"local", "ray"}
    **options
        Keyword arguments of the executor, such as ``jobs``.

    Raises
    ------
    BadInput
        If there is no such executor, or a package that it needs is not installed.
    """
    if name not in EXECUTORS:
        hint = did_you_mean(name, EXECUTORS)
        raise BadInput(f"there is no executor {name!r}.{hint} There are: {', '.join(EXECUTORS)}.")
    module, _, kind = EXECUTORS[name].partition(":")
    return getattr(import_module(module), kind)(**options)
