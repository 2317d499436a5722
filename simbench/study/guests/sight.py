"""What a guest may see of the file system: Python, libraries and the source that its fingerprint covers.

Nothing of the study: neither its results nor the files that its worlds are read from, wherever they lie.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from simbench.study.sources import OWN, with_neighbours

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/nix", "/gnu", "/sys", "/run")
DEVICES = ("null", "zero", "full", "random", "urandom", "shm", "kfd", "dri", "infiniband")
OF_PROCESSES = ("cpuinfo", "meminfo", "stat", "sys", "uptime", "loadavg", "filesystems", "version", "driver")
MOST = 20_000  # rules: what lies beside a hidden path is named one by one


def readable(guest: str, places: Iterable[str], hidden: Iterable[str]) -> list[Path]:
    """What a guest may read, without what is hidden.

    Parameters
    ----------
    guest : str
        The name under which it is found.
    places : iterable of str
        Where modules are found, and whatever else the user lets it read.
    hidden : iterable of str
        Files and folders that it must not read, wherever they lie.
    """
    roots = [Path(place) for place in (*places, *SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix)]
    roots += [Path(place) for place in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if place]
    roots += [Path("/proc", name) for name in (str(os.getpid()), *OF_PROCESSES)]
    roots += [*_libraries(), *_source(guest)]
    secret = {Path(os.path.realpath(place)) for place in hidden}
    whole = dict.fromkeys(Path(os.path.realpath(place)) for place in roots)
    return [part for place in whole for part in _without(place, secret)]


def listable(places: Iterable[str], hidden: Iterable[str]) -> list[Path]:
    """Where modules are found though something hidden lies below: names, without which Python finds none."""
    secret = {Path(os.path.realpath(place)) for place in hidden}
    whole = dict.fromkeys(Path(os.path.realpath(place)) for place in places)
    return [place for place in whole if any(place in one.parents for one in secret)]


def devices() -> list[Path]:
    """The devices that a guest may use: those without data, shared memory, and accelerators."""
    accelerators = [path for path in Path("/dev").iterdir() if path.name.startswith("nvidia")]
    return [*(Path("/dev", name) for name in DEVICES), *accelerators]


def _without(place: Path, secret: set[Path]) -> Iterator[Path]:
    """The place, or what lies in it beside the secret paths below it."""
    if any(place == one or one in place.parents for one in secret):
        return
    if not any(place in one.parents for one in secret):
        yield place
        return
    try:
        inside = list(place.iterdir())
    except OSError:
        return
    for path in inside[:MOST]:
        if not path.is_symlink():  # what it leads to is allowed where it lies, or not at all
            yield from _without(path, secret)


def _libraries() -> Iterator[Path]:
    """Folders of the libraries that this process has loaded: some systems keep them elsewhere."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    files = {line.split(maxsplit=5)[5] for line in lines if ".so" in line and "/" in line}
    yield from {Path(file).parent for file in files}


def _source(guest: str) -> Iterator[Path]:
    """Where the source of a guest, and of simbench, lies; nothing is imported."""
    file = Path(guest.rsplit(":", 1)[0])
    if ".py:" in guest and file.is_file():
        yield from with_neighbours(file)
    for package in (*OWN, guest.split(":")[0].split(".")[0]):
        spec = find_spec(package) if package.isidentifier() else None
        if spec is not None:
            yield from (Path(place) for place in spec.submodule_search_locations or ())
            if spec.origin is not None:
                yield Path(spec.origin)
