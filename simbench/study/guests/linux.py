"""What Linux offers to hold a guest: it ends with the bench, leaves no orphans, and reads what it is shown.

System calls that Python's library lacks. Of a kernel without Landlock (before 5.13, or built without it) no
guest is confined: :func:`confines` says so.
"""

import ctypes
import os
import signal
import struct
from collections.abc import Iterable
from pathlib import Path

_PDEATHSIG, _NO_NEW_PRIVS, _CHILD_SUBREAPER = 1, 38, 36  # of prctl
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_OF_FILES = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15}  # all rights by version of Landlock, later ones as the last
_TRUNCATE = 1 << 14
_SCOPES = 3  # signals and abstract sockets reach processes of the same confinement only

READ = _EXECUTE | _READ_FILE | _READ_DIR


def end_with_parent() -> None:
    """Let this process be killed as soon as the thread that started it ends."""
    parent = os.getppid()
    _prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of what its descendants leave behind, so that it can end them."""
    _prctl(_CHILD_SUBREAPER, 1)


def confines() -> bool:
    """Whether this kernel can confine a process to some folders."""
    return _landlock() > 0


def confine(readable: Iterable[Path], writable: Iterable[Path], listable: Iterable[Path] = ()) -> None:
    """Confine this process, and all that it starts, to some files and folders. It cannot be undone.

    It cannot look into processes outside either (their memory, descriptors, environment and working folder),
    nor send them signals where the kernel knows how to refuse it (6.12).

    Parameters
    ----------
    readable : iterable of Path
        What it may read and execute; what does not exist is left out.
    writable : iterable of Path
        What it may change as well.
    listable : iterable of Path
        Folders in which and below which it may see the names of files.

    Raises
    ------
    OSError
        If the kernel refuses.
    """
    version = _landlock()
    whole = _OF_FILES[min(version, 3)] - 1
    attributes = struct.pack("=QQQ", whole, 0, _SCOPES)[: 24 if version >= 6 else 8]
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    for paths, rights in ((readable, READ), (writable, whole), (listable, _READ_DIR)):
        for path in paths:
            _allow(ruleset, path, rights & whole)
    _prctl(_NO_NEW_PRIVS, 1)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return
    if not path.is_dir():
        rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
    _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    os.close(place)


def _landlock() -> int:
    """The version of Landlock, 0 without it."""
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def _call(*arguments: int | bytes | None) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    whole = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = library.syscall(*whole)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(what: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(one) for one in (value, 0, 0, 0)]
    if library.prctl(what, *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
