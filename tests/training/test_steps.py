"""Recorded steps: every batch once and in turn, recorded for the first one's size after a warm-up."""

import pytest
import torch

from simbench.training.steps import WARM_UP, Steps
from simbench.training.trainer import Execution, recorded_on_cuda


class Taken:
    """Inputs that are twice the row."""

    def take(self, rows):
        return 2 * rows


class Feed:
    """Batches of these sizes, rows from 0 on."""

    def __init__(self, *sizes):
        self.batches, self.inputs = torch.arange(sum(sizes)).split(list(sizes)), {"x": Taken()}

    def __iter__(self):
        return ((rows, {"x": held.take(rows)}) for rows in self.batches for held in self.inputs.values())


def run(record, *feeds):
    """Rows of every step; what a step writes is checked against its rows."""
    seen = []

    def step(rows, inputs):
        assert torch.equal(inputs["x"], 2 * rows)
        seen.append(rows.tolist())

    steps = Steps(step, record)
    for feed in feeds:
        steps.run(feed)
    return seen


SIZES = (4, 4, 4, 4, 3, 4, 4, 2)


@pytest.mark.parametrize("is_recorded", [False, True])
def test_every_batch_is_stepped_on_once_and_in_turn(is_recorded):
    """Batches of another size between them, and a second pool."""
    recorded = []

    def record(work):
        recorded.append(work)
        return work

    feeds = Feed(*SIZES), Feed(4, 4, 1)
    found = run(record if is_recorded else None, *feeds)
    assert found == [rows.tolist() for feed in feeds for rows in feed.batches]
    assert len(recorded) == is_recorded  # once for all


def test_a_recording_is_made_without_doing_the_work_and_after_the_warm_up():
    recorded, replayed = [], []

    def record(work):
        recorded.append(work)
        return lambda: replayed.append(1)

    seen = run(record, Feed(*[4] * 10))
    assert len(recorded) == 1 and len(seen) == WARM_UP == 3 and len(replayed) == 7


def test_a_step_that_cannot_be_recorded_is_told_once():
    def refuses(_):
        raise RuntimeError("not now\nand more")

    with pytest.warns(UserWarning, match=r"could not be recorded \(not now\)") as told:
        seen = run(refuses, Feed(*[2] * 8))
    assert len(told) == 1 and seen == [[2 * i, 2 * i + 1] for i in range(8)]


def test_a_gpu_takes_wide_blocks_and_records_and_a_processor_neither():
    assert Execution.on(torch.device("cpu")) == Execution(False, None)
    assert Execution.on(torch.device("cuda")) == Execution(True, recorded_on_cuda)
