"""The source of a plug-in from outside this distribution, as a fingerprint: edited code is other code."""

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from simbench.errors import BadInput
from simbench.files.fingerprint import files_of, of_file
from simbench.files.plugins import plugin

OWN = ("simbench", *(f"simbench_{plugins}" for plugins in ("estimators", "figures")))  # known by version

_first: dict[str, str] = {}  # fingerprints that this process has met, by the name of the package


def source_of(name: str, group: str) -> str | None:
    """Return the fingerprint of the code behind the name of a plug-in; nothing of it is imported.

    Parameters
    ----------
    name : str
        An installed name, a factory with its argument, ``package.module:Class`` or ``path/to/file.py:Class``.
    group : str
        The entry-point group of installed names.

    Returns
    -------
    str or None
        ``sha256:...`` of all files of the package (or of the file and those beside it that it imports),
        preceded by the version of its distribution; None for what comes with simbench, and for a name that
        stands for nothing: whoever looks it up says so.

    Raises
    ------
    BadInput
        If the package was edited after this process imported it.
    """
    point = plugin(group, name) or plugin(group, name.split(":")[0])
    if point is None and ".py:" in name:
        path = Path(name.rsplit(":", 1)[0])
        return _digest(path.resolve()) if path.is_file() else None
    if point is not None:
        return _of_package(point.module.split(".")[0], point)
    return _of_package(name.split(":")[0].split(".")[0], None) if ":" in name else None


def _of_package(package: str, point: EntryPoint | None) -> str | None:
    if package in OWN:
        return None
    try:
        spec = find_spec(package)
    except ValueError:  # no name of a package, or a module that was made and not imported
        spec = None
    if spec is None:
        return None
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if not places and spec.origin is not None and Path(spec.origin).is_file():
        places = [Path(spec.origin)]
    found = " ".join([*_versions(package, point), *(_digest(place) for place in places)])
    if _first.setdefault(package, found) != found and package in sys.modules:
        raise BadInput(
            f"{package} was edited after this process imported it, and its old code would run: start Python "
            "again."
        )
    return found


def _versions(package: str, point: EntryPoint | None) -> list[str]:
    if point is not None and point.dist is not None:
        return [f"{point.dist.name} {point.dist.version}"]
    names = sorted(set(_distributions(_installed()).get(package, ())))
    try:
        return [f"{name} {version(name)}" for name in names]
    except PackageNotFoundError:  # half removed
        return []


def _installed() -> tuple[tuple[str, int], ...]:
    """Where distributions are looked for, and when something was last added there or taken away."""
    places = [Path(entry or ".") for entry in sys.path]
    return tuple((str(place), place.stat().st_mtime_ns) for place in places if place.exists())


@lru_cache(maxsize=1)
def _distributions(_: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """Distributions of every importable name: half a second among a hundred, so read once for one state."""
    return packages_distributions()


def _digest(place: Path) -> str:
    """Fingerprint of a package's folder, or of a file with the files beside it that it imports."""
    root = place if place.is_dir() else place.parent
    digest = hashlib.sha256()
    for path in sorted(files_of(place) if place.is_dir() else with_neighbours(place)):
        if path.suffix not in (".pyc", ".pyo"):
            digest.update(f"{path.relative_to(root).as_posix()}\0{of_file(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def with_neighbours(path: Path) -> set[Path]:
    """A file, and the files beside it that it imports, directly or through each other.

    Beside an installed module lies whatever else is installed: there it is the file alone.
    """
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")}
    if path.parent.resolve() in installed:
        return {path}
    found, left = {path}, [path]
    while left:
        for name in _imported(left.pop()):
            module, package = path.parent / f"{name}.py", path.parent / name
            files = {module} if module.is_file() else set()
            if (package / "__init__.py").is_file():
                files |= set(files_of(package))
            left += [file for file in files - found if file.suffix == ".py"]
            found |= files
    return found


def _imported(path: Path) -> Iterator[str]:
    """Names of the top-level modules that a Python file imports; none if it is not valid Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
