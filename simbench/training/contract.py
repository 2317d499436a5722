"""The contract of an estimator: a loss, the networks that it reads, and what it must be told."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.files.matrix import Matrix
from simbench.log.feedback import FeedbackLog
from simbench.training.losses import cross_entropy
from simbench.training.parameters import Parameters
from simbench.training.samples import Batch, Outputs

MEMORY_BUDGET = 2 << 30  # bytes for parameters, optimiser state, activations and feedback of a chunk


@dataclass(frozen=True)
class Network:
    """One network of an estimator: what it reads, and which heads it has on one trunk.

    Parameters
    ----------
    heads : tuple of {"reward", "propensity", "imputation", "signal:0", "signal:1", ...}
        One logit each; several heads share all hidden layers. "signal:k" is the propensity of signal k.
    inputs : {"features", "context"}
        "context" falls back to the features where the log has no context.
    """

    heads: tuple[str, ...] = ("reward",)
    inputs: Literal["features", "context"] = "features"


class FittedReplicates(Protocol):
    """R fitted rewards, one a replicate."""

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities ``γ̂``, shape (R, m), float64 in [0, 1]."""
        ...


class Trainable(Parameters):
    """What training needs of an estimator: its loss, its networks, its hyper-parameters.

    The same loss is trained (:mod:`simbench.training`) and integrated exactly (:mod:`simbench.score.risk`).
    Hyper-parameters are annotated attributes; a subclass adds its own in the same way, and changes a default
    by assigning it. Constructors take them by keyword.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers of each network; () is logistic regression.
    lr : float
        Adam's learning rate.
    batch_size : int
        Rows a step.
    epochs : int
        Largest number of passes over the log.
    patience : int
        A replicate stops after this many epochs without a better held-out selection loss.
    weight_decay : float
        Coupled L2 penalty.
    validation_share : float in [0, 1)
        Share of the prompts held out for early stopping; 0 trains on all and watches the training objective
        itself (no guard against overfitting: for parametric heads).
    seed : int
        Initial weights, batch order and the held-out split derive from it.
    device : str
        A torch device.

    Attributes
    ----------
    name, family, assumption, source : str
        What the catalogue prints: the name, the family, under what the risk is unbiased, and the publication.
    needs, optional : frozenset of str
        What it must be told, and what it uses if told, of: "truth", "propensity", "class prior", "labels",
        "misclick", "signals", "action rate", "always acts".
    networks : tuple of Network
    reads_pairs : bool
        For losses on two responses of one prompt: batches hold b first members, then their b partners (see
        :meth:`Batch.halves`).
    has_epoch_state : bool
        Whether :meth:`epoch_state` is computed before every epoch.
    initial_epochs : int
        Passes over :meth:`initial_objective` before training.
    mixup : float or None
        Concentration of the Beta distribution by which every training batch is mixed as well (see
        :mod:`simbench.training.samples`).
    reads_representation : bool
        Whether the loss reads the reward network's last hidden layer.
    workspace : int
        Number of float32 values that the loss takes for itself in each replicate, where that is not small
        beside the activations.
    sums_over_samples : bool
        False for a risk that is no mean of per-sample losses.
    ranks_only : bool
        Whether predictions carry an order but no probability.
    link_formula : str
        :meth:`link` in NumPy's words, of the logit ``s`` and the calibration ``c``, for the cards of models
        that leave simbench.
    """

    name: ClassVar[str] = ""
    family: ClassVar[str] = "pointwise"
    needs: ClassVar[frozenset[str]] = frozenset()
    optional: ClassVar[frozenset[str]] = frozenset()
    assumption: ClassVar[str] = ""
    source: ClassVar[str] = ""
    networks: ClassVar[tuple[Network, ...]] = (Network(),)
    reads_pairs: ClassVar[bool] = False
    has_epoch_state: ClassVar[bool] = False
    initial_epochs: ClassVar[int] = 0
    mixup: ClassVar[float | None] = None
    reads_representation: ClassVar[bool] = False
    workspace: ClassVar[int] = 0
    sums_over_samples: ClassVar[bool] = True
    ranks_only: ClassVar[bool] = False
    link_formula: ClassVar[str] = "sigmoid(s)"

    hidden: tuple[int, ...] = (32, 16)
    lr: float = 3e-3
    batch_size: int = 512
    epochs: int = 100
    patience: int = 8
    weight_decay: float = 1e-4
    validation_share: float = 0.2
    seed: int = 0
    device: str = "cpu"

    # -- the loss ---------------------------------------------------------------------------

    def ideal_loss(self, reward_logit: Tensor, target: Tensor) -> Tensor:
        """``t ℓ(h, 1) + (1 - t) ℓ(h, 0)`` of the loss whose ideal risk it aims at, one value a sample."""
        return cross_entropy(reward_logit, target)

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        """Per-sample estimate ``ℓ̂(h; r, what it knows)`` of the ideal loss, shape (..., b)."""
        raise NotImplementedError(f"{type(self).__name__} must define reward_loss.")

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor | float:
        """Per-sample loss of the other networks, shape (..., b); not part of the reward's risk."""
        return 0.0

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        """Estimate of the ideal risk from a batch, shape (...,); where it is not the mean loss, say so
        with ``sums_over_samples = False``."""
        return self.reward_loss(out, batch).mean(-1)

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        """What a training step minimises, shape (...,): the mean loss unless it is no sum."""
        return (self.loss_of_samples(out, batch) + self.auxiliary_loss(out, batch)).mean(-1)

    def initial_objective(self, out: Outputs, batch: Batch) -> Tensor:
        """What the ``initial_epochs`` before training minimise, shape (...,): where the source says from
        which fit its networks start."""
        return self.objective(out, batch)

    def selection_loss(self, out: Outputs, batch: Batch) -> Tensor:
        """Held-out criterion of early stopping, shape (...,). Sees feedback only, never the truth."""
        return self.objective(out, batch)

    def epoch_state(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Quantities frozen for one epoch (an E-step), each of shape (..., n)."""
        return {}

    def initial_shift(self, head: str, restart: int) -> float:
        """Added to the logit of a head before training, so that restarts begin apart."""
        return 0.0

    def calibration(self, out: Outputs, batch: Batch) -> Tensor | None:
        """What :meth:`link` needs besides the logit, of shape (R, 1), from the held-out feedback."""
        return None

    def link(self, reward_logit: Tensor, calibration: Tensor | None = None) -> Tensor:
        """Reward probability of a logit (R, m); overridden where prediction is not ``σ``."""
        return torch.sigmoid(reward_logit)

    def networks_for(self, log: FeedbackLog) -> tuple[Network, ...]:
        """Its networks on this log: those declared, unless their number depends on the log's signals."""
        return self.networks

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        """Estimate from the log what may be estimated (a class prior), before training."""
        return log

    def loss_of_samples(self, out: Outputs, batch: Batch) -> Tensor:
        """:meth:`reward_loss`, held against the contract: a value a sample, or a pair.

        Raises
        ------
        BadInput
            If it was averaged too early.
        """
        loss, rows = self.reward_loss(out, batch), out.reward.shape
        pairs = (*rows[:-1], rows[-1] // 2)
        if not self.sums_over_samples or loss.shape == rows or (self.reads_pairs and loss.shape == pairs):
            return loss
        raise BadInput(
            f"reward_loss of {self.name or type(self).__name__} returns shape {tuple(loss.shape)} for a "
            f"batch of shape {tuple(rows)}: return one value a sample, and leave the mean to the bench."
        )

    @classmethod
    def heads(cls) -> set[str]:
        """Names of all heads of all networks."""
        return {head for network in cls.networks for head in network.heads}

    def require(self, log: FeedbackLog) -> None:
        """Raise :class:`BadInput` if the log lacks something that the estimator must be told."""
        for need in sorted(self.needs & {"propensity", "class prior", "misclick", "signals"}):
            if getattr(log, need.replace(" ", "_")) is None:
                raise BadInput(f"{self.name} must be told the {need}, and the log does not hold it.")
