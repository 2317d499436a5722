"""The training of one chunk of replicates: its steps, and early stopping of each replicate."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.files.matrix import IN_MEMORY
from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of, stream
from simbench.training.batches import in_order, pool_rows
from simbench.training.contract import MEMORY_BUDGET, Network, Trainable
from simbench.training.device_log import DeviceLog
from simbench.training.feeding import Feed, Feeder
from simbench.training.holdout import Holdout
from simbench.training.inputs import inputs_of
from simbench.training.network import StackedMLP, block_width, repacked
from simbench.training.order import Order
from simbench.training.precision import Precision, product_dtype
from simbench.training.samples import Batch, Outputs, with_mixed_rows
from simbench.training.stacked_model import ROWS, StackedModel
from simbench.training.steps import Recorder, Steps, recorded_on_cuda

Objective = Callable[[Outputs, Batch], Tensor]
RESTART = 1 << 32  # replicate i of restart s is numbered s * RESTART + i


@dataclass(frozen=True)
class Execution:
    """Layout, precision and memory of a training's arithmetic.

    Parameters
    ----------
    wide : bool
        Whether all replicates are in one block, with one product per layer, which suits a GPU; rounding then
        depends on how many replicates there are. Otherwise they are in blocks that fit a processor's cache.
    record : Recorder, optional
        Records a step that is then replayed, see :mod:`simbench.training.steps`.
    precision : {"fp32", "tf32", "bf16"}
        Precision of matrix products, see :mod:`simbench.training.precision`.
    memory_budget : int, bytes
        Memory for the replicates that train at once; it changes no result on a CPU.
    pool : int, bytes
        Size of the float32 features from which batches are drawn at a time, see
        :mod:`simbench.training.batches`; it affects the order of batches if a log is larger.
    """

    wide: bool = False
    record: Recorder | None = None
    precision: Precision = "fp32"
    memory_budget: int = MEMORY_BUDGET
    pool: int = IN_MEMORY

    @classmethod
    def on(
        cls, device: str, precision: Precision = "fp32", memory_budget: int = MEMORY_BUDGET
    ) -> "Execution":
        """The execution that suits the device: one wide block and recorded steps on a GPU."""
        on_gpu = torch.device(device).type == "cuda"
        return cls(on_gpu, recorded_on_cuda if on_gpu else None, precision, memory_budget)


class Trainer:
    """One stacked training of a chunk of replicates, padded to whole blocks with copies of the last.

    Parameters
    ----------
    estimator : Estimator
    log : FeedbackLog
        The log, as the estimator prepared it.
    numbers : list of int, length R
        Replicate numbers, from which initial weights derive.
    order_axes : tuple of int
        Further seeds of the held-out split and the batch order; () if all replicates share them.
    holdout : Holdout
    execution : Execution
    """

    def __init__(
        self,
        estimator: Trainable,
        log: FeedbackLog,
        numbers: list[int],
        order_axes: tuple[int, ...],
        holdout: Holdout,
        execution: Execution,
    ):
        self.estimator, self.device = estimator, torch.device(estimator.device)
        self.execution, self.n_replicates = execution, len(numbers)
        self.width = len(numbers) if execution.wide else block_width(estimator.hidden)
        padding = -len(numbers) % self.width
        self.numbers = numbers + [numbers[-1]] * padding
        rows = np.r_[np.arange(len(numbers)), np.repeat(len(numbers) - 1, padding)]
        self.log = self.whole_log = DeviceLog(log, rows, self.device, estimator.reads_pages)
        self.order_axes = order_axes
        self.pool = pool_rows(log.features.shape[1], estimator.batch_size, execution.pool)
        self.order = Order(estimator, log, holdout, order_axes, self.pool)
        self.held_out = self.order.held_out
        clean = holdout.oracle_labels
        self.oracle_labels = None if clean is None else self.log.tensor(clean[rows][:, self.held_out])
        inputs = {network: inputs_of(network, log) for network in estimator.networks_for(log)}
        dtype = product_dtype(execution.precision, self.device)
        self.feeder = Feeder(inputs, self.device, dtype, execution.pool)
        self.networks = {
            network: StackedMLP(
                matrix.shape[1],
                estimator.hidden if network.hidden is None else network.hidden,
                self._init_seeds("+".join(network.heads)),
                self.device,
                len(network.heads),
                self.width,
                dtype,
            )
            for network, matrix in inputs.items()
        }
        for network, stacked in self.networks.items():
            stacked.shift_outputs(self._initial_shifts(network))
            stacked.parameters_changed()
        self.state: dict[str, Tensor] = {}
        # a stream of its own, so that mixing changes no other estimator's batches
        self.mixing_order = stream(estimator.seed, "mixing", *order_axes)
        self.mixing = None if estimator.mixup is None else torch.empty(log.n_rows, device=self.device)

    def _initial_shifts(self, network: Network) -> np.ndarray:
        restarts = [number // RESTART for number in self.numbers]
        shift = self.estimator.initial_shift
        return np.array([[shift(head, restart) for restart in restarts] for head in network.heads])

    def _init_seeds(self, heads: str) -> list[np.random.Generator]:
        return [stream(self.estimator.seed, "init", heads, number) for number in self.numbers]

    # -- epochs and early stopping ------------------------------------------------------------

    def run(self) -> StackedModel:
        """Train until every replicate has stopped, and return the networks of each replicate's best epoch."""
        order = np.random.default_rng(seed_of(self.estimator.seed, "order", *self.order_axes))
        self._initialise(order)
        best = {key: network.copy() for key, network in self.networks.items()}
        count = len(self.numbers)
        training = np.arange(count)  # replicates whose networks still take part in the steps
        best_loss, waited, epochs = np.full(count, np.inf), np.zeros(count, int), np.zeros(count, int)
        optimiser = self._optimiser()
        steps = self._steps(optimiser, self.estimator.objective)
        for epoch in range(self.estimator.epochs):
            self._epoch(steps, order)
            # the only time in an epoch that the device is waited for
            loss = self._held_out_loss().cpu().numpy()
            open_ = waited[training] < self.estimator.patience
            improved = open_ & (loss < best_loss[training])
            best_loss[training] = np.where(improved, loss, best_loss[training])
            epochs[training] = np.where(improved, epoch + 1, epochs[training])
            waited[training] = np.where(improved, 0, waited[training] + open_)
            if improved.any():
                for key, network in self.networks.items():
                    best[key].take(network, torch.from_numpy(training), torch.from_numpy(improved))
            kept = self._worth_keeping(waited[training] < self.estimator.patience)
            if not kept.any():
                break
            if not kept.all():
                self._keep(kept, optimiser)
                training = training[kept]
                steps = self._steps(optimiser, self.estimator.objective)
        return self._model(best, epochs, best_loss)

    def _worth_keeping(self, open_: np.ndarray) -> np.ndarray:
        """Which replicates the next epoch trains: whole blocks; or, in one wide block, all of them until at
        most half are still open, and then the open ones."""
        if not self.execution.wide:
            return np.repeat(open_.reshape(-1, self.width).any(1), self.width)
        return open_ if 2 * open_.sum() <= len(open_) else np.ones_like(open_)

    def _model(self, best: dict[Network, StackedMLP], epochs: np.ndarray, loss: np.ndarray) -> StackedModel:
        self.networks, self.log, count = best, self.whole_log, self.n_replicates
        with torch.no_grad():
            held_out = self.log.batch(self.log.tensor(self.held_out), {})
            calibration = self.estimator.calibration(self._predict(self.held_out), held_out)
        if calibration is not None:
            calibration = calibration[:count].double()
        link, precision = self.estimator.link, self.execution.precision
        return StackedModel(best, link, calibration, count, epochs[:count], loss[:count], precision)

    def _initialise(self, order: np.random.Generator) -> None:
        """Run the estimator's initial epochs, with an optimiser of their own and without early stopping."""
        steps = self._steps(self._optimiser(), self.estimator.initial_objective)
        for _ in range(self.estimator.initial_epochs):
            self._epoch(steps, order)
        self._refresh_state()

    # -- steps --------------------------------------------------------------------------------

    def _epoch(self, steps: Steps, order: np.random.Generator) -> None:
        """Train one epoch. Nothing here waits for the device: rows and features are sent ahead of the steps,
        and nothing is read back."""
        concentration = self.estimator.mixup
        if self.mixing is not None and concentration is not None:
            # in the same memory, from which a recorded step reads
            share = self.mixing_order.beta(concentration, concentration, len(self.mixing))
            self.mixing.copy_(self.log.tensor(share))
        for feed in self.feeder.pools(self.order.epoch(order)):
            steps.run(feed)

    def _steps(self, optimiser: torch.optim.Optimizer, objective: Objective) -> Steps:
        record = self.execution.record if self.feeder.is_resident else None
        return Steps(lambda rows, inputs: self._step(rows, inputs, optimiser, objective), record)

    def _step(
        self,
        rows: Tensor,
        inputs: dict[Network, Tensor],
        optimiser: torch.optim.Optimizer,
        objective: Objective,
    ) -> None:
        batch = self.log.batch(rows, self.state)
        if self.mixing is not None:
            share = self.mixing[rows]
            batch = replace(batch, mixing=share)
            inputs = {key: with_mixed_rows(x, share) for key, x in inputs.items()}
        logits = {
            key: net.forward(inputs[key], keep=True).requires_grad_() for key, net in self.networks.items()
        }
        hidden = self._representation()
        out = self._training_outputs(list(logits.values()), hidden, len(rows))
        # Autograd ends at what the loss reads; the networks' own backward pass goes on from there.
        leaves = [*logits.values(), *hidden.values()]
        risk = objective(out, batch)
        if risk.shape != out.reward.shape[:-1]:
            raise BadInput(
                f"the objective of {self.estimator.name} has shape {tuple(risk.shape)} for {len(out.reward)} "
                "replicates: return one value per replicate, the mean over the last axis."
            )
        gradients = torch.autograd.grad(risk.sum(), leaves)
        of_logits = dict(zip(logits, gradients[: len(logits)], strict=True))
        of_hidden = dict(zip(hidden, gradients[len(logits) :], strict=True))
        for key, network in self.networks.items():
            network.backward(of_logits[key], of_hidden.get(key))
        optimiser.step()
        for network in self.networks.values():
            network.parameters_changed()

    def _representation(self) -> dict[Network, Tensor]:
        """The reward network's last hidden layer, if there is one and the loss reads it."""
        if not self.estimator.reads_representation:
            return {}
        found = {key: net.representation() for key, net in self.networks.items() if "reward" in key.heads}
        return {key: values.requires_grad_() for key, values in found.items() if values is not None}

    def _training_outputs(self, logits: list[Tensor], hidden: dict[Network, Tensor], n: int) -> Outputs:
        """Outputs of the batch's ``n`` rows, and of its mixed rows, whose logits follow, if there are any."""
        out = self._outputs([values[..., :n] for values in logits])
        representation = next((values[..., :n] for values in hidden.values()), None)
        mixed = (
            self._outputs([values[..., n:] for values in logits]).reward if self.mixing is not None else None
        )
        return replace(out, mixed=mixed, representation=representation)

    def _optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            [{"params": own, "lr": self.estimator.lr * rate} for rate, own in self._parameters().items()],
            lr=self.estimator.lr,
            weight_decay=self.estimator.weight_decay,
            fused=True,
            capturable=self.device.type == "cuda",
        )

    def _parameters(self) -> dict[float, list[Tensor]]:
        """The parameters of all networks, by their multiple of the learning rate."""
        found: dict[float, list[Tensor]] = {}
        for key, network in self.networks.items():
            found.setdefault(key.rate, []).extend(block.vector for block in network.blocks)
        return found

    def _keep(self, kept: np.ndarray, optimiser: torch.optim.Optimizer) -> None:
        """Drop the replicates that are not kept, with their feedback and the optimiser's state."""
        members = torch.from_numpy(kept).to(self.device)
        self.log = self.log.keep(members)
        if self.oracle_labels is not None:
            self.oracle_labels = self.oracle_labels[members]
        self.state = {key: value[members] for key, value in self.state.items()}
        for network in self.networks.values():
            if self.execution.wide:
                _keep_in_one_block(network, members.nonzero().flatten(), optimiser)
                continue
            blocks = np.flatnonzero(kept[:: self.width]).tolist()
            old = [network.blocks[block].vector for block in blocks]
            network.keep(blocks)
            for before, block in zip(old, network.blocks, strict=True):
                optimiser.state[block.vector] = optimiser.state.pop(before)
        self.width = len(self.log.feedback) if self.execution.wide else self.width
        for group, own in zip(optimiser.param_groups, self._parameters().values(), strict=True):
            group["params"] = own

    # -- passes without a gradient --------------------------------------------------------------

    def _held_out_loss(self) -> Tensor:
        self._refresh_state()
        batch = self.log.batch(self.log.tensor(self.held_out), self.state)
        with torch.no_grad():
            out = self._predict(self.held_out)
            if self.oracle_labels is None:
                loss = self.estimator.selection_loss(out, batch).double()
            else:
                loss = oracle_loss(self.estimator, out, batch, self.oracle_labels)
        # A replicate that diverged never counts as better.
        return torch.where(torch.isfinite(loss), loss, torch.inf)

    def _refresh_state(self) -> None:
        if not self.estimator.has_epoch_state:
            return
        rows = np.arange(self.log.feedback.shape[1])
        with torch.no_grad():
            state = self.estimator.epoch_state(self._predict(rows), self.log.batch(self.log.tensor(rows), {}))
        for key, value in state.items():
            # in the same memory, from which a recorded step reads
            self.state[key] = self.state[key].copy_(value) if key in self.state else value.clone()

    def _predict(self, rows: np.ndarray) -> Outputs:
        """Outputs on these rows, without a gradient."""
        parts: dict[Network, list[Tensor]] = {key: [] for key in self.networks}
        feed: Feed[Network]
        for feed in self.feeder.pools(in_order(rows, max(self.estimator.batch_size, ROWS), self.pool)):
            for _, inputs in feed:
                for key, network in self.networks.items():
                    parts[key].append(network.forward(inputs[key]))
        return self._outputs([torch.cat(logits, dim=2) for logits in parts.values()])

    def _outputs(self, logits: list[Tensor]) -> Outputs:
        """Name the logits (heads, R, b) of each network by their heads."""
        named = {
            head: values[number]
            for network, values in zip(self.networks, logits, strict=True)
            for number, head in enumerate(network.heads)
        }
        several = {
            field: [named.pop(head) for head in list(named) if head.startswith(prefix)]
            for field, prefix in (("signals", "signal:"), ("parameters", "parameter:"))
        }
        stacked = {field: torch.stack(logits, -2) for field, logits in several.items() if logits}
        return Outputs(**named, **stacked)


def _keep_in_one_block(network: StackedMLP, replicates: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """Keep these replicates of a wide block, and the optimiser's state for them."""
    (block,) = network.blocks
    state = optimiser.state.pop(block.vector)
    for name in ("exp_avg", "exp_avg_sq"):
        flat = state[name][None]
        state[name] = repacked(flat, network.sizes, network.width, replicates, len(replicates))[0]
    network.keep_replicates(replicates)
    optimiser.state[network.blocks[0].vector] = state


def oracle_loss(estimator: Trainable, out: Outputs, batch: Batch, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the *reported* reward against clean labels, shape (R,).

    The reported reward is what ``link`` returns for a logit, even if the score is not a probability, as in
    the published evaluation.

    Parameters
    ----------
    estimator : Estimator
    out : Outputs
    batch : Batch
    labels : Tensor, shape (R, b), in {0, 1}
        Preference ``r*`` of every response.
    """
    calibration = estimator.calibration(out, batch)
    double = None if calibration is None else calibration.double()
    reward = estimator.link(out.reward.double(), double).clamp(1e-7, 1 - 1e-7)
    return batch.mean(-(labels * torch.log(reward) + (1 - labels) * torch.log1p(-reward)))
