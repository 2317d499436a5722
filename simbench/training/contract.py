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
from simbench.training.parameters import (
    Count,
    Device,
    NotNegative,
    Optimiser,
    Parameters,
    Positive,
    Seed,
    Share,
    Widths,
)
from simbench.training.samples import Batch, Outputs

KNOWLEDGE = (
    *("propensity", "labels", "always acts", "signals"),
    *("class prior", "misclick", "action rate"),
)
FIELD_OF = {"pages": "page", "attempts": "shown"}  # of a log, where it has another name than in `needs`
MEMORY_BUDGET = 2 << 30  # bytes for a chunk's parameters, optimiser state, activations and feedback


@dataclass(frozen=True)
class Network:
    """One network of an estimator: what it reads, and which heads share its hidden layers.

    Parameters
    ----------
    heads : tuple of {"reward", "propensity", "imputation", "signal:0", ..., "parameter:0", ...}
        Each head is one logit; all heads share all hidden layers. "signal:k" is the propensity of signal k,
        "parameter:k" a parameter of a click model.
    inputs : {"features", "context", "rank", "nothing"}
        "context" falls back to the features if the log has no context; "rank" is a column for each rank;
        a network that reads "nothing" has the same logits for every response.
    hidden : tuple of int, optional
        Widths of hidden layers of its own; by default the estimator's.
    rate : float
        Multiple of the estimator's learning rate: a few parameters that every response shares can be learned
        faster than a reward, and must be where the reward's early stopping ends their training.
    """

    heads: tuple[str, ...] = ("reward",)
    inputs: Literal["features", "context", "rank", "nothing"] = "features"
    hidden: tuple[int, ...] | None = None
    rate: float = 1.0


class FittedReplicates(Protocol):
    """What fitting returns: R fitted rewards, one per replicate."""

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities ``γ̂``, shape (R, m), float64 in [0, 1]."""
        ...


class Trainable(Parameters):
    """What training needs from an estimator: its loss, its networks and its hyper-parameters.

    The same loss is trained (:mod:`simbench.training`) and integrated exactly (:mod:`simbench.score.risk`).
    Hyper-parameters are annotated attributes; a subclass adds its own in the same way, and changes a default
    by assigning a new value. Constructors take them by keyword.

    Parameters
    ----------
    hidden : tuple of int, each at least 1
        Widths of the hidden layers of each network; () is logistic regression.
    lr : float above 0
        Adam's learning rate.
    batch_size : int, at least 1
        Rows per optimiser step.
    epochs : int, at least 1
        Largest number of passes over the log.
    patience : int, at least 1
        A replicate stops after this many epochs without a better held-out selection loss.
    weight_decay : float, at least 0
        Coupled L2 penalty.
    validation_share : float in [0, 1)
        Share of the prompts held out for early stopping; with 0 all rows are trained on, and early stopping
        watches the training objective itself (no guard against overfitting: for parametric heads).
    optimiser : {"adam", "lbfgs"}
        Adam in batches until held-out feedback stops it, or L-BFGS on all training rows until the optimum of
        the estimator's own empirical risk (with its penalty) is reached. With L-BFGS, ``epochs`` counts ten
        iterations as one, and ``lr``, ``batch_size`` and ``patience`` are not read.
    seed : int, at least 0
        Source of the initial weights, the batch order and the held-out split.
    device : str
        Name of a torch device, such as ``cpu`` or ``cuda``.

    Attributes
    ----------
    name, family, assumption, source : str
        What the catalogue prints: the name, the family, when the risk is unbiased, and the publication.
    needs, optional : frozenset of str
        What the estimator must be told, and what it uses if it is told, out of: "truth", "propensity",
        "class prior", "labels", "misclick", "signals", "action rate", "always acts", "pages" (which responses
        a user saw together, in which order), "attempts" (which of them were shown at all).
    also_reads : frozenset of str
        What it uses besides if a user's own log tells it; no study grants it.
    networks : tuple of Network
        The networks to train; by default one reward network.
    reads_pairs : bool
        Whether the loss compares two responses to one prompt: batches then hold b first members, followed by
        their b partners (see :meth:`Batch.halves`).
    reads_pages : bool
        Whether the loss reads whole pages: batches then hold them place by place (see :meth:`Batch.pages`),
        and there is no epoch state.
    has_epoch_state : bool
        Whether :meth:`epoch_state` is computed before every epoch.
    initial_epochs : int
        Number of epochs that minimise :meth:`initial_objective` before training.
    mixup : float or None
        Concentration of the Beta distribution from which mixing shares are drawn, if every training batch is
        also given mixed rows (see :mod:`simbench.training.samples`).
    reads_representation : bool
        Whether the loss reads the reward network's last hidden layer.
    workspace : int
        Number of float32 values per replicate that the loss itself allocates, if that is not small compared
        with the activations.
    sums_over_samples : bool
        Whether the risk is a mean of per-sample losses.
    weighs_rows : bool or None
        Whether rows may have weights, because every mean over rows is :meth:`Batch.mean`; None if that shows:
        they may where no method is overridden that computes such a mean.
    ranks_only : bool
        Whether predictions only order responses and are not probabilities.
    link_formula : str
        :meth:`link` as a NumPy expression in the logit ``s`` and the calibration ``c``, for the model cards
        of exported models.
    """

    name: ClassVar[str] = ""
    family: ClassVar[str] = "pointwise"
    needs: ClassVar[frozenset[str]] = frozenset()
    optional: ClassVar[frozenset[str]] = frozenset()
    also_reads: ClassVar[frozenset[str]] = frozenset()
    assumption: ClassVar[str] = ""
    source: ClassVar[str] = ""
    networks: ClassVar[tuple[Network, ...]] = (Network(),)
    reads_pairs: ClassVar[bool] = False
    reads_pages: ClassVar[bool] = False
    has_epoch_state: ClassVar[bool] = False
    initial_epochs: ClassVar[int] = 0
    mixup: ClassVar[float | None] = None
    reads_representation: ClassVar[bool] = False
    workspace: ClassVar[int] = 0
    sums_over_samples: ClassVar[bool] = True
    weighs_rows: ClassVar[bool | None] = None
    ranks_only: ClassVar[bool] = False
    link_formula: ClassVar[str] = "sigmoid(s)"

    hidden: Widths = (32, 16)
    lr: Positive = 3e-3
    batch_size: Count = 512
    epochs: Count = 100
    patience: Count = 8
    weight_decay: NotNegative = 1e-4
    validation_share: Share = 0.2
    optimiser: Optimiser = "adam"
    seed: Seed = 0
    device: Device = "cpu"

    # -- the loss ---------------------------------------------------------------------------
    #
    # A log may hold responses that were not shown (:attr:`Batch.shown`), of which it tells nothing. Losses of
    # samples need not care; whoever sums over a batch does it by ``batch.mean`` or ``batch.sum``.

    def ideal_loss(self, reward_logit: Tensor, target: Tensor) -> Tensor:
        """Ideal loss that the estimator aims at, ``t ℓ(h, 1) + (1 - t) ℓ(h, 0)``, one value per sample."""
        return cross_entropy(reward_logit, target)

    def reward_loss(self, out: Outputs, batch: Batch) -> Tensor:
        """Per-sample estimate of the ideal loss from the feedback and what is told, shape (..., b)."""
        raise NotImplementedError(f"{type(self).__name__} must define reward_loss.")

    def auxiliary_loss(self, out: Outputs, batch: Batch) -> Tensor | float:
        """Per-sample loss of the networks other than the reward's, shape (..., b); no part of the risk."""
        return 0.0

    def risk(self, out: Outputs, batch: Batch) -> Tensor:
        """Estimate of the ideal risk from a batch, shape (...,).

        A subclass whose risk is not the mean loss also sets ``sums_over_samples = False``, and averages by
        :meth:`Batch.mean`, which leaves out what was not shown.
        """
        return batch.mean(self.reward_loss(out, batch))

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        """What a training step minimises, shape (...,): by default the mean of both losses."""
        return batch.mean(self.loss_of_samples(out, batch) + self.auxiliary_loss(out, batch))

    def initial_objective(self, out: Outputs, batch: Batch) -> Tensor:
        """What the ``initial_epochs`` before training minimise, shape (...,).

        Override it if the estimator's publication starts its networks from another fit.
        """
        return self.objective(out, batch)

    def selection_loss(self, out: Outputs, batch: Batch) -> Tensor:
        """Held-out criterion of early stopping, shape (...,). It sees the feedback only, never the truth."""
        return self.objective(out, batch)

    def epoch_state(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Quantities that stay fixed for one epoch (an E-step), each of shape (..., n)."""
        return {}

    def initial_shift(self, head: str, restart: int) -> float:
        """Number added to a head's logit before training, so that restarts begin at different points."""
        return 0.0

    def calibration(self, out: Outputs, batch: Batch) -> Tensor | None:
        """What :meth:`link` needs besides the logit, computed from the held-out feedback; shape (R, 1)."""
        return None

    def link(self, reward_logit: Tensor, calibration: Tensor | None = None) -> Tensor:
        """Reward probabilities of logits, shape (R, m); override it if the prediction is not ``σ``."""
        return torch.sigmoid(reward_logit)

    def networks_for(self, log: FeedbackLog) -> tuple[Network, ...]:
        """The networks to train on this log: the declared ones, unless they depend on the log's signals."""
        return self.networks

    def prepare(self, log: FeedbackLog) -> FeedbackLog:
        """The log to train on; an override may add what it estimates from the log, such as a class prior."""
        return log

    def loss_of_samples(self, out: Outputs, batch: Batch) -> Tensor:
        """The result of :meth:`reward_loss`, after a check that it has one value per sample (or per pair).

        Raises
        ------
        BadInput
            If it has another shape, such as that of a loss that was already averaged.
        """
        loss, rows = self.reward_loss(out, batch), out.reward.shape
        pairs = (*rows[:-1], rows[-1] // 2)
        if not self.sums_over_samples or loss.shape == rows or (self.reads_pairs and loss.shape == pairs):
            return loss
        raise BadInput(
            f"reward_loss of {self.name or type(self).__name__} returns shape {tuple(loss.shape)} for a "
            f"batch of shape {tuple(rows)}: return one value per sample, and leave the mean to the bench."
        )

    def reads(self, log: FeedbackLog) -> frozenset[str]:
        """What it reads of this log besides features and feedback: names as in ``needs``, and "context"."""
        told = self.needs | self.optional | self.also_reads
        reads_context = any(network.inputs == "context" for network in self.networks_for(log))
        return told | {"context"} if reads_context else told

    @classmethod
    def heads(cls) -> set[str]:
        """Names of all heads of all networks."""
        return {head for network in cls.networks for head in network.heads}

    def require(self, log: FeedbackLog) -> None:
        """Check that the log holds everything that the estimator must be told.

        Raises
        ------
        BadInput
            If something is missing.
        """
        for need in sorted(self.needs - {"truth"}):
            if getattr(log, FIELD_OF.get(need, need.replace(" ", "_")), None) is None:
                raise BadInput(f"{self.name} must be told the {need}, and the log does not hold it.")

    def require_read(self, log: FeedbackLog) -> None:
        """Check that the log tells nothing that the estimator does not read.

        A study leaves such things away; in a log of one's own, they are a mistake about the estimator.
        Context is what was logged rather than what is known: who does not read it is not given it.

        Raises
        ------
        BadInput
            Naming what it does not read.
        """
        told = [name for name in KNOWLEDGE if getattr(log, name.replace(" ", "_")) is not None]
        unread = [name for name in told if name not in self.reads(log)]
        if unread:
            raise BadInput(
                f"{self.name or type(self).__name__} does not read the {' and the '.join(unread)}: leave "
                "that out, or choose an estimator that reads it (simbench list estimators)."
            )
