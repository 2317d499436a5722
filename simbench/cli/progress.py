"""Shows progress on stderr, so that stdout is only the table: a bar on a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Column

from simbench.cli.output import duration
from simbench.cli.printable import print
from simbench.study.cell import Outcome
from simbench.study.grants import in_words

ROOM = 46  # places on a narrow terminal for the bar, the count and the times
SECONDS = 10.0  # between the lines in a pipe


class BarOrLines:
    """The base of all progress: a bar on a terminal; plain lines in a pipe, where ``bar`` is None.

    Parameters
    ----------
    *columns : ProgressColumn
        Columns of the bar after the description and the count.
    """

    def __init__(self, *columns: ProgressColumn):
        width = Console(stderr=True).width
        what = Column(no_wrap=True, overflow="ellipsis", max_width=max(10, width - ROOM))
        bar = BarColumn(bar_width=40 if width >= 110 else 10)
        self.columns = (
            TextColumn("{task.description}", table_column=what),
            bar,
            MofNCompleteColumn(),
            *columns,
        )
        self.bar: Bar | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self.bar = Bar(*self.columns, console=Console(stderr=True), transient=True)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def say(self, text: str) -> None:
        """Print a line on stderr."""
        print(text, file=sys.stderr, flush=True)


class CellProgress(BarOrLines):
    """Progress over the cells of a study, and over what comes before and after them.

    Parameters
    ----------
    heading : str
        Printed before the first cell that ends, so that nothing precedes a message on bad input.
    """

    def __init__(self, heading: str = ""):
        super().__init__(TextColumn("{task.fields[left]}"), TimeElapsedColumn())
        self.heading, self.what = heading, ""
        self.before, self.started = 0, time.monotonic()
        self.said = self.started

    def __enter__(self) -> Self:
        super().__enter__()
        if self.bar is not None:
            self.task = self.bar.add_task("starting", total=None, left="")
        return self

    def phase(self, what: str, done: int, total: int) -> None:
        """Take how much of a part of the study is done: of its worlds, or at the start of its cells."""
        if what != self.what:
            self.what, self.before, self.started = what, done, time.monotonic()
        left = self._left(done, total)
        if self.bar is not None:
            self.bar.update(self.task, description=what, completed=done, total=total, left=left)
        elif time.monotonic() - self.said >= SECONDS:
            self.say(f"{what}: {done:,} of {total:,}{left and f', {left}'}")

    def say(self, text: str) -> None:
        """Print a line on stderr."""
        self.said = time.monotonic()
        super().say(text)

    def __call__(self, outcome: Outcome, done: int, total: int) -> None:
        if self.heading:
            self.say(self.heading)
            self.heading = ""
        cell = outcome.cell
        told = f" ({', '.join(in_words(name) for name in cell.grant)})" if cell.grant else ""
        text = f"{cell.world.name}, bias level {cell.bias_level:g}: {cell.estimator}{told}"
        left = self._left(done, total)
        if self.bar is not None:
            self.bar.update(self.task, description=text, completed=done, total=total, left=left)
            return
        detail = f"{outcome.seconds:.1f} s" if outcome.status == "ok" else outcome.reason
        self.say(f"[{done}/{total}] {text}: {outcome.status}, {detail}{left and f', {left}'}")

    def _left(self, done: int, total: int) -> str:
        """The time that is left if the rest takes as long as what this run did; empty at the end."""
        if not self.before < done < total:
            return ""
        return f"{duration((time.monotonic() - self.started) * (total - done) / (done - self.before))} left"


class TextProgress(BarOrLines):
    """Progress over texts that are embedded.

    Called with the number of texts and how many are done already, it returns a function to call with the
    number of texts that were done since.

    Parameters
    ----------
    verb : str
        What the lines begin with.

    Examples
    --------
    >>> with TextProgress("embedding") as progress:
    ...     advance = progress(100, 20)
    ...     advance(80)
    """

    def __init__(self, verb: str):
        super().__init__(TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        self.verb = verb
        self.rate = 0.0
        """Texts per second, in this run alone."""

    def __call__(self, total: int, done: int) -> Callable[[int], None]:
        self.total = total
        self.done, self.before = done, done
        self.started = self.said = time.monotonic()
        if self.bar is not None:
            self.task = self.bar.add_task(self.verb, total=total, completed=done, rate="")
        elif done:
            self.say(f"{self.verb}: {done:,} of {total:,} texts are done already")
        return self._advance

    def _advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        self.rate = (self.done - self.before) / max(now - self.started, 1e-9)
        rate = f"{self.rate:,.1f} texts/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, rate=rate)
        elif now - self.said >= SECONDS or self.done == self.total:
            self.said = now
            left = duration((self.total - self.done) / self.rate)
            self.say(f"{self.verb}: {self.done:,} of {self.total:,} texts, {rate}, {left} left")


class TrainingProgress(BarOrLines):
    """Progress over the steps of a fine-tuning.

    It is a :class:`simbench.reward.language.training.TrainingObserver`.

    Parameters
    ----------
    verb : str
        What the lines begin with.
    """

    def __init__(self, verb: str = "fine-tuning"):
        super().__init__(TextColumn("{task.fields[facts]}"), TimeRemainingColumn())
        self.verb, self.held_out, self.loss = verb, "", float("nan")
        self.tokens = 0

    @property
    def rate(self) -> float:
        """Training tokens per second, evaluations and checkpoints included, in this run alone."""
        return self.tokens / max(time.monotonic() - self.started, 1e-9)

    def begin(self, total: int, done: int) -> None:
        """Take the number of steps, and how many an earlier run has done; called once."""
        self.total, self.before = total, done
        self.started = self.said = time.monotonic()
        if self.bar is not None:
            self.task = self.bar.add_task(self.verb, total=total, completed=done, facts="")
        elif done:
            self.say(f"{self.verb}: goes on after step {done:,} of {total:,}")

    def step(self, number: int, loss: float, tokens: int) -> None:
        """Take the number of steps done, the loss of the last one, and the tokens in it."""
        self.tokens += tokens
        # a running mean: one batch's loss says little
        self.loss = loss if self.loss != self.loss else 0.95 * self.loss + 0.05 * loss
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.task, completed=number, facts=self._facts())
        elif now - self.said >= SECONDS or number == self.total:
            self.said = now
            left = duration((self.total - number) * (now - self.started) / max(1, number - self.before))
            self.say(f"{self.verb}: step {number:,} of {self.total:,}, {self._facts()}, {left} left")

    def evaluated(self, number: int, held_out_loss: float, is_best: bool) -> None:
        """Take the held-out selection loss after a step, and whether it is the best so far."""
        self.held_out = f", held out {held_out_loss:.4f}"
        if self.bar is None:
            best = ", the best so far" * is_best
            self.say(f"{self.verb}: step {number:,}: held-out loss {held_out_loss:.4f}{best}")

    def _facts(self) -> str:
        return f"loss {self.loss:.4f}{self.held_out}, {self.rate:,.0f} tokens/s"
