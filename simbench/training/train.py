"""Trains R replicates at once: R independent trainings are one training of stacked networks.

Adam is elementwise, so parameters with a leading replicate axis train independently. Features are shared; the
first layer is one wide matrix product. On a CPU replicates are in blocks of a fixed width, and every product
has the same shape whatever R is, so that a replicate's numbers do not depend on which others train with it.
On a GPU all replicates of a chunk are one block, and the others change a replicate's numbers by rounding.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.training.batches import split_by_prompt
from simbench.training.contract import Trainable
from simbench.training.converged import ConvergedTrainer
from simbench.training.holdout import Holdout
from simbench.training.network import block_width
from simbench.training.precision import Precision, products_in
from simbench.training.stacked_model import ROWS, ModelChunks, StackedModel
from simbench.training.trainer import RESTART, Execution, Objective, Trainer

__all__ = [
    "RESTART",
    "ModelChunks",
    "Objective",
    "StackedModel",
    "chunk_of_shape",
    "chunk_size",
    "split_by_prompt",
    "train",
]


def train(
    estimator: Trainable,
    log: FeedbackLog,
    replicates: Sequence[int],
    memory_budget: int | None = None,
    independent_order: bool = False,
    holdout: Holdout | None = None,
    execution: Execution | None = None,
) -> StackedModel | ModelChunks:
    """Train the estimator's networks once per row of ``log.feedback``, in chunks that fit the memory budget.

    Parameters
    ----------
    estimator : Estimator
        The loss, the networks, the hyper-parameters and the device.
    log : FeedbackLog
        Feedback of shape (R, n).
    replicates : sequence of int, length R
        Replicate numbers, from which initial weights derive; ``number // RESTART`` is the number of the
        restart.
    memory_budget : int, bytes, optional
        Replaces the memory budget of the execution.
    independent_order : bool
        Whether every replicate has its own held-out split and batch order; slow (one replicate at a time).
        Used to measure what sharing them costs, see ``benchmarks/batch_order.py``.
    holdout : Holdout, optional
        How responses are held out and which labels stop a fit; by default whole prompts, and the feedback.
    execution : Execution, optional
        Layout and precision of the arithmetic; by default what suits the device, in fp32.

    Returns
    -------
    StackedModel or ModelChunks
        Chunks if the replicates did not fit the memory budget at once.

    Raises
    ------
    BadInput
        If there is not one replicate number per row of feedback, or the estimator's loss has a wrong shape.
    """
    if len(replicates) != log.n_replicates:
        raise BadInput(
            f"there are {len(replicates)} replicate numbers for {log.n_replicates} rows of feedback: give "
            "one number per row."
        )
    how = execution or Execution.on(estimator.device)
    budget = how.memory_budget if memory_budget is None else memory_budget
    chunk = 1 if independent_order else chunk_size(estimator, log, budget, how.precision)
    held_out_by, models = holdout or Holdout(), []
    with products_in(how.precision):
        for start in range(0, len(replicates), chunk):
            rows = slice(start, start + chunk)
            order = (replicates[start],) if independent_order else ()
            part = estimator.prepare(log.replicates(rows))
            numbers, own = list(replicates[rows]), held_out_by.replicates(rows)
            kind = ConvergedTrainer if estimator.optimiser == "lbfgs" else Trainer
            models.append(kind(estimator, part, numbers, order, own, how).run())
    return models[0] if len(models) == 1 else ModelChunks(models)


def chunk_size(
    estimator: Trainable, log: FeedbackLog, memory_budget: int, precision: Precision = "fp32"
) -> int:
    """Number of replicates of this log that fit the memory budget (in bytes), at least one block."""
    signals = 0 if log.signals is None else log.signals.shape[1]
    shape = (log.n_rows, log.features.shape[1], len(estimator.networks_for(log)), signals)
    return chunk_of_shape(estimator, *shape, memory_budget, precision)


def chunk_of_shape(
    estimator: Trainable,
    rows: int,
    features: int,
    networks: int,
    signals: int,
    memory_budget: int,
    precision: Precision = "fp32",
) -> int:
    """Number of replicates of a log of this shape that fit the memory budget, at least one block.

    The count covers parameters, gradients, optimiser state, best parameters, activations, feedback and the
    loss's own workspace; the features come on top, once.

    Parameters
    ----------
    estimator : Estimator
    rows, features, networks, signals : int
        Numbers of rows, feature columns, networks and signals (0 without signals).
    memory_budget : int, bytes
    precision : {"fp32", "tf32", "bf16"}
    """
    widths = [features, *estimator.hidden, 1]
    weights = sum(a * b + b for a, b in pairwise(widths))
    step = estimator.batch_size if estimator.mixup is None else 2 * estimator.batch_size
    step = 6 * rows if estimator.optimiser == "lbfgs" else step  # all rows at once, logits in float64
    activations = 4 * max(step, ROWS) * sum(widths[1:])
    vectors = 7 if precision == "bf16" else 5
    each = 4 * (networks * (vectors * weights + activations) + (4 + 2 * signals) * rows + estimator.workspace)
    # a multiple of the block width, so that no block is padded
    width = block_width(estimator.hidden) if torch.device(estimator.device).type == "cpu" else 1
    return max(width, memory_budget // each // width * width)
