"""The steps of an epoch, run one by one, or recorded once and replayed.

Recording pays on a GPU, where launching a step's kernels can take longer than the arithmetic.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from simbench.training.feeding import Feed

Work = Callable[[], None]
Recorder = Callable[[Work], Work]  # records the work without doing it; what it returns does it
WARM_UP = 3  # steps before the recording, during which libraries and memory settle


class Steps:
    """Runs a training step on every batch.

    Parameters
    ----------
    step : callable
        Function of the row numbers of a batch and the inputs of each network.
    record : Recorder, optional
        Records the step on batches of the first batch's size; all tensors that it reads and writes must stay
        at the same memory addresses while this object is used. If a step cannot be recorded, because its loss
        waits for the device, steps run unrecorded, with a warning.
    """

    def __init__(self, step: Callable[[Tensor, dict[Any, Tensor]], None], record: Recorder | None = None):
        self._step, self._record = step, record
        self._rows: Tensor | None = None
        self._replay: Work | None = None
        self._done = 0

    def run(self, feed: Feed[Any]) -> None:
        """Run a step on each batch of the feed, in turn."""
        if self._record is None:
            for rows, inputs in feed:
                self._step(rows, inputs)
            return
        for rows in feed.batches:
            if self._rows is None:
                self._rows = rows.clone()
            if len(rows) == len(self._rows):
                self._rows.copy_(rows)
                self._recorded(feed)
            else:
                self._on(rows, feed)

    def _recorded(self, feed: Feed[Any]) -> None:
        assert self._rows is not None and self._record is not None
        rows = self._rows
        if self._done < WARM_UP:
            self._on(rows, feed)
            self._done += 1
            return
        if self._replay is None:
            try:
                self._replay = self._record(lambda: self._on(rows, feed))
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                warnings.warn(f"a step could not be recorded ({reason}): it runs unrecorded.", stacklevel=2)
                self._replay = lambda: self._on(rows, feed)
        self._replay()

    def _on(self, rows: Tensor, feed: Feed[Any]) -> None:
        self._step(rows, {key: held.take(rows) for key, held in feed.inputs.items()})


def recorded_on_cuda(work: Work) -> Work:
    """Record the work as a CUDA graph; the result replays it."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
