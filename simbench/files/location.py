"""Where results are stored: a local folder, or any URL that fsspec supports (``s3://bucket/study``)."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from simbench.errors import BadInput

# Elsewhere (sftp, hdfs, ...) a reader may see a file grow: there it gets its name when it is whole.
PUT_IS_ATOMIC = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci", "memory"}
PRIVATE = {"memory"}  # to one process


class Location:
    """A file or folder, on this disk or on a remote file system.

    Parameters
    ----------
    where : str, Path or Location
        A path, ``file://...``, or any URL that fsspec supports. Backends read their credentials from their
        usual places.

    Raises
    ------
    BadInput
        If the URL's protocol is unknown, or its backend is not installed.
    """

    def __init__(self, where: "str | os.PathLike[str] | Location"):
        self._remote: Any = None  # an AbstractFileSystem of fsspec, which ships no types
        if isinstance(where, Location):
            self._url, self._remote, self._path = where._url, where._remote, where._path
            return
        self._url = _in_home(os.fspath(where))
        self._path = PurePosixPath(self._url)
        if isinstance(where, str) and ("://" in where or "::" in where):
            self._open(where)

    def _open(self, url: str) -> None:
        from fsspec.core import url_to_fs

        protocol = url.split("::")[0].split("://")[0]
        try:
            system, path = url_to_fs(url)
        except ImportError as error:
            raise BadInput(
                f"{url} cannot be used: the package for {protocol!r} is missing ({_said(error)})."
            ) from error
        except Exception as error:  # an unknown protocol, or a backend's own complaint
            raise BadInput(f"{url} cannot be used ({_first_line(error)}).") from error
        if "file" in _protocols(system):
            self._url, self._path = path, PurePosixPath(path)
        else:
            self._url, self._remote, self._path = url.rstrip("/"), system, PurePosixPath(path)

    @property
    def local(self) -> Path | None:
        """The path on this disk, or None for a remote location."""
        return Path(self._path) if self._remote is None else None

    @property
    def path(self) -> PurePosixPath:
        """The path within its file system."""
        return self._path

    @property
    def system(self) -> Any:
        """The file system of fsspec that a remote location is on; None for this disk."""
        return self._remote

    @property
    def is_private(self) -> bool:
        """Whether only this process can read the location (``memory://``)."""
        return self._remote is not None and bool(_protocols(self._remote) & PRIVATE)

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self._path.name

    def __truediv__(self, name: str) -> "Location":
        return self._at(self._path / name, f"{self._url}/{name}")

    def with_name(self, name: str) -> "Location":
        """Return the location called ``name`` in the same folder.

        Raises
        ------
        BadInput
            If this one names no file, as ``.`` and ``/`` do.
        """
        if not self._path.name:
            raise BadInput(f"{self} is a folder: give the name of a file in it.")
        return self._at(self._path.with_name(name), f"{self._url.rpartition('/')[0]}/{name}")

    def _at(self, path: PurePosixPath, url: str) -> "Location":
        other = Location(self)
        other._path, other._url = path, str(path) if self._remote is None else url
        return other

    def __str__(self) -> str:
        return self._url

    def absolute(self) -> "Location":
        """Return the same location with an absolute path, valid in any working folder."""
        return Location(self.local.absolute()) if self.local is not None else self

    def exists(self) -> bool:
        """Return whether a file or folder is there."""
        return self.local.exists() if self.local is not None else self._ask("exists")

    def names(self) -> list[str] | None:
        """Return the sorted names in this folder.

        The list is empty if nothing is there, and the result is None if the location is a file.
        """
        if self.local is not None:
            if not self.local.exists():
                return []
            return sorted(p.name for p in self.local.iterdir()) if self.local.is_dir() else None
        if not self._ask("exists"):
            return []
        if self._ask("isfile"):
            return None
        found = [PurePosixPath(path).name for path in self._ask("ls", detail=False)]
        return sorted(name for name in found if name != self.name)  # object stores may list the folder itself

    def read_bytes(self) -> bytes:
        """Return the content of the whole file.

        Raises
        ------
        BadInput
            If it cannot be read.
        """
        if self.local is None:
            return self._ask("cat_file")
        try:
            return self.local.read_bytes()
        except OSError as error:
            raise BadInput(f"{self} cannot be read: {error.strerror or error}.") from error

    def read_text(self) -> str:
        """Return the content of the whole file, decoded as UTF-8."""
        return self.read_bytes().decode()

    def write_whole(self, write: Callable[[Path], object]) -> None:
        """Write a file completely or not at all.

        Parameters
        ----------
        write : callable
            Called with the path of a temporary local file that it must fill; that file is then put in place.

        Raises
        ------
        BadInput
            If the disk is full, or the location cannot be written.
        """
        if self.local is not None:
            _rename_into(self.local, write)
            return
        with tempfile.TemporaryDirectory(prefix="simbench-") as folder:
            scratch = Path(folder) / self.name
            try:
                write(scratch)
                self._put(scratch.read_bytes())
            except Exception as error:  # each backend has its own exceptions
                raise BadInput(
                    f"cannot write {self}: {_first_line(error)}. Nothing is half-written; run the same "
                    "command again, or choose another place."
                ) from error

    def remove(self) -> None:
        """Delete the file, or the folder with everything in it; do nothing if nothing is there."""
        if self.local is None:
            if self._ask("exists"):
                self._ask("rm", recursive=True)
        elif self.local.is_dir():
            shutil.rmtree(self.local, ignore_errors=True)
        else:
            self.local.unlink(missing_ok=True)

    def _put(self, content: bytes) -> None:
        assert self._remote is not None
        path = str(self._path)
        if _protocols(self._remote) & PUT_IS_ATOMIC:
            self._remote.pipe_file(path, content)
            return
        temporary = str(self._path.with_name(_temporary_name(self.name)))
        self._remote.makedirs(str(self._path.parent), exist_ok=True)
        self._remote.pipe_file(temporary, content)
        self._remote.mv(temporary, path)

    def _ask(self, method: str, **options: Any) -> Any:
        """Call a method of the file system; any error of its backend becomes a :class:`BadInput`."""
        assert self._remote is not None
        try:
            self._remote.invalidate_cache()  # of listings: other processes write here
            return getattr(self._remote, method)(str(self._path), **options)
        except Exception as error:
            raise BadInput(f"{self} cannot be read: {_first_line(error)}.") from error


def _in_home(path: str) -> str:
    """The path, beginning in the home folder if it begins with ``~``."""
    if "\0" in path:
        raise BadInput(f"{path!r} holds a NUL character, which no path does.")
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise BadInput(f"{path}: there is no such home folder.") from error


def _rename_into(given: Path, write: Callable[[Path], object]) -> None:
    try:
        path = Path(os.path.realpath(given))  # absolute: some writers take a name such as "col:/x" for a URL
        missing = [folder for folder in path.parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, write)
        finally:
            for folder in missing:
                with suppress(OSError):  # something lies in it, as it should
                    folder.rmdir()
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room and run the same command again" if is_full else "choose another folder"
        raise BadInput(
            f"cannot write {given}: {error.strerror or error}. Nothing is half-written; {remedy}."
        ) from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Fill a temporary file beside a path, and give it its name; a device or a pipe stays one."""
    temporary = path.with_name(_temporary_name(path.name))
    try:
        write(temporary)
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(temporary.read_bytes())
        else:
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # on a disk that cannot be written, there is none
            temporary.unlink()


def _temporary_name(name: str) -> str:
    """Return a random name: a process id is unique on one machine only, and machines may share the folder."""
    short = name.encode()[:60].decode(errors="ignore")  # a name may be as long as the system allows
    return f".{short}.{secrets.token_hex(6)}.tmp"


def _protocols(system: Any) -> set[str]:
    return {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(". ")


def _first_line(error: Exception) -> str:
    """Name and first line of an exception, to end a sentence with."""
    return f"{type(error).__name__}: {_said(error)}".rstrip(": ")
