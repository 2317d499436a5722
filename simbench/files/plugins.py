"""Plug-ins that installed distributions register as entry points: each name belongs to one distribution."""

import os
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from simbench.errors import BadInput

DISTRIBUTION = "simbench-rm"


def plugin(group: str, name: str) -> EntryPoint | None:
    """The entry point of this name, or None if no distribution registers it.

    Raises
    ------
    BadInput
        If several distributions register it: none of them silently takes the place of another.
    """
    points = (known for known in _points(group) if known[1].name == name)
    found = {(owner, point.value): point for owner, point in points}  # two paths may have the same
    owners = sorted({owner for owner, _ in found})
    if len(found) > 1:
        raise BadInput(
            f"{' and '.join(owners)} {'both register' if len(owners) == 2 else 'register'} {name!r} in the "
            f"entry-point group {group}: uninstall all but one."
        )
    return next(iter(found.values()), None)


def plugin_names(group: str) -> list[str]:
    """All names that are registered in a group, sorted."""
    return sorted({point.name for _, point in _points(group)})


def _points(group: str) -> tuple[tuple[str, EntryPoint], ...]:
    """The entry points of a group, each behind the name of its distribution.

    They are looked for again when something was installed, or another place is searched.
    """
    return _looked_up(group, tuple((path, _changed(path or ".")) for path in sys.path), entry_points)


def _changed(path: str) -> int:
    """When something was last installed in a folder; 0 if it is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _looked_up(
    group: str, places: tuple[tuple[str, int], ...], look: Callable[..., Any]
) -> tuple[tuple[str, EntryPoint], ...]:
    return tuple((_distribution(point), point) for point in look(group=group))


def is_own(point: EntryPoint | None) -> bool:
    """Whether simbench's own distribution registers the entry point."""
    return point is not None and _distribution(point) == DISTRIBUTION


def load(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises
    ------
    BadInput
        If it cannot be imported, whatever its module raises or calls.
    """
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # other people's modules run here
        raise BadInput(f"{point.name!r} cannot be imported: {_said(error)}.") from error


def _said(error: BaseException) -> str:
    return f"it calls sys.exit({error})" if isinstance(error, SystemExit) else str(error)


def _distribution(point: EntryPoint) -> str:
    return "a distribution without a name" if point.dist is None else point.dist.name
