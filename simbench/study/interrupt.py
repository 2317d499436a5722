"""Ctrl-C that cannot be lost.

Python raises KeyboardInterrupt wherever the program is; in a callback of the interpreter (a weak reference's,
say) it is printed and ignored, and the study would go on.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered() -> Iterator[threading.Event]:
    """An event that is set by SIGINT, beside whatever it does already; never set outside the main thread."""
    heard, before = threading.Event(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield heard
        return

    def hear(number: int, frame: FrameType | None) -> None:
        heard.set()
        before(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)
