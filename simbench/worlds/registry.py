"""Finds behaviours by name: through entry points of any package, as a class in a module, or in a file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from simbench.errors import BadInput, did_you_mean
from simbench.files.plugins import is_own, load, plugin, plugin_names
from simbench.files.python_file import module_of
from simbench.worlds.behaviour import Behaviour

GROUP = "simbench.behaviours"

Opener = Callable[[str], type[Behaviour] | None]
_opener: ContextVar[Opener | None] = ContextVar("opener of behaviours", default=None)


@contextmanager
def opening_outside_with(opener: Opener) -> Iterator[None]:
    """Let something else find the behaviours from outside in this block, so that they are not imported here.

    Parameters
    ----------
    opener : callable
        Gives the class that stands for the behaviour of a name, None for one that is to be found here after
        all; raises BadInput if it cannot be used.
    """
    token = _opener.set(opener)
    try:
        yield
    finally:
        _opener.reset(token)


def is_from_outside(name: str) -> bool:
    """Whether a behaviour is not part of simbench's own distribution; nothing of it is imported.

    Raises
    ------
    BadInput
        If several distributions register the name.
    """
    point = plugin(GROUP, name)
    return (point is not None or ":" in name) and not is_own(point)


def names() -> list[str]:
    """Names of the installed behaviours, sorted."""
    return plugin_names(GROUP)


def find(name: str) -> type[Behaviour]:
    """The behaviour class of this name.

    Parameters
    ----------
    name : str
        An installed name (``logit``), a class that can be imported (``package.module:Class``), or one in a
        file (``path/to/file.py:Class``).

    Raises
    ------
    BadInput
        If there is none, several packages register it, or it cannot be imported; the message suggests the
        nearest installed name.
    """
    opener = _opener.get()
    if opener is not None and is_from_outside(name):
        guest = opener(name)
        if guest is not None:
            return guest
    found = _loaded(name)
    if not _is_behaviour(found):
        raise BadInput(f"{name!r} is not a subclass of simbench.Behaviour.")
    return found


def names_a_behaviour(name: str) -> bool:
    """Whether this is the name of a behaviour, and not of something else or of nothing."""
    try:
        return _is_behaviour(find(name))
    except BadInput:
        return False


def _loaded(name: str) -> Any:
    if ".py:" in name:
        path, attribute = name.rsplit(":", 1)
        module = module_of(Path(path).resolve(), "name a class of an existing file as path/to/file.py:Class")
        return getattr(module, attribute, None)
    point = plugin(GROUP, name)
    if point is None and ":" not in name:
        hint = did_you_mean(name, names())
        raise BadInput(f"there is no behaviour {name!r}.{hint} See: simbench list behaviours.")
    return load(point or EntryPoint(name, name, GROUP))


def _is_behaviour(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, Behaviour)


def _as_behaviour(value: Any) -> Any:
    """A behaviour from its settings, of which ``kind`` names the class."""
    if isinstance(value, Behaviour):
        return value
    if isinstance(value, str):
        value = {"kind": value}
    if not (isinstance(value, Mapping) and isinstance(value.get("kind"), str)):
        raise ValueError("a behaviour is a name, or settings of which `kind` is the name")
    try:
        found = find(value["kind"])
    except BadInput as error:
        raise ValueError(str(error).rstrip(".")) from error
    return found.model_validate(dict(value))


AnyBehaviour = Annotated[SerializeAsAny[Behaviour], BeforeValidator(_as_behaviour)]
