"""Progress over texts: a bar with rate and time left on a terminal, plain lines in a pipe; on stderr."""

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS = 10.0  # between the lines in a pipe


class TextProgress:
    """Called with the texts in all and those done already; returns what is called as more are done.

    Examples
    --------
    >>> with TextProgress("embedding") as progress:
    ...     advance = progress(100, 20)
    ...     advance(80)
    """

    def __init__(self, verb: str):
        self.verb = verb
        self.rate = 0.0
        """Texts a second, of this run alone."""

    def __enter__(self) -> "TextProgress":
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        columns += [TextColumn("{task.fields[rate]}"), TimeRemainingColumn()]
        self.bar = None
        if sys.stderr.isatty():
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, total: int, done: int) -> Callable[[int], None]:
        self.total = total
        self.done, self.before = done, done
        self.started = self.said = time.monotonic()
        if self.bar is not None:
            self.task = self.bar.add_task(self.verb, total=total, completed=done, rate="")
        elif done:
            self._say(f"{done:,} of {total:,} texts are done already")
        return self._advance

    def _advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        self.rate = (self.done - self.before) / max(now - self.started, 1e-9)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, rate=f"{self.rate:,.1f} texts/s")
        elif now - self.said >= SECONDS or self.done == self.total:
            left = (self.total - self.done) / self.rate
            self.said = now
            self._say(
                f"{self.done:,} of {self.total:,} texts, {self.rate:,.1f} texts/s, {in_words(left)} left"
            )

    def _say(self, text: str) -> None:
        print(f"{self.verb}: {text}", file=sys.stderr, flush=True)


def in_words(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
