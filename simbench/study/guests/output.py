"""What guests print: shown on stderr under their name, as much of it as anyone would read."""

import os
import sys
import threading

MOST = 20_000  # bytes of a session that are shown
END = b"\0"  # what the host writes behind a session's last byte


class Output:
    """Reads a pipe to its end, in a thread of its own, so that no guest waits for a reader.

    Parameters
    ----------
    pipe : int
        File descriptor of what guests write to stdout and stderr.
    """

    def __init__(self, pipe: int):
        self.pipe, self.label, self.left, self.dropped = pipe, "guest", MOST, 0
        self.line = b""
        self.ended, self._session_ended = threading.Event(), threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def begin(self, label: str) -> None:
        """Mark what comes from here on as this guest's."""
        self.label, self.left, self.dropped = label, MOST, 0
        self._session_ended.clear()

    def end(self) -> None:
        """Wait until all that a session printed is shown."""
        self._session_ended.wait(5)

    def _read(self) -> None:
        try:
            while part := os.read(self.pipe, 1 << 16):
                self._take(part.replace(END, b""))
                if END in part:
                    self._flush()
                    self._session_ended.set()
        except OSError:
            pass  # closed while it was read
        self._flush()
        self._session_ended.set()
        self.ended.set()

    def _take(self, part: bytes) -> None:
        shown = part[: self.left]
        self.left -= len(shown)
        self.dropped += len(part) - len(shown)
        *lines, self.line = (self.line + shown).split(b"\n")
        for line in lines:
            self._show(line.decode(errors="replace"))

    def _flush(self) -> None:
        if self.line:
            self._show(self.line.decode(errors="replace"))
            self.line = b""
        if self.dropped:
            self._show(f"... and {self.dropped:,} more bytes, which are not shown")
            self.dropped = 0

    def _show(self, line: str) -> None:
        text = "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
        if sys.stderr is not None:
            print(f"[{self.label}] {text}", file=sys.stderr, flush=True)
