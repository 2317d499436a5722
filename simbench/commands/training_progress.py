"""Progress of a fine-tuning: loss, tokens per second and time left; a bar on a terminal, lines in a pipe."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simbench.commands.text_progress import in_words

SECONDS = 10.0  # between the lines in a pipe


class TrainingProgress:
    """Hears a :class:`simbench.language.training.EncoderTrainer`, and speaks on stderr.

    Parameters
    ----------
    verb : str
        What the lines begin with.
    """

    def __init__(self, verb: str = "fine-tuning"):
        self.verb, self.held_out, self.loss = verb, "", float("nan")
        self.tokens = 0
        self.bar = None

    def __enter__(self) -> "TrainingProgress":
        if sys.stderr.isatty():
            columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
            columns += [TextColumn("{task.fields[facts]}"), TimeRemainingColumn()]
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    @property
    def rate(self) -> float:
        """Training tokens a second, evaluations and checkpoints included; of this run alone."""
        return self.tokens / max(time.monotonic() - self.started, 1e-9)

    def begin(self, total: int, done: int) -> None:
        """So many steps in all, of which an earlier run has done some."""
        self.total, self.before = total, done
        self.started = self.said = time.monotonic()
        if self.bar is not None:
            self.task = self.bar.add_task(self.verb, total=total, completed=done, facts="")
        elif done:
            self._say(f"goes on after step {done:,} of {total:,}")

    def step(self, number: int, loss: float, tokens: int) -> None:
        """A step is done."""
        self.tokens += tokens
        # a running mean: one batch's loss says little
        self.loss = loss if self.loss != self.loss else 0.95 * self.loss + 0.05 * loss
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.task, completed=number, facts=self._facts())
        elif now - self.said >= SECONDS or number == self.total:
            self.said = now
            left = (self.total - number) * (now - self.started) / max(1, number - self.before)
            self._say(f"step {number:,} of {self.total:,}, {self._facts()}, {in_words(left)} left")

    def evaluated(self, number: int, held_out_loss: float, is_best: bool) -> None:
        """The held-out selection loss after a step."""
        self.held_out = f", held out {held_out_loss:.4f}"
        if self.bar is None:
            self._say(f"step {number:,}: held-out loss {held_out_loss:.4f}{', the best so far' * is_best}")

    def _facts(self) -> str:
        return f"loss {self.loss:.4f}{self.held_out}, {self.rate:,.0f} tokens/s"

    def _say(self, text: str) -> None:
        print(f"{self.verb}: {text}", file=sys.stderr, flush=True)
