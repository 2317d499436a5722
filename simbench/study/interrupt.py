"""Remembers Ctrl-C, so that it cannot be lost.

Python raises KeyboardInterrupt wherever the program is; in a callback of the interpreter, such as a weak
reference's, it is printed and ignored, and the study would go on.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered() -> Iterator[threading.Event]:
    """Yield an event that SIGINT sets, besides whatever it does already.

    Outside the main thread, where Python handles no signals, the event is never set.
    """
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
