"""Ctrl-C, SIGTERM and SIGHUP stop a command in the same way, and cannot be lost.

Python raises KeyboardInterrupt wherever the program is, once the main thread is back from C; in a callback of
the interpreter, such as a weak reference's, it is printed and ignored, and the program would go on.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import NoReturn

STOPS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # `kill`, `timeout`, containers and Slurm send SIGTERM, a terminal that is closed SIGHUP
PATIENCE = 1.0  # seconds that a command has to stop by itself
ECHO = 0.2  # seconds in which the same signal comes again: `timeout` sends it to the process and to its group

_heard: list[int] = []


@contextmanager
def remembered() -> Iterator[threading.Event]:
    """Yield an event that the signals of :data:`STOPS` set, besides whatever they do already.

    A signal that ends the process at once, or is ignored, stays as it is. Outside the main thread, where
    Python handles no signals, the event is never set.
    """
    heard = threading.Event()
    with ExitStack() as handlers:
        if threading.current_thread() is threading.main_thread():
            for number in STOPS:
                handlers.enter_context(_also(number, heard))
        yield heard


@contextmanager
def _also(number: int, heard: threading.Event) -> Iterator[None]:
    """Let a signal set the event, and then do what it did before."""
    before = signal.getsignal(number)
    if not callable(before):
        yield
        return

    def hear(number: int, frame: FrameType | None) -> None:
        heard.set()
        before(number, frame)

    signal.signal(number, hear)
    try:
        yield
    finally:
        signal.signal(number, before)


def heed() -> None:
    """Let the signals of :data:`STOPS` raise KeyboardInterrupt in this process, and see that it ends.

    Called once, by the main thread of a command. Signals that the process was started to ignore (``nohup``,
    or ``&`` in a script) stay ignored. A second signal, or :data:`PATIENCE` seconds after the first, ends the
    process and all that it started at once.
    """
    for number in STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_insist, args=(receiver,), daemon=True).start()


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Undo what a library within does to the handlers of :data:`STOPS`."""
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:  # never outside the main thread
                signal.signal(number, handler)


def is_stopped() -> bool:
    """Whether this process has heard a signal that stops it."""
    return bool(_heard)


def exit_code() -> int:
    """128 and the number of the first signal that this process heard: of SIGINT, if it heard none."""
    return 128 + (_heard or [signal.SIGINT])[0]


def end_within(seconds: float, code: int) -> None:
    """End this process in so many seconds at the latest: a thread that is left cannot keep it alive."""
    timer = threading.Timer(seconds, end_at_once, (code,))
    timer.daemon = True
    timer.start()


def end_at_once(code: int) -> NoReturn:
    """End this process and all that it started, wherever they are. Files are written whole or not at all."""
    from psutil import NoSuchProcess, Process  # 20 ms that the start of a command need not wait for

    for child in Process().children(recursive=True):
        try:
            child.kill()
        except NoSuchProcess:
            continue
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # a bar hides the cursor
    os._exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    if len(_heard) == 1:  # at the second, :func:`_insist` ends what may be in the middle of ending
        raise KeyboardInterrupt


def _insist(receiver: socket.socket) -> None:
    """Wait for a first signal, then for a second or for patience to end; then end the process.

    Python writes a signal's number to the socket at once, in whatever C code the main thread is.
    """
    while (first := receiver.recv(1)[0]) not in STOPS:
        pass
    heard = time.monotonic()
    import psutil  # noqa: F401, for :func:`end_at_once`, while the main thread ends what it can

    while (left := heard + PATIENCE - time.monotonic()) > 0:
        receiver.settimeout(left)
        try:
            again = receiver.recv(1)[0]
        except TimeoutError:
            break
        if again in STOPS and time.monotonic() - heard > ECHO:
            break
    end_at_once(128 + first)
