"""What every command line keeps to, whatever it is given: the property that the fuzzer tests."""

import hashlib
import io
import os
import re
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from simbench.cli import main
from simbench.cli.ending import UNFORESEEN

CODES = {0, 1, 2}
SECONDS = 6.0  # of the processor; longer work is not a fault: it is given up, and no finding
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
HIDDEN_FILE = re.compile(r"(^|/)\.[^/]*\.tmp$")


class TooLongError(BaseException):
    """Raised when a command line has taken its time; no ``except Exception`` catches it."""


@dataclass(frozen=True)
class Ended:
    """How a command line ended: its exit code, what it printed, and the warnings of libraries."""

    code: int
    out: str
    err: str
    warned: list[str]


def call(arguments: Sequence[str], seconds: float = SECONDS) -> Ended:
    """Run a command line in this process, for so many seconds of the processor."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("default")
        try:
            with _time_limit(seconds):
                main(list(arguments))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, out.getvalue(), err.getvalue(), [str(one.message) for one in caught])


def breaches(arguments: Sequence[str], folder: Path, seconds: float = SECONDS) -> list[str]:
    """What a command line breaks of the contract when it runs in a folder; empty if it keeps to it.

    The contract: exit code 0, 1 or 2; with 2, one sentence on stderr and not a file more, less or changed;
    never a traceback, a control character, or a temporary file left behind.
    """
    with _in(folder):
        before = _content(folder)
        ended = call(arguments, seconds)
        after = _content(folder)
    found = [f"left {name}" for name in after if HIDDEN_FILE.search(name)]
    if ended.code not in CODES:
        found.append(f"exit code {ended.code}")
    if UNFORESEEN in ended.err or "Traceback" in ended.out + ended.err:
        found.append(f"unforeseen: {ended.err.strip()[-600:]}")
    if CONTROL.search(ended.out + ended.err):
        found.append(f"a control character: {CONTROL.findall(ended.out + ended.err)[:3]!a}")
    if ended.code == 2:
        lines = ended.err.strip().splitlines()
        said = [line for line in lines if line.startswith("simbench: ")]
        if (
            len(said) != 1 or said != lines[-1:]
        ) and "Usage: " not in ended.out + ended.err:  # lines of progress may precede it
            found.append(f"{len(said)} sentences on stderr: {ended.err[-600:]!a}")
        # a font that matplotlib left open for an earlier command is noticed whenever memory is collected
        warned = [what for what in ended.warned if "mpl-data" not in str(what)]
        if warned:
            found.append(f"a warning of a library: {warned[0]!a}")
        changed = sorted(name for name in before | after if before.get(name) != after.get(name))
        if changed:
            found.append(f"exit code 2, and files changed: {changed[:5]}; {ended.err.strip()[:300]}")
    return found


def _content(folder: Path) -> dict[str, str]:
    """Every file and folder below a folder, with a checksum of its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        is_file = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = (
            hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
        )
    return found


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Give up after some seconds of work, and after some minutes of waiting."""

    def give_up(*_: object) -> None:
        raise TooLongError

    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, 20 * seconds),
    )
    before = [signal.signal(number, give_up) for number, _, _ in timers]
    try:
        for _, timer, most in timers:
            signal.setitimer(timer, most)
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
