"""Fingerprints: the content of a file, a folder or a URL as a short text, so that a change shows.

The digest of a local file is remembered in this process by its size, times and inode. A file that changed
within the last second is read again, because the next change might leave the same times.
"""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simbench.errors import BadInput
from simbench.files.checksum import file_sha256

SETTLED = 1.0  # seconds after which another change is sure to leave another time
TAGS = ("ETag", "etag", "checksum", "md5", "md5Hash", "content_md5", "sha256")  # as backends name them
CHANGES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
LEFT_OUT = {"__pycache__", ".git", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache"}

_Signature = tuple[int, int, int, int]
_known: dict[str, tuple[_Signature, str]] = {}


def fingerprint(place: str | Path) -> str:
    """Return what identifies the content of a file, a folder or a URL.

    Parameters
    ----------
    place : str or Path
        A file or folder of this disk, or a URL that fsspec supports.

    Returns
    -------
    str
        ``sha256:...`` of a file, or of the names and contents of all files in a folder. Of a URL, what its
        backend tells without a download: a tag of the content (``etag:...``), or size and time of change
        (``stat:...``), by which a change in place may go unnoticed if it keeps both.

    Raises
    ------
    BadInput
        If nothing is there, or it cannot be read.
    """
    if isinstance(place, str) and "://" in place and not place.startswith("file://"):
        return _of_url(place)
    path = Path(str(place).removeprefix("file://"))
    try:
        return _of_files(path, sorted(files_of(path))) if path.is_dir() else f"sha256:{of_file(path)}"
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from error


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits, remembered while the file is the same."""
    name, signature = os.path.abspath(path), _signature(path)
    if name in _known and _known[name][0] == signature:
        return _known[name][1]
    digest = file_sha256(path)
    if _signature(path) == signature and time.time() - max(signature[1:3]) / 1e9 > SETTLED:
        _known[name] = signature, digest
    return digest


def files_of(folder: Path) -> Iterable[Path]:
    """Return the files in a folder and below, without what Python and other tools leave there."""
    for path in folder.rglob("*"):
        if path.is_file() and not LEFT_OUT.intersection(path.relative_to(folder).parts):
            yield path


def _of_files(folder: Path, paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{of_file(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _signature(path: Path) -> _Signature:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _of_url(url: str) -> str:
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
        system.invalidate_cache()
        found: dict[str, Any] = system.info(path)
    except Exception as error:  # each backend has its own exceptions
        lines = str(error).splitlines() or [""]
        raise BadInput(f"{url} cannot be read ({type(error).__name__}: {lines[0]}).") from error
    for tag in TAGS:
        if found.get(tag):
            return f"etag:{str(found[tag]).strip(chr(34))}"
    changed = next((str(found[name]) for name in CHANGES if found.get(name)), "unknown")
    return f"stat:{found.get('size', 'unknown')} bytes, changed {changed}"
