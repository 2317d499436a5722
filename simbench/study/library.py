"""The studies that come with simbench: ``benchmarks/`` of a checkout, ``simbench/studies/`` of a wheel.

An editable install does not see the name under which a wheel includes the files, so a checkout is looked for
first.
"""

import re
from pathlib import Path

from simbench.errors import BadInput, did_you_mean

PACKAGE = Path(__file__).parents[1]


def checkout() -> Path | None:
    """The root of the repository that simbench is imported from; None if it was installed from a wheel."""
    root = PACKAGE.parent
    is_there = (root / "pyproject.toml").is_file() and (root / "benchmarks").is_dir()
    return root if is_there else None


def folder() -> Path:
    """The folder that holds the study files, and the values that the reproduction keeps beside them.

    Raises
    ------
    BadInput
        If there is neither a checkout nor a wheel's copy.
    """
    root = checkout()
    found = PACKAGE / "studies" if root is None else root / "benchmarks"
    if not found.is_dir():
        raise BadInput(f"{found} does not exist: this installation is not whole; install simbench-rm again.")
    return found


def names() -> list[str]:
    """Names of the studies that come with simbench, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a study, by its name.

    Raises
    ------
    BadInput
        If there is no such study: says the nearest name.
    """
    if name not in names():
        hint = did_you_mean(name, names())
        raise BadInput(
            f"there is no study {name!r}.{hint} See: simbench list studies; a file of your own ends in .yaml."
        )
    return folder() / f"{name}.yaml"


def shows(name: str) -> str:
    """What a study shows: the first sentence of the comment at the head of its file."""
    lines = []
    for line in find(name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("# ") or line.startswith("#  "):
            break
        lines.append(line.removeprefix("# "))
    return re.split(r"(?<=[.?]) ", " ".join(lines))[0].rstrip(".")
