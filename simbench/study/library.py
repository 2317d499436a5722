"""The studies that travel with simbench: ``benchmarks/`` of a checkout, ``simbench/studies/`` of a wheel.

A build includes the files under another name, which an editable install does not see: a checkout is looked
for first.
"""

import re
from pathlib import Path

from simbench.errors import BadInput, did_you_mean

PACKAGE = Path(__file__).parents[1]


def checkout() -> Path | None:
    """The repository that this package is imported from, or None where it is installed from a wheel."""
    root = PACKAGE.parent
    is_there = (root / "pyproject.toml").is_file() and (root / "benchmarks").is_dir()
    return root if is_there else None


def folder() -> Path:
    """The folder of study files, and of what the reproduction keeps beside them.

    Raises
    ------
    BadInput
        Where there is neither a checkout nor a wheel's copy.
    """
    root = checkout()
    found = PACKAGE / "studies" if root is None else root / "benchmarks"
    if not found.is_dir():
        raise BadInput(f"{found} does not exist: this installation is not whole; install simbench-rm again.")
    return found


def names() -> list[str]:
    """Names of the studies, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def find(name: str) -> Path:
    """The file of the study of this name.

    Raises
    ------
    BadInput
        With the nearest name, and where names come from.
    """
    if name not in names():
        hint = did_you_mean(name, names())
        raise BadInput(
            f"there is no study {name!r}.{hint} See: simbench list studies; a file of your own ends in .yaml."
        )
    return folder() / f"{name}.yaml"


def shows(name: str) -> str:
    """What a study is about: the first sentence of the comment that begins its file."""
    lines = []
    for line in find(name).read_text().splitlines():
        if not line.startswith("# ") or line.startswith("#  "):
            break
        lines.append(line.removeprefix("# "))
    return re.split(r"(?<=[.?]) ", " ".join(lines))[0].rstrip(".")
