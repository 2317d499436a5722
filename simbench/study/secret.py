"""Secret seeds: 128 random bits that are kept until the last cell has run, and published then.

An estimator from outside cannot derive the seed of its world from what it is told, but it can guess a small
one, and build the world again. For a claim by outsiders the seed is drawn at random. While the study runs, a
file that only its user can read holds it, so that a study that was stopped continues.
"""

import json
import os
import secrets
from pathlib import Path

from simbench.errors import BadInput
from simbench.files.location import Location

FILE = "seed.secret"
BITS = 128


def seed_of_study(out: Location) -> int:
    """The secret seed of the study in a folder: the one that it began with, or a new one.

    Raises
    ------
    BadInput
        If the folder cannot keep a secret, or holds a study whose seed never was one.
    """
    if out.local is None:
        raise BadInput(
            "--seed secret needs a folder of this machine for --out, which can keep the seed to you."
        )
    published = _published(out)
    if published is not None:
        return published
    path = out.local / FILE
    try:
        return int(path.read_text("utf-8")) if path.exists() else secrets.randbits(BITS)
    except ValueError as error:
        raise BadInput(f"{path} is damaged: choose another --out.") from error


def keep(out: Location, seed: int) -> None:
    """Keep the seed in a file that only its user can read, if it is not there already."""
    assert out.local is not None  # as :func:`seed_of_study` made sure
    path = out.local / FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{seed}\n")


def forget(out: Location) -> None:
    """Remove that file: ``study.json`` holds the seed now."""
    assert out.local is not None
    (out.local / FILE).unlink(missing_ok=True)


def is_published(out: Location) -> bool:
    """Whether the secret seed of the study in a folder is public."""
    return _published(out) is not None


def _published(out: Location) -> int | None:
    path: Path | None = None if out.local is None else out.local / "study.json"
    if path is None or not path.exists():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))["config"]
        seed, secret = config["seed"], config.get("secret", False)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # whoever reads the folder says what is wrong with it
    if not secret:
        raise BadInput(f"{out} holds a study with the seed {seed}, which is no secret: choose another --out.")
    return seed if isinstance(seed, int) else None
