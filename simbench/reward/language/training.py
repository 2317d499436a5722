"""Trains an encoder with an estimator's own objective, on accelerate.

The objective is the same :meth:`simbench.training.contract.Trainable.objective` that trains stacked heads: it
gets logits and a batch of the log, wherever the logits come from. Dropout is off, as is usual for reward
models, so that a step is a function of its batch: a resumed run equals an uninterrupted one, and a batch may
pass through the encoder in parts without changing its gradient.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from simbench._compat import forget_accelerator
from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.reward.language.checkpoint import Checkpoints
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.reward_networks import RewardNetworks
from simbench.reward.language.settings import Settings
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt
from simbench.training.device_log import DeviceLog
from simbench.training.samples import Outputs
from simbench.training.trainer import Objective

if TYPE_CHECKING:
    from accelerate import Accelerator


class TrainingObserver(Protocol):
    """Is told how a training goes, to show its progress."""

    def begin(self, total: int, done: int) -> None:
        """Take the number of steps, and how many an earlier run has done; called once."""
        ...

    def step(self, number: int, loss: float, tokens: int) -> None:
        """Take the number of steps done, the loss of the last one, and the tokens in it."""
        ...

    def evaluated(self, number: int, held_out_loss: float, is_best: bool) -> None:
        """Take the held-out loss after a step, and whether it is the best so far."""
        ...


class Silent:
    """A :class:`TrainingObserver` that shows nothing."""

    def begin(self, total: int, done: int) -> None:
        """Do nothing."""

    def step(self, number: int, loss: float, tokens: int) -> None:
        """Do nothing."""

    def evaluated(self, number: int, held_out_loss: float, is_best: bool) -> None:
        """Do nothing."""


@dataclass
class Standing:
    """The state of a run, but for its weights.

    Parameters
    ----------
    step : int
        Number of steps done.
    best_loss : float
        Smallest held-out loss so far.
    best_step : int
        Step after which it was measured; 0 until an evaluation was finite.
    waited : int
        Number of evaluations since the best one.
    history : list of (int, float)
        Step and held-out loss of every evaluation.
    """

    step: int = 0
    best_loss: float = float("inf")
    best_step: int = 0
    waited: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)


class EncoderTrainer:
    """Trains the networks of one estimator on one log of texts.

    Parameters
    ----------
    estimator : Estimator
        Its objective, selection loss, seed and validation share are used. Its other hyper-parameters are
        those of small networks and are not read, but for ``hidden``.
    log : FeedbackLog
        A log of one replicate; its features are not read.
    ids : list of list of int
        Token ids of every response.
    networks : RewardNetworks
    encoder : TextEncoder
        Pads the batches.
    settings : Settings
    rates : tuple of float
        Peak learning rate of the encoder, and of the heads.
    checkpoints : Checkpoints
    progress : TrainingObserver
    """

    def __init__(
        self,
        estimator: Estimator,
        log: FeedbackLog,
        ids: list[list[int]],
        networks: RewardNetworks,
        encoder: TextEncoder,
        settings: Settings,
        rates: tuple[float, float],
        checkpoints: Checkpoints,
        progress: TrainingObserver,
    ):
        self.estimator, self.settings, self.encoder = estimator, settings, encoder
        self.checkpoints, self.progress, self.rates = checkpoints, progress, rates
        self.accelerator = _accelerator(settings)
        self.device = self.accelerator.device
        self.log = DeviceLog(log, np.zeros(1, dtype=np.int64), self.device)
        self.context = None if log.context is None else self.log.tensor(np.asarray(log.context))
        self.ids, self.lengths = ids, np.array([len(row) for row in ids])
        train, held_out = split_by_prompt(
            log.groups, estimator.validation_share, seed_of(estimator.seed, "split")
        )
        self.train_rows, self.held_out = train, held_out
        self.networks: Any = self.accelerator.prepare(networks.eval())  # eval: dropout off
        self.learned = {name: p for name, p in networks.named_parameters() if p.requires_grad}
        self.head_names = networks.head_names()
        self.optimiser = self._optimiser()
        self.state: dict[str, Tensor] = {}
        self.standing = Standing()
        self.steps_an_epoch = -(-len(train) // settings.batch_size)
        self.initial_steps = settings.initial_epochs * self.steps_an_epoch if estimator.initial_epochs else 0
        self.total = self.initial_steps + settings.epochs * self.steps_an_epoch
        self.evaluated_at = self._evaluated_at()

    def run(self) -> Standing:
        """Train to the end, from the last checkpoint if there is one, and load the best weights.

        Raises
        ------
        BadInput
            If a loss is not finite, or the checkpoint belongs to another run.
        """
        self._resume()
        self.progress.begin(self.total, self.standing.step)
        while self.standing.step < self.total and self.standing.waited < self.settings.patience:
            number = self.standing.step
            if number == self.initial_steps:
                self._begin_objective()
            loss, tokens = self._step(number)
            self.standing.step = number + 1
            self.progress.step(number + 1, loss, tokens)
            every = self.settings.checkpoint_steps
            if number + 1 in self.evaluated_at:
                self._evaluate()
                self._save()
            elif every and (number + 1) % every == 0:
                self._save()
        if self.standing.best_step == 0:
            self.checkpoints.abandon()
            raise BadInput("no held-out loss was finite: lower --learning-rate.")
        self._put(self.checkpoints.read_best())
        return self.standing

    def predict(self, rows: np.ndarray) -> Outputs:
        """The outputs on some rows of the log, in their order, shape (1, len(rows)); without a gradient."""
        order = rows[np.argsort(self.lengths[rows], kind="stable")]
        size = 2 * (self.settings.micro_batch_size or self.settings.batch_size)
        with torch.no_grad():
            whole = _joined([self._forward(part) for part in _chunks(order, size)])
        place = torch.as_tensor(np.argsort(np.argsort(self.lengths[rows], kind="stable")), device=self.device)
        return Outputs(**{name: value[..., place] for name, value in _logits(whole).items()})

    def calibration(self) -> Tensor | None:
        """The constant that the estimator's link needs, if any, from held-out feedback; shape (1, 1)."""
        batch = self.log.batch(self._tensor(self.held_out), {})
        return self.estimator.calibration(self.predict(self.held_out), batch)

    # -- a step -----------------------------------------------------------------------------

    def _step(self, number: int) -> tuple[float, int]:
        is_initial = number < self.initial_steps
        objective = self.estimator.initial_objective if is_initial else self.estimator.objective
        for group, peak in zip(self.optimiser.param_groups, self._peaks(), strict=True):
            group["lr"] = peak * self.settings.share_of_rate(number, self.total)
        rows = self._rows_of_step(number)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._backward(rows, objective)
        if not np.isfinite(loss):
            raise BadInput(f"the loss of step {number + 1} is not finite: lower --learning-rate.")
        if self.settings.clip > 0:
            self.accelerator.clip_grad_norm_(list(self.learned.values()), self.settings.clip)
        self.optimiser.step()
        return loss, int(self.lengths[rows].sum())

    def _backward(self, rows: np.ndarray, objective: Objective) -> float:
        """Compute the gradient of the objective on a batch; returns the value of the objective.

        If the batch is passed in parts, the encoder runs twice: once for the logits, at which the objective
        of the *whole* batch is differentiated, and once to carry that gradient on (GradCache: Gao et al.,
        2021). So objectives that are no sum over samples keep their meaning, and no estimator has to say
        which kind it is.
        """
        batch = self.log.batch(self._tensor(rows), self.state)
        parts = _chunks(rows, self.settings.micro_batch_size or len(rows))
        if len(parts) == 1:
            value = objective(self._forward(rows), batch).sum()
            self.accelerator.backward(value)
            return float(value.detach())
        with torch.no_grad():
            whole = _logits(_joined([self._forward(part) for part in parts]))
        leaves = {name: logit.requires_grad_() for name, logit in whole.items()}
        value = objective(Outputs(**leaves), batch).sum()
        found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        gradients = {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
        start = 0
        for part in parts:
            logits = _logits(self._forward(part))
            here = slice(start, start + len(part))
            carried = [(logits[name] * gradient[..., here]).sum() for name, gradient in gradients.items()]
            self.accelerator.backward(torch.stack(carried).sum())
            start += len(part)
        return float(value.detach())

    def _forward(self, rows: np.ndarray) -> Outputs:
        context = None if self.context is None else self.context[self._tensor(rows)]
        return self.networks(self.encoder.pad([self.ids[row] for row in rows]), context)

    def _rows_of_step(self, number: int) -> np.ndarray:
        """The rows of a step, which its number decides, sorted by length so that parts are padded little."""
        epoch, place = divmod(number, self.steps_an_epoch)
        order = np.random.default_rng(seed_of(self.estimator.seed, "order", epoch)).permutation(
            self.train_rows
        )
        rows = order[place * self.settings.batch_size : (place + 1) * self.settings.batch_size]
        return rows[np.argsort(self.lengths[rows], kind="stable")]

    def _optimiser(self) -> torch.optim.AdamW:
        """A new AdamW on the encoder's matrices and vectors, then on those of the heads."""
        groups = [
            {"params": [p for name, p in self.learned.items() if belongs(name) and (p.dim() > 1) == decays]}
            | {"weight_decay": self.settings.weight_decay if decays else 0.0}
            for belongs in (lambda name: name not in self.head_names, lambda name: name in self.head_names)
            for decays in (True, False)
        ]
        return torch.optim.AdamW(groups, lr=0.0)

    def _peaks(self) -> Iterator[float]:
        for rate in self.rates:
            yield from (rate, rate)

    # -- evaluation -------------------------------------------------------------------------

    def _evaluated_at(self) -> set[int]:
        """Steps after which the held-out loss is computed; once an epoch if the estimator has an E-step."""
        parts = 1 if self.estimator.has_epoch_state else min(self.settings.evaluations, self.steps_an_epoch)
        within = [round(part * self.steps_an_epoch / parts) for part in range(1, parts + 1)]
        epochs = range(self.settings.epochs)
        return {
            self.initial_steps + epoch * self.steps_an_epoch + step for epoch in epochs for step in within
        }

    def _evaluate(self) -> None:
        self._refresh_state()
        batch = self.log.batch(self._tensor(self.held_out), self.state)
        with torch.no_grad():
            loss = float(self.estimator.selection_loss(self.predict(self.held_out), batch).sum())
        standing = self.standing
        is_best = bool(loss < standing.best_loss)  # NaN never is
        standing.waited = 0 if is_best else standing.waited + 1
        if is_best:
            standing.best_loss, standing.best_step = loss, standing.step
            self.checkpoints.write_best(standing.step, self.learned)
        standing.history.append((standing.step, loss))
        self.progress.evaluated(standing.step, loss, is_best)

    def _begin_objective(self) -> None:
        """Begin the objective after the initial epochs, with a new optimiser and a first E-step."""
        self.optimiser = self._optimiser()
        self._refresh_state()

    def _refresh_state(self) -> None:
        if self.estimator.has_epoch_state:
            rows = np.arange(len(self.ids))
            with torch.no_grad():
                batch = self.log.batch(self._tensor(rows), {})
                self.state = self.estimator.epoch_state(self.predict(rows), batch)

    # -- checkpoints ------------------------------------------------------------------------

    def _save(self) -> None:
        tensors = {f"weight.{name}": value for name, value in self.learned.items()}
        tensors |= {f"state.{key}": value for key, value in self.state.items()}
        for name, parameter in self.learned.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{key}.{name}"] = value
        self.checkpoints.write(self.standing.step, tensors, vars(self.standing))

    def _resume(self) -> None:
        found = self.checkpoints.read()
        if found is None:
            return
        _, tensors, facts = found
        self.standing = Standing(**{**facts, "history": [tuple(pair) for pair in facts["history"]]})
        self._put({key.removeprefix("weight."): v for key, v in tensors.items() if key.startswith("weight.")})
        for key, value in tensors.items():
            kind, _, rest = key.partition(".")
            if kind == "state":
                self.state[rest] = value.to(self.device)
            elif kind == "optimiser":
                moment, _, name = rest.partition(".")
                own = value if moment == "step" else value.to(self.device)
                self.optimiser.state[self.learned[name]][moment] = own

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in weights.items():
                self.learned[name].copy_(value)

    def _tensor(self, rows: np.ndarray) -> Tensor:
        return torch.as_tensor(rows, dtype=torch.int64, device=self.device)


def _accelerator(settings: Settings) -> "Accelerator":
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise BadInput("fine-tuning needs accelerate: pip install 'simbench-rm[llm]'.") from error
    forget_accelerator()
    on_cpu = torch.device(settings.device).type == "cpu"
    accelerator = Accelerator(mixed_precision=settings.mixed_precision, cpu=on_cpu)
    if accelerator.num_processes > 1:
        raise BadInput("fine-tuning runs in one process: start it without accelerate launch or torchrun.")
    return accelerator


def _logits(out: Outputs) -> dict[str, Tensor]:
    """The logits of the heads that an estimator has, by the field of :class:`Outputs`."""
    named = {each.name: getattr(out, each.name) for each in fields(out)}
    return {name: value for name, value in named.items() if value is not None}


def _joined(parts: Sequence[Outputs]) -> Outputs:
    each = [_logits(part) for part in parts]
    return Outputs(**{name: torch.cat([logits[name] for logits in each], -1) for name in each[0]})


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
