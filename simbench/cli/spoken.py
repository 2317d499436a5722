"""What code from outside prints in the process of a command goes to stderr: stdout is the command's own."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from simbench.cli.printable import one_line, print


@contextmanager
def said_by(name: str) -> Iterator[None]:
    """Let what is printed within go to stderr, each line marked with a name, as guests of a study have it."""
    lines = _Lines(name)
    with redirect_stdout(lines):
        try:
            yield
        finally:
            lines.end()


class _Lines(io.TextIOBase):
    """Takes text, and prints its lines on stderr."""

    def __init__(self, name: str):
        self.name, self.rest = name, ""

    def write(self, text: str) -> int:
        *whole, self.rest = (self.rest + text).split("\n")
        for line in whole:
            print(f"[{self.name}] {one_line(line)}", file=sys.stderr, flush=True)
        return len(text)

    def end(self) -> None:
        """Print what has no end of line."""
        if self.rest:
            self.write("\n")
