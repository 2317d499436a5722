"""One optimiser, many replicates: R independent trainings are one training of stacked networks.

Adam is elementwise, so parameters with a leading replicate axis train independently. Features are
shared; the first layer is a wide matrix product. Replicates sit in blocks of a fixed width and every
product has the same shape whatever R is, so that a replicate's numbers do not depend on its company.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from simbench.device_log import DeviceLog
from simbench.errors import BadInput
from simbench.estimator import Batch, Network, Outputs
from simbench.holdout import Holdout, oracle_loss
from simbench.log import FeedbackLog
from simbench.network import StackedMLP, block_width
from simbench.pairs import draw_pairs
from simbench.streams import seed_of, stream

if TYPE_CHECKING:
    from simbench.estimator import Estimator

Objective = Callable[[Outputs, Batch], Tensor]
RESTART = 1 << 32  # replicate i of restart s is numbered s * RESTART + i
MEMORY_BUDGET = 2 << 30  # bytes for parameters, optimiser state, activations and feedback of a chunk


@dataclass
class StackedModel:
    """R fitted reward networks (and propensity networks, where the estimator has them).

    ``held_out_loss``, shape (R,), is the selection loss at the epoch that was kept.
    """

    networks: dict[Network, StackedMLP]
    link: Callable[[Tensor, Tensor | None], Tensor]
    calibration: Tensor | None
    n_replicates: int
    epochs: np.ndarray
    held_out_loss: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Reward probabilities of shape (R, m), float64 in [0, 1]."""
        return self._map("reward", features, lambda logit: self.link(logit, self.calibration))

    def predict_propensity(self, inputs: np.ndarray) -> np.ndarray:
        """Estimated propensity of shape (R, m), from context, or features where there is none."""
        return self._map("propensity", inputs, torch.sigmoid)

    def _map(self, head: str, inputs: np.ndarray, link: Callable[[Tensor], Tensor]) -> np.ndarray:
        described = next((network for network in self.networks if head in network.heads), None)
        if described is None:
            raise BadInput(f"this estimator fits no {head}.")
        network, output = self.networks[described], described.heads.index(head)
        # Rows in blocks of one shape, the last one padded: a row's value does not depend on how
        # many rows it is asked with.
        rows = 1024
        parts = []
        for start in range(0, len(inputs), rows):
            block = torch.zeros(rows, inputs.shape[1], device=network.device)
            part = torch.as_tensor(np.ascontiguousarray(inputs[start : start + rows], dtype=np.float32))
            block[: len(part)] = part.to(network.device)
            logit = network.forward(block)[output, : self.n_replicates, : len(part)]
            parts.append(link(logit.double()).cpu().numpy())
        return np.concatenate(parts, axis=1)


@dataclass
class ModelChunks:
    """Models of successive replicate chunks, one behind another."""

    models: list[StackedModel]

    def predict(self, features: np.ndarray) -> np.ndarray:
        return np.concatenate([model.predict(features) for model in self.models])

    def predict_propensity(self, inputs: np.ndarray) -> np.ndarray:
        return np.concatenate([model.predict_propensity(inputs) for model in self.models])

    @property
    def epochs(self) -> np.ndarray:
        return np.concatenate([model.epochs for model in self.models])

    @property
    def held_out_loss(self) -> np.ndarray:
        return np.concatenate([model.held_out_loss for model in self.models])


def train(
    estimator: "Estimator",
    log: FeedbackLog,
    replicates: Sequence[int],
    memory_budget: int = MEMORY_BUDGET,
    independent_order: bool = False,
    holdout: Holdout | None = None,
):
    """Train one network (pair) per row of ``log.feedback``, in chunks that fit the memory budget.

    Parameters
    ----------
    estimator : Estimator
        Its loss and hyper-parameters.
    log : FeedbackLog
        Feedback of shape (R, n).
    replicates : sequence of int, length R
        Replicate numbers; initial weights derive from them. ``number // RESTART`` counts restarts.
    memory_budget : int, bytes
    independent_order : bool
        Give every replicate its own held-out split and batch order; slow (one at a time). Used to
        measure what sharing them costs, see ``benchmarks/batch_order.py``.
    holdout : Holdout, optional
        What is held out, and by what it stops a fit, where that is not whole prompts and feedback.

    Returns
    -------
    StackedModel or ModelChunks
    """
    if len(replicates) != log.n_replicates:
        raise BadInput(f"{len(replicates)} replicate numbers for {log.n_replicates} rows of feedback.")
    holdout = holdout or Holdout()
    chunk = 1 if independent_order else chunk_size(estimator, log, memory_budget)
    models = []
    for start in range(0, len(replicates), chunk):
        rows = slice(start, start + chunk)
        part = log.replicates(rows)
        order = (replicates[start],) if independent_order else ()
        part = estimator.prepare(part)
        trainer = _Trainer(estimator, part, list(replicates[rows]), order, holdout.replicates(rows))
        models.append(trainer.run())
    return models[0] if len(models) == 1 else ModelChunks(models)


def chunk_size(estimator: "Estimator", log: FeedbackLog, memory_budget: int) -> int:
    """Replicates that fit the budget; a multiple of the block width so that no block is padded."""
    widths = [log.features.shape[1], *estimator.hidden, 1]
    weights = sum(a * b + b for a, b in pairwise(widths))
    activations = 4 * max(estimator.batch_size, 1024) * sum(widths[1:])
    count = len(estimator.networks_for(log))
    signals = 0 if log.signals is None else log.signals.shape[1]
    per_replicate = 4 * (count * (5 * weights + activations) + (4 + 2 * signals) * log.n_rows)
    width = block_width(estimator.hidden)
    return max(width, memory_budget // per_replicate // width * width)


class _Trainer:
    """State of one stacked training. Replicates are padded to whole blocks with copies of the last."""

    def __init__(
        self,
        estimator: "Estimator",
        log: FeedbackLog,
        numbers: list[int],
        order_axes: tuple[int, ...],
        holdout: Holdout,
    ):
        self.estimator, self.device = estimator, torch.device(estimator.device)
        self.n_replicates = len(numbers)
        width = block_width(estimator.hidden)
        padding = -len(numbers) % width
        self.numbers = numbers + [numbers[-1]] * padding
        rows = np.r_[np.arange(len(numbers)), np.repeat(len(numbers) - 1, padding)]
        self.log = self.whole_log = DeviceLog(log, rows, self.device)
        self.inputs = {network: getattr(self.log, network.inputs) for network in estimator.networks_for(log)}
        self.groups = log.groups
        self.order_axes = order_axes
        seed = seed_of(estimator.seed, "split", *order_axes)
        units = holdout.units(log.groups)
        train_rows, held_out = split_by_prompt(units, estimator.validation_share, seed)
        if estimator.reads_pairs:
            pairing = np.random.default_rng(seed_of(estimator.seed, "pairs", *order_axes))
            held_out = draw_pairs(held_out, log.groups, pairing).ravel()
        self.train_rows, self.held_out = self.log.tensor(train_rows), self.log.tensor(held_out)
        clean = holdout.oracle_labels
        self.oracle_labels = None if clean is None else self.log.tensor(clean[rows][:, held_out])
        self.networks = {
            network: StackedMLP(
                inputs.shape[1],
                estimator.hidden,
                self._init_seeds("+".join(network.heads)),
                self.device,
                len(network.heads),
            )
            for network, inputs in self.inputs.items()
        }
        for network, stacked in self.networks.items():
            stacked.shift_outputs(self._initial_shifts(network))
        self.state: dict[str, Tensor] = {}

    def _initial_shifts(self, network: Network) -> np.ndarray:
        restarts = [number // RESTART for number in self.numbers]
        shift = self.estimator.initial_shift
        return np.array([[shift(head, restart) for restart in restarts] for head in network.heads])

    def run(self) -> StackedModel:
        blocks = next(iter(self.networks.values())).n_blocks
        order = np.random.default_rng(seed_of(self.estimator.seed, "order", *self.order_axes))
        self._initialise(order)
        best = {key: network.copy() for key, network in self.networks.items()}
        alive = torch.arange(blocks, device=self.device)
        replicates = len(self.numbers)
        best_loss = torch.full((replicates,), torch.inf, dtype=torch.float64, device=self.device)
        waited = torch.zeros(replicates, dtype=torch.long, device=self.device)
        epochs = torch.zeros(replicates, dtype=torch.long, device=self.device)
        optimiser = self._optimiser()
        width = replicates // blocks
        for epoch in range(self.estimator.epochs):
            self._epoch(optimiser, order, self.estimator.objective)
            loss = self._held_out_loss()
            members = (alive[:, None] * width + torch.arange(width, device=self.device)).flatten()
            open_ = waited[members] < self.estimator.patience
            improved = open_ & (loss < best_loss[members])
            best_loss[members] = torch.where(improved, loss, best_loss[members])
            epochs[members] = torch.where(improved, epoch + 1, epochs[members])
            waited[members] = torch.where(improved, 0, waited[members] + open_.long())
            for key, network in self.networks.items():
                best[key].take(network, alive, improved)
            open_blocks = (waited[members] < self.estimator.patience).view(-1, width).any(1)
            if not open_blocks.any():
                break
            if not open_blocks.all():
                self._keep(open_blocks, optimiser)
                alive = alive[open_blocks]
        return self._model(best, epochs, best_loss)

    def _model(self, best: dict[Network, StackedMLP], epochs: Tensor, loss: Tensor) -> StackedModel:
        self.networks, self.log, count = best, self.whole_log, self.n_replicates
        with torch.no_grad():
            held_out = self.log.batch(self.held_out, {})
            calibration = self.estimator.calibration(self._predict(self.held_out), held_out)
        if calibration is not None:
            calibration = calibration[:count].double()
        numbers = (values[:count].cpu().numpy() for values in (epochs, loss))
        return StackedModel(best, self.estimator.link, calibration, count, *numbers)

    def _initialise(self, order: np.random.Generator) -> None:
        """The estimator's first epochs, with an optimiser of their own; early stopping does not see them."""
        optimiser = self._optimiser()
        for _ in range(self.estimator.initial_epochs):
            self._epoch(optimiser, order, self.estimator.initial_objective)
        self._refresh_state()

    def _epoch(
        self, optimiser: torch.optim.Optimizer, order: np.random.Generator, objective: Objective
    ) -> None:
        for rows in self._batches(order):
            self._step(rows, self.log.batch(rows, self.state), optimiser, objective)

    def _batches(self, order: np.random.Generator) -> Iterator[Tensor]:
        """Row numbers of each step's batch; of pairs, the first members and then their partners."""
        size = self.estimator.batch_size
        if not self.estimator.reads_pairs:
            yield from self.train_rows[self.log.tensor(order.permutation(len(self.train_rows)))].split(size)
            return
        pairs = draw_pairs(self.train_rows.cpu().numpy(), self.groups, order)
        pairs = self.log.tensor(pairs[:, order.permutation(pairs.shape[1])])
        for part in pairs.split(max(1, size // 2), dim=1):
            yield part.flatten()

    def _step(
        self, rows: Tensor, batch: Batch, optimiser: torch.optim.Optimizer, objective: Objective
    ) -> None:
        logits = [
            network.forward(self.inputs[key].index_select(0, rows), keep=True).requires_grad_()
            for key, network in self.networks.items()
        ]
        value = objective(self._outputs(logits), batch)
        # Autograd ends at the logits; the networks' own backward pass goes on from there.
        gradients = torch.autograd.grad(value.sum(), logits)
        for network, gradient in zip(self.networks.values(), gradients, strict=True):
            network.backward(gradient)
        optimiser.step()

    def _held_out_loss(self) -> Tensor:
        self._refresh_state()
        batch = self.log.batch(self.held_out, self.state)
        with torch.no_grad():
            out = self._predict(self.held_out)
            if self.oracle_labels is None:
                loss = self.estimator.selection_loss(out, batch).double()
            else:
                loss = oracle_loss(self.estimator, out, batch, self.oracle_labels)
        # A replicate that diverged never counts as better.
        return torch.nan_to_num(loss, nan=torch.inf)

    def _refresh_state(self) -> None:
        if not self.estimator.has_epoch_state:
            return
        rows = torch.arange(self.log.feedback.shape[1], device=self.device)
        with torch.no_grad():
            self.state = self.estimator.epoch_state(self._predict(rows), self.log.batch(rows, {}))

    def _predict(self, rows: Tensor) -> Outputs:
        """Outputs on these rows, without a gradient."""
        parts = rows.split(max(self.estimator.batch_size, 1024))
        return self._outputs(
            [
                torch.cat([network.forward(self.inputs[key].index_select(0, p)) for p in parts], dim=2)
                for key, network in self.networks.items()
            ]
        )

    def _outputs(self, logits: list[Tensor]) -> Outputs:
        """Name the logits (heads, R, b) of each network by their heads."""
        named = {
            head: values[number]
            for network, values in zip(self.networks, logits, strict=True)
            for number, head in enumerate(network.heads)
        }
        signals = [named.pop(head) for head in list(named) if head.startswith("signal:")]
        return Outputs(**named, signals=torch.stack(signals, -2) if signals else None)

    def _keep(self, blocks: Tensor, optimiser: torch.optim.Optimizer) -> None:
        """Drop the blocks in which every replicate has stopped."""
        members = blocks.repeat_interleave(len(self.log.feedback) // len(blocks))
        self.log = self.log.keep(members)
        if self.oracle_labels is not None:
            self.oracle_labels = self.oracle_labels[members]
        self.state = {key: value[members] for key, value in self.state.items()}
        kept = blocks.nonzero().flatten().tolist()
        for network in self.networks.values():
            old = [network.blocks[block].vector for block in kept]
            network.keep(kept)
            for before, block in zip(old, network.blocks, strict=True):
                optimiser.state[block.vector] = optimiser.state.pop(before)
        optimiser.param_groups[0]["params"] = self._parameters()

    def _parameters(self) -> list[Tensor]:
        networks = self.networks.values()
        return [block.vector for network in networks for block in network.blocks]

    def _optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            self._parameters(),
            lr=self.estimator.lr,
            weight_decay=self.estimator.weight_decay,
            fused=True,
        )

    def _init_seeds(self, heads: str) -> list[np.random.Generator]:
        return [stream(self.estimator.seed, "init", heads, number) for number in self.numbers]


def split_by_prompt(groups: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows held out, by whole prompts (theory, section 5).

    Returns
    -------
    train, held_out : ndarray of int64
        Never empty; both are all rows where the share is 0.
    """
    if share == 0:
        return np.arange(len(groups)), np.arange(len(groups))
    names, code = np.unique(groups, return_inverse=True)
    if len(names) < 2:  # a single prompt: nothing to keep whole
        code, names = np.arange(len(groups)), groups
    if len(code) < 2:
        raise BadInput("a log of one row cannot be split: at least 2 sample(s) are needed.")
    rank = np.random.default_rng(seed).permutation(len(names))
    n_held = min(len(names) - 1, max(1, round(share * len(names))))
    held = rank[code] < n_held
    return np.flatnonzero(~held), np.flatnonzero(held)
