"""The processes of ``reliability.py``, in sessions of their own; forked where that spares their start."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

import psutil
from reliability_cases import Case

from simbench.__main__ import command

LONGEST = 900.0  # seconds of any command, on a busy machine


class Process:
    """A child of this process.

    Parameters
    ----------
    pid : int
    file : file
        What it prints.
    """

    def __init__(self, pid: int, file: IO[str]):
        self.pid, self.file, self.text = pid, file, ""
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, or None while it runs; less than 0 for a signal."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
                with self.file:
                    self.file.seek(0)
                    self.text = self.file.read()
        return self.returncode

    def wait(self, seconds: float = LONGEST) -> bool:
        """Wait until it ends, so long at most; returns whether it has."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.returncode is not None

    def said(self) -> str:
        """What it printed, once it has ended."""
        if not self.wait():
            os.killpg(self.pid, signal.SIGKILL)
            raise TimeoutError("a command did not end")
        return self.text


def begun(case: Case, out: Path) -> Process:
    """Start a command in a session of its own, as a shell in a terminal would."""
    if case.forks:
        return forked(case.arguments(out))
    command_line = case.command(out)
    return _apart(lambda: os.execv(command_line[0], command_line))


def forked(arguments: list[str]) -> Process:
    """A command in a fork of this process, which has imported the libraries: moments fall into its work."""

    def run() -> None:
        sys.argv = ["simbench", *arguments]
        command()

    return _apart(run)


def _apart(run: Callable[[], None]) -> Process:
    """A child of this process that runs something, and ends with its exit code."""
    file = tempfile.TemporaryFile("w+")  # noqa: SIM115, it outlives this function
    child = os.fork()
    if child:
        return Process(child, file)
    code = 1
    try:
        os.setsid()
        heeds()
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def heeds() -> None:
    """Take back what a shell in the background, or this script, does to signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


def finished(case: Case, out: Path) -> tuple[int, str]:
    """Run a command to its end; returns its exit code and what it printed."""
    process = begun(case, out)
    said = process.said()
    return process.poll() or 0, said


def family(session: int) -> list[psutil.Process]:
    """All processes of a session."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def imported() -> None:
    """Import what the commands import, for all that are forked; nothing is computed here."""
    for name in ("torch", "transformers", "sklearn.linear_model", "torch._dynamo", "joblib", "pyarrow"):
        import_module(name)
    for name in ("reward.language.finetune", "reward.model", "study.run", "repro.reproduce"):
        import_module(f"simbench.{name}")
