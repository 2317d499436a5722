"""The process that serves guests, from inside: it forks for each session, so that none sees another's data.

Where a process cannot be forked safely (Windows, macOS), it serves one session itself and ends.
"""

import gc
import os
import select
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import torch
from psutil import NoSuchProcess, Process

from simbench.study.guests import linux, sight
from simbench.study.guests.output import END
from simbench.study.guests.serve import serve
from simbench.study.guests.wire import Channel, Message
from simbench.study.orphan import end_with
from simbench.training.threads import fixed_threads

FORKS = sys.platform == "linux"


def main(status: int | None) -> None:
    """Serve sessions until the bench closes the pipe.

    Parameters
    ----------
    status : int or None
        File descriptor of a pipe on which sessions are reported over; no guest ever holds it.
    """
    channel = _own_channel()
    if FORKS:
        linux.end_with_parent()
        linux.adopt_orphans()
    else:
        end_with(os.getppid())
    with fixed_threads():
        torch.optim.Adam([torch.zeros(1)])  # imports what PyTorch would import in every session anew
        channel.send({"confines": FORKS and linux.confines()})
        gc.collect()
        gc.freeze()  # what is loaded by now is shared with every session
        with suppress(EOFError, BrokenPipeError):
            while True:
                first, _ = channel.receive()
                if status is None:
                    _move(Path(first["folder"], "work"))
                    serve(first, channel)
                    os.write(2, END)
                    return
                if "name" in first:  # else it was meant for a session that is over
                    _apart(first, channel, status)


def _own_channel() -> Channel:
    """Take the pipes away from stdin and stdout: what a guest prints goes to stderr."""
    channel = Channel(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    return channel


def _apart(first: Message, channel: Channel, status: int) -> None:
    """Serve one session in a process of its own, and end what it leaves behind."""
    child = os.fork()
    if child == 0:
        os.close(status)
        _session(first, channel)
    _, code = os.waitpid(child, 0)
    while left := Process().children(recursive=True):
        for one in left:
            with suppress(NoSuchProcess):
                one.kill()
        with suppress(ChildProcessError):
            while os.waitpid(-1, 0):
                pass
    os.write(2, END)
    unread = bool(select.select([channel.reader], [], [], 0)[0])
    Channel(status, status).send({"ended": _how(os.waitstatus_to_exitcode(code)), "unread": unread})


def _session(first: Message, channel: Channel) -> NoReturn:
    code = 1
    try:
        linux.end_with_parent()
        _move(Path(first["folder"], "work"))
        _confine(first)
        serve(first, channel)
        code = 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)  # past whatever a guest left to be run at the end


def _move(home: Path) -> None:
    """Make this folder the working folder, the home and the place of temporary files."""
    os.chdir(home)
    os.environ |= dict.fromkeys(("HOME", "TMPDIR", "TMP", "TEMP"), str(home))
    os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    tempfile.tempdir = None


def _confine(first: Message) -> None:
    """Let this process read what a guest may see, and write to its working folder."""
    hidden, also = first.pop("hidden"), first.pop("also")
    if linux.confines():
        seen = sight.readable(first["name"], [*first["path"], *also], hidden)
        folder = Path(first["folder"])
        names = sight.listable(first["path"], hidden)
        linux.confine([*seen, folder / "given"], [folder / "work", *sight.devices()], names)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
