"""The process that serves guests, as the bench sees it: started once, asked often, ended whatever it does."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from psutil import NoSuchProcess, Process

from simbench.study.guests.output import Output
from simbench.study.guests.wire import Arrays, Channel, Message, OverError
from simbench.training.threads import THREADS

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
KEPT_PREFIXES = ("CUDA_", "NVIDIA_", "ROCR_", "HIP_")  # where the accelerator is
OF_PLACES = ("HOME", "TMPDIR", "TMP", "TEMP")
OF_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
START = (
    "import json, sys; sys.path[:], status = json.loads(sys.stdin.buffer.raw.readline()); "
    "from simbench.study.guests.host import main; main(status)"
)
FORKS = sys.platform == "linux"  # whether one process serves many sessions, see the host
MOST_REPLY = 1 << 20  # bytes of arrays in a reply that is no prediction
GRACE = 20.0  # seconds that an end may take which should take none
DESCRIBES = 120.0  # seconds in which a guest must say what it is, where no other limit is set

ALSO = "SIMBENCH_GUESTS_READ"  # an environment variable: what else guests may read, separated as in PATH

_clock: ContextVar["Clock | None"] = ContextVar("clock", default=None)
_hidden: ContextVar[tuple[str, ...]] = ContextVar("hidden", default=())
_own = threading.local()  # a process that serves guests ends with the thread that started it


class GuestError(Exception):
    """What a guest did instead of answering, in one line that may stand in a table."""


@dataclass
class Clock:
    """When the time of guests is up, in seconds of the monotonic clock; and what allowed no more."""

    end: float
    allows: str = "--timeout allows"

    @property
    def left(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.end - time.monotonic())


@contextmanager
def limited(seconds: float | None, hidden: Iterable[str] = ()) -> Iterator[None]:
    """Limit the time that guests take in this block, all together, and what they can read.

    Parameters
    ----------
    seconds : float or None
        None sets no limit.
    hidden : iterable of str
        Files and folders that stay out of sight, where the system can confine a process.
    """
    clock = _clock.set(None if seconds is None else Clock(time.monotonic() + seconds))
    secret = _hidden.set(tuple(os.path.abspath(place) for place in hidden))
    try:
        yield
    finally:
        _clock.reset(clock)
        _hidden.reset(secret)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Limit the time of guests in this block where nothing else does."""
    allows = f"{seconds:g} s"
    before = _clock.get()
    clock = _clock.set(Clock(time.monotonic() + seconds, allows) if before is None else before)
    try:
        yield
    finally:
        _clock.reset(clock)


class Hosting:
    """A started process that serves guests, one session at a time.

    Its environment holds what Python and its threads need, its working folder is its own and empty, and it
    inherits no descriptor but its pipes.
    """

    def __init__(self) -> None:
        self._room = tempfile.TemporaryDirectory(prefix="guest-", ignore_cleanup_errors=True)
        status, report = os.pipe() if FORKS else (None, None)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "faulthandler", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=self._room.name,
            env=_environment(self._room.name),
            start_new_session=True,
            pass_fds=() if report is None else (report,),
        )
        if report is not None:
            os.close(report)
        assert self.process.stdin and self.process.stdout and self.process.stderr  # pipes, as asked
        pipes = (self.process.stdout.fileno(), self.process.stdin.fileno())
        self.status = None if status is None else Channel(status, -1)
        self.output = Output(self.process.stderr.fileno())
        self.session: Session | None = None
        self.late = ""
        self.process.stdin.write(json.dumps([search_path(), report]).encode() + b"\n")
        self.channel = Channel(*pipes, status)
        try:
            self.confines = bool(self.channel.receive()[0]["confines"])
        except (EOFError, OSError) as error:
            self.close()
            raise GuestError("the process that serves estimators from outside does not start") from error

    def folder(self) -> Path:
        """A new folder for a session: what it is given, and what it works in."""
        folder = Path(tempfile.mkdtemp(dir=self._room.name))
        (folder / "given").mkdir()
        (folder / "work").mkdir()
        return folder

    def expire(self, allows: str) -> None:
        """End the process because its time is up."""
        self.late = allows
        self.kill()

    def kill(self) -> None:
        """End the process and all that it started."""
        with suppress(NoSuchProcess):
            host = Process(self.process.pid)
            for one in [*host.children(recursive=True), host]:
                with suppress(NoSuchProcess):
                    one.kill()

    def close(self) -> None:
        """End the process and remove its folder."""
        self.kill()
        self.process.wait()
        self.output.ended.wait(GRACE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        if self.status is not None:
            os.close(self.status.reader)
        self._room.cleanup()


def hosting() -> Hosting:
    """The process that serves the guests of this thread, started if there is none."""
    found: Hosting | None = getattr(_own, "hosting", None)
    if found is not None and found.process.poll() is not None:
        leave()
        found = None
    if found is None:
        start, clock = time.monotonic(), _clock.get()
        found = _own.hosting = Hosting()
        _all.add(found)
        if clock is not None:  # this is no guest's doing
            clock.end += time.monotonic() - start
    return found


def leave() -> None:
    """End the process that serves the guests of this thread, if there is one."""
    found: Hosting | None = getattr(_own, "hosting", None)
    if found is not None:
        _own.hosting = None
        _all.discard(found)
        found.close()


_all: set[Hosting] = set()


@atexit.register
def _leave_all() -> None:
    for one in list(_all):
        if one.session is not None:
            one.session.end()
        one.close()


class Session:
    """A conversation with one guest, in a process that nobody else's data were in.

    Parameters
    ----------
    name : str
        The estimator's name, as the user gives it; a file's path is absolute.
    label : str
        What marks the lines that it prints.
    """

    def __init__(self, name: str, label: str):
        self.host = hosting()
        if self.host.session is not None:
            self.host.session.end()
            self.host = hosting()
        self.host.session, self.open = self, True
        self.folder = self.host.folder()
        self.host.output.begin(label)
        also = [place for place in os.environ.get(ALSO, "").split(os.pathsep) if place]
        # the names of hidden places are told only to who forgets them and cannot go there
        hidden = _hidden.get() if self.host.confines else ()
        own = {"folder": str(self.folder), "also": also, "hidden": list(hidden)}
        with suppress(EOFError, OSError):  # shows in the first answer
            self.host.channel.send({"name": name, "path": search_path(), **own})

    def ask(
        self,
        message: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        most: int = MOST_REPLY,
    ) -> tuple[Message, Arrays]:
        """Ask the guest, and wait for its answer as long as :func:`limited` allows.

        Raises
        ------
        GuestError
            If it raises, ends its process, takes too long or answers what is no answer.
        """
        if not self.open:
            raise GuestError("its session is over")
        try:
            with self._watched():
                self.host.channel.send(message, arrays)
                reply, found = self.host.channel.receive(most)
        except OverError:
            raise self._failed(f"it ended its process ({self._over()})") from None
        except (EOFError, OSError):
            self._abandon()
            raise self._failed("it ended its process") from None
        except (ValueError, KeyError) as error:
            self._abandon()
            raise self._failed(f"it answered what is no answer: {error}") from None
        except BaseException:  # Ctrl-C in the middle of a frame
            self._abandon()
            raise
        if "error" in reply:
            raise self._failed(str(reply["error"]))
        return reply, found

    def _failed(self, text: str) -> GuestError:
        return GuestError(f"it took longer than {self.host.late}" if self.host.late else one_line(text))

    @property
    def given(self) -> Path:
        """Folder of the matrices that are handed over as files."""
        return self.folder / "given"

    @contextmanager
    def _watched(self) -> Iterator[None]:
        clock = _clock.get()
        if clock is None:
            yield
            return
        watch = threading.Timer(clock.left, self.host.expire, (clock.allows,))
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def end(self) -> None:
        """End the session; what the guest left running ends with it."""
        if not self.open:
            return
        watch = threading.Timer(GRACE, self.host.expire, (f"{GRACE:g} s to end",))
        watch.daemon = True
        watch.start()
        try:
            self.host.channel.send({"op": "end"})
        except (EOFError, OSError):
            pass  # it has ended
        finally:
            self._over()
            watch.cancel()

    def _over(self) -> str:
        """Wait until nothing of the guest is left; returns how its process ended."""
        self.open, self.host.session = False, None
        try:
            if self.host.status is None:
                raise EOFError
            report, _ = self.host.status.receive()
        except (EOFError, OSError, ValueError):
            leave()
            return "with that which serves it"
        self.host.output.end()
        rmtree(self.folder, ignore_errors=True)
        if report["unread"] or not self.host.channel.clean:
            leave()
        return str(report["ended"])

    def _abandon(self) -> None:
        self.open = False
        leave()


def one_line(text: str) -> str:
    """The first line of a text, at most 300 characters that can be printed."""
    line = next(iter(text.strip().splitlines()), "")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)[:300]


def search_path() -> list[str]:
    """Where this process finds modules, as absolute paths."""
    return [os.path.abspath(place) for place in sys.path]


def _environment(home: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)
    }
    places = dict.fromkeys(OF_PLACES, home)
    return {**kept, **places, **dict.fromkeys(OF_THREADS, str(THREADS))}
