"""Finds estimators, and methods for the class prior, by name: through entry points, anyone's alike."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import numpy as np

from simbench.errors import BadInput, did_you_mean
from simbench.log.feedback import FeedbackLog

if TYPE_CHECKING:
    from simbench.estimator.estimator import Estimator

GROUP = "simbench.estimators"
CLASS_PRIORS = "simbench.class_priors"


def names() -> list[str]:
    """Names of the installed estimators, sorted; factories such as ``sklearn`` included."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def find(name: str) -> "type[Estimator]":
    """Estimator class of this name.

    Parameters
    ----------
    name : str
        An installed name (``naive``), a factory with its argument (``sklearn:LogisticRegression``),
        or ``package.module:Class`` of anything that can be imported.

    Raises
    ------
    BadInput
        If there is none; the message holds the nearest name.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name in points:
        found = _loaded(points[name])
    elif ":" in name and name.split(":")[0] in points:
        factory, argument = name.split(":", 1)
        found = _loaded(points[factory])(argument)
    elif ":" in name:
        found = _loaded(EntryPoint(name, name, GROUP))
    else:
        hint = did_you_mean(name, points)
        raise BadInput(f"there is no estimator {name!r}.{hint} See: simbench list estimators.")
    return _checked(name, found)


def class_prior_method(name: str) -> Callable[[FeedbackLog, int], np.ndarray]:
    """Method of this name: (log, seed) -> ``π`` of every replicate, shape (R,), strictly between 0 and 1.

    Raises
    ------
    BadInput
        If none is installed.
    """
    points = {point.name: point for point in entry_points(group=CLASS_PRIORS)}
    if name not in points:
        raise BadInput(f"there is no method {name!r} for the class prior; there are: {', '.join(points)}.")
    return _loaded(points[name])


def _loaded(point: EntryPoint):
    try:
        return point.load()
    except Exception as error:  # other people's modules run here: whatever they raise
        raise BadInput(f"{point.name!r} cannot be imported: {error}.") from error


def _checked(name: str, found) -> "type[Estimator]":
    from simbench.estimator.estimator import Estimator

    if not (isinstance(found, type) and issubclass(found, Estimator)):
        hint = f" (try {name}:ClassName)" if ":" not in name else ""
        raise BadInput(f"{name!r} is not a subclass of simbench.estimator.estimator.Estimator{hint}.")
    return found
