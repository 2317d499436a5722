"""Finds estimators, and methods for the class prior, by name: through entry points of any package."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from simbench.errors import BadInput, did_you_mean
from simbench.estimator.estimator import Estimator
from simbench.files.python_file import module_of
from simbench.log.feedback import FeedbackLog

GROUP = "simbench.estimators"
CLASS_PRIORS = "simbench.class_priors"
LIKELIHOODS = "simbench.likelihoods"


def names() -> list[str]:
    """Names of the installed estimators, sorted, including factories such as ``sklearn``."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def find(name: str) -> type[Estimator]:
    """The estimator class of this name.

    Parameters
    ----------
    name : str
        An installed name (``naive``), a factory with its argument (``sklearn:LogisticRegression``), a class
        that can be imported (``package.module:Class``), or one in a file (``path/to/file.py:Class``).

    Raises
    ------
    BadInput
        If there is none, or it cannot be imported; the message suggests the nearest installed name.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name in points:
        found = _loaded(points[name])
    elif ":" in name and name.split(":")[0] in points:
        factory, argument = name.split(":", 1)
        found = _loaded(points[factory])(argument)
    elif ".py:" in name:
        found = _of_file(*name.rsplit(":", 1))
    elif ":" in name:
        found = _loaded(EntryPoint(name, name, GROUP))
    else:
        hint = did_you_mean(name, points)
        raise BadInput(f"there is no estimator {name!r}.{hint} See: simbench list estimators.")
    return _checked(name, found)


def likelihood(propensity_is_told: bool) -> type[Estimator]:
    """The installed estimator that maximises the likelihood of the feedback.

    Parameters
    ----------
    propensity_is_told : bool
        Whether it is told the propensity and fits the reward alone, or fits reward and propensity.

    Raises
    ------
    BadInput
        If none is installed.
    """
    name = "propensity-told" if propensity_is_told else "propensity-fitted"
    points = {point.name: point for point in entry_points(group=LIKELIHOODS)}
    if name not in points:
        raise BadInput(
            f"no estimator is installed as {name!r} in the entry-point group {LIKELIHOODS}: install a "
            "package that lists one."
        )
    return _checked(name, _loaded(points[name]))


def class_prior_methods() -> dict[str, str]:
    """Names of the installed methods for the class prior, each with the first line of its docstring."""
    points = sorted(entry_points(group=CLASS_PRIORS), key=lambda point: point.name)
    return {point.name: ((_loaded(point).__doc__ or "").strip().splitlines() or [""])[0] for point in points}


def class_prior_method(name: str) -> Callable[[FeedbackLog, int], np.ndarray]:
    """The method of this name for estimating the class prior.

    Returns
    -------
    callable
        ``(log, seed)`` to the class prior ``π`` of every replicate, shape (R,), strictly between 0 and 1.

    Raises
    ------
    BadInput
        If no method of this name is installed.
    """
    points = {point.name: point for point in entry_points(group=CLASS_PRIORS)}
    if name not in points:
        raise BadInput(f"there is no method {name!r} for the class prior; there are: {', '.join(points)}.")
    return _loaded(points[name])


def _of_file(path: str, attribute: str) -> Any:
    """The attribute of a Python file; the file is run once per process."""
    module = _module_of(Path(path).resolve())
    if not hasattr(module, attribute):
        raise BadInput(f"{path} defines no {attribute!r}.")
    return getattr(module, attribute)


@cache
def _module_of(path: Path) -> ModuleType:
    return module_of(path, "name a class of an existing file as path/to/file.py:Class")


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # other people's modules run here: whatever they raise
        raise BadInput(f"{point.name!r} cannot be imported: {error}.") from error


def _checked(name: str, found: Any) -> type[Estimator]:
    if not (isinstance(found, type) and issubclass(found, Estimator)):
        hint = f" (try {name}:ClassName)" if ":" not in name else ""
        raise BadInput(f"{name!r} is not a subclass of simbench.Estimator{hint}.")
    return found
