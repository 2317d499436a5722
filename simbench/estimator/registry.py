"""Finds estimators, and methods for the class prior, by name: through entry points of any package."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np

from simbench.errors import BadInput, did_you_mean
from simbench.estimator.estimator import Estimator
from simbench.files.plugins import is_own, load, plugin, plugin_names
from simbench.files.python_file import module_of
from simbench.log.feedback import FeedbackLog

GROUP = "simbench.estimators"
CLASS_PRIORS = "simbench.class_priors"
LIKELIHOODS = "simbench.likelihoods"


def names() -> list[str]:
    """Names of the installed estimators, sorted, including factories such as ``sklearn``."""
    return plugin_names(GROUP)


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
        If there is none, several distributions register it, or it cannot be imported; the message suggests
        the nearest installed name.
    """
    point = plugin(GROUP, name)
    if point is not None:
        found = load(point)
    elif (factory := _factory(name)) is not None:
        found = load(factory)(name.split(":", 1)[1])
    elif ".py:" in name:
        found = _of_file(*name.rsplit(":", 1))
    elif ":" in name:
        found = load(EntryPoint(name, name, GROUP))
    else:
        hint = did_you_mean(name, names())
        raise BadInput(f"there is no estimator {name!r}.{hint} See: simbench list estimators.")
    return _checked(name, found)


def is_from_outside(name: str) -> bool:
    """Whether an estimator is not part of simbench's own distribution; nothing of it is imported.

    Its own estimators are those that its entry points name, factories with an argument included.

    Raises
    ------
    BadInput
        If several distributions register the name.
    """
    return not (is_own(plugin(GROUP, name)) or is_own(_factory(name)))


def _factory(name: str) -> EntryPoint | None:
    """The entry point that makes estimators from an argument, if the name is one with its argument."""
    return plugin(GROUP, name.split(":")[0]) if ":" in name else None


def configured(
    name: str, parameters: dict[str, Any], found: Callable[[str], type[Estimator]] | None = None
) -> Estimator:
    """An estimator with these hyper-parameters, each checked.

    Parameters
    ----------
    name : str
    parameters : dict
    found : callable, optional
        Finds the estimator, in place of :func:`find`.

    Raises
    ------
    BadInput
        If there is no such estimator, it does not take one of them, or one is out of its range.
    """
    kind = (found or find)(name)
    try:
        made = kind(**parameters)
    except TypeError as error:
        said = str(error).rstrip(".")
        raise BadInput(f"estimator {name!r} does not take these parameters: {said}.") from error
    made.check_parameters()
    return made


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
    point = plugin(LIKELIHOODS, name)
    if point is None:
        raise BadInput(
            f"no estimator is installed as {name!r} in the entry-point group {LIKELIHOODS}: install a "
            "package that lists one."
        )
    return _checked(name, load(point))


def class_prior_methods() -> dict[str, str]:
    """Names of the installed methods for the class prior, each with what it is in a sentence.

    Of simbench's own it is the first line of the docstring; one from outside is not imported for it.
    """
    return {name: _method_in_words(name) for name in plugin_names(CLASS_PRIORS)}


def _method_in_words(name: str) -> str:
    point = plugin(CLASS_PRIORS, name)
    if point is not None and point.dist is not None and not is_own(point):
        return f"an estimate by {point.dist.name}"
    return ((class_prior_method(name).__doc__ or "").strip().splitlines() or [""])[0]


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
    point = plugin(CLASS_PRIORS, name)
    if point is None:
        known = ", ".join(plugin_names(CLASS_PRIORS))
        raise BadInput(f"there is no method {name!r} for the class prior; there are: {known}.")
    return load(point)


def _of_file(path: str, attribute: str) -> Any:
    """The attribute of a Python file."""
    module = module_of(Path(path).resolve(), "name a class of an existing file as path/to/file.py:Class")
    if not hasattr(module, attribute):
        raise BadInput(f"{path} defines no {attribute!r}.")
    return getattr(module, attribute)


def _checked(name: str, found: Any) -> type[Estimator]:
    if not (isinstance(found, type) and issubclass(found, Estimator)):
        hint = f" (try {name}:ClassName)" if ":" not in name else ""
        raise BadInput(f"{name!r} is not a subclass of simbench.Estimator{hint}.")
    return found
