"""A worker ends with the command that started it, even if that command is killed."""

import os
import signal
import threading
import time

from psutil import pid_exists

from simbench.stops import STOPS, end_at_once

SECONDS = 0.5  # between two looks at the parent


def end_with(parent: int) -> None:
    """Let this process, and what it starts, end soon after its parent has.

    Called once, by the main thread of a worker. Signals that stop a command are ignored from then on: a
    terminal sends them to the worker as well, and it is the parent's part to end it.

    Parameters
    ----------
    parent : int
        Process id of the parent, as the parent itself says: it may have ended already.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while _is_there(parent):
        time.sleep(SECONDS)
    end_at_once(1)


def _is_there(parent: int) -> bool:
    """Whether the parent lives: an orphan gets another parent, but on Windows keeps the number of its own."""
    return os.getppid() == parent and (os.name == "posix" or pid_exists(parent))
