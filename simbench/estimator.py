"""The contract of an estimator: a loss, what it must be told, and a scikit-learn face around both."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    _clone_parametrized,  # what clone() does where a class does not say otherwise
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from simbench.errors import BadInput, NotIdentified
from simbench.holdout import Holdout
from simbench.log import FeedbackLog
from simbench.losses import cross_entropy
from simbench.mapped import Matrix
from simbench.precision import Precision
from simbench.samples import Batch, Outputs

__all__ = ["MEMORY_BUDGET", "Batch", "Estimator", "FittedReplicates", "Network", "Outputs", "grant"]

HOW_IT_RUNS = ("precision", "memory_budget")
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


class Estimator(ClassifierMixin, BaseEstimator):
    """Base of every estimator: subclass it, write :meth:`reward_loss`, state the class attributes.

    The same loss is trained (``simbench.training``), and integrated exactly (``simbench.risk``).
    Class attributes: ``needs`` and ``optional`` of {"truth", "propensity", "class prior", "labels",
    "misclick", "signals", "action rate", "always acts"}; ``networks``;
    ``reads_pairs``, for losses on two responses of one prompt, whose batches
    hold b first members and then their b partners (see :meth:`Batch.halves`); ``has_epoch_state``;
    ``initial_epochs``, passes over :meth:`initial_objective` before training (an initialisation);
    ``mixup``, the concentration of the Beta distribution by which every training batch is mixed as well (see
    :mod:`simbench.samples`); ``reads_representation``, where the loss reads the reward network's last hidden
    layer; ``workspace``, float32 that the loss takes for itself in each replicate, where that is not small
    beside the activations; ``sums_over_samples``, False for a risk that is no mean of per-sample losses;
    ``ranks_only``, where predictions carry an order but no probability; ``link_formula``, :meth:`link` in
    NumPy's words, of the logit ``s`` and the calibration ``c``, for the cards of models that leave simbench.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers of each network; () is logistic regression.
    lr : float
        Adam's learning rate.
    batch_size : int
        Rows a step.
    epochs : int
        At most so many passes.
    patience : int
        Stop a replicate after so many epochs without a better held-out selection loss.
    weight_decay : float
        Coupled L2.
    validation_share : float in [0, 1)
        Share of the prompts held out for early stopping; 0 trains on all and watches the training objective
        itself (no guard against overfitting: for parametric heads).
    seed : int
        Initial weights, batch order and the held-out split derive from it.
    device : str
        A torch device.
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
    # How it is run, which is no hyper-parameter: set on an instance, and kept by scikit-learn's clone.
    precision: Precision = "fp32"  # of matrix products, see simbench.precision
    memory_budget: int = MEMORY_BUDGET  # bytes of replicates that train at once; changes no result on a CPU

    def __init__(
        self,
        hidden: tuple[int, ...] = (32, 16),
        lr: float = 3e-3,
        batch_size: int = 512,
        epochs: int = 100,
        patience: int = 8,
        weight_decay: float = 1e-4,
        validation_share: float = 0.2,
        seed: int = 0,
        device: str = "cpu",
    ):
        self.hidden = hidden
        self.lr = lr
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.weight_decay = weight_decay
        self.validation_share = validation_share
        self.seed = seed
        self.device = device

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
        return (self.reward_loss(out, batch) + self.auxiliary_loss(out, batch)).mean(-1)

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

    @classmethod
    def heads(cls) -> set[str]:
        """Names of all heads of all networks."""
        return {head for network in cls.networks for head in network.heads}

    # -- many replicates at once ------------------------------------------------------------

    def fit_replicates(
        self, log: FeedbackLog, replicates: Sequence[int] | None = None, holdout: Holdout | None = None
    ) -> FittedReplicates:
        """Train one reward per row of ``log.feedback``.

        Parameters
        ----------
        log : FeedbackLog
            Feedback of shape (R, n).
        replicates : sequence of int, optional
            Replicate numbers, from which the initial weights derive; default ``range(R)``.
        holdout : Holdout, optional
            Given by a study whose protocol departs from the default (see :mod:`simbench.protocol`).

        Raises
        ------
        BadInput
            If the log lacks something that the estimator must be told.
        """
        from simbench.training import train

        self.require(log)
        return train(self, log, replicates or range(log.n_replicates), holdout=holdout)

    def require(self, log: FeedbackLog) -> None:
        """Raise :class:`BadInput` if the log lacks something that the estimator must be told."""
        for need in sorted(self.needs & {"propensity", "class prior", "misclick", "signals"}):
            if getattr(log, need.replace(" ", "_")) is None:
                raise BadInput(f"{self.name} must be told the {need}, and the log does not hold it.")

    # -- the scikit-learn face --------------------------------------------------------------

    def fit(self, X, y, *, context=None, groups=None, propensity=None, class_prior=None, signals=None):
        """Fit the reward on one log.

        Parameters
        ----------
        X : array, shape (n, d)
            Response features.
        y : array, shape (n,)
            Feedback of two classes; the larger one counts as "clicked".
        context : array, shape (n, k), optional
        groups : array, shape (n,), optional
            Prompt ids; by default every row is its own.
        propensity : array, shape (n,), in (0, 1], optional
        class_prior : float in (0, 1), optional
        signals : array, shape (n, K), in {0, 1}, optional
            Several positive signals, in place of the feedback alone; the first column is ``y``.

        Returns
        -------
        self

        Raises
        ------
        BadInput, ValueError
            On unusable input.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, code = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise BadInput(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"feedback must have two classes, got {len(self.classes_)}."
            )
        if len(self.classes_) == 1:
            raise BadInput("feedback has one class only: one click and one missing click are needed.")
        log = FeedbackLog(
            features=X,
            feedback=code[None].astype(np.float32),
            groups=np.arange(len(X)) if groups is None else _as_codes(groups),
            context=None if context is None else np.asarray(context, dtype=np.float32),
            propensity=None if propensity is None else np.asarray(propensity, dtype=float),
            class_prior=class_prior,
            signals=None if signals is None else np.asarray(signals, dtype=np.float32).T[None],
        )
        self.model_ = self.fit_replicates(log)
        advice = getattr(self.model_, "warning", None)
        if advice is not None:
            warnings.warn(f"{type(self).__name__}: {advice}", NotIdentified, stacklevel=2)
        return self

    def predict_reward(self, X) -> np.ndarray:
        """Estimated reward ``γ̂(x) = P(r* = 1 | x)``, shape (m,), float64 in [0, 1]."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return self.model_.predict(X)[0]

    def predict_proba(self, X) -> np.ndarray:
        """``[1 - γ̂, γ̂]``, shape (m, 2)."""
        reward = self.predict_reward(X)
        return np.column_stack([1 - reward, reward])

    def predict(self, X) -> np.ndarray:
        """Class by the reward's threshold 1/2, shape (m,)."""
        check_is_fitted(self, "model_")
        return self.classes_[(self.predict_reward(X) > 0.5).astype(int)]

    def __sklearn_clone__(self):
        other = _clone_parametrized(self)
        vars(other).update({name: vars(self)[name] for name in HOW_IT_RUNS if name in vars(self)})
        return other

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    if TYPE_CHECKING:
        model_: FittedReplicates
        classes_: np.ndarray


def _as_codes(groups) -> np.ndarray:
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def grant(log: FeedbackLog, **known) -> FeedbackLog:
    """The log with what the run grants (``propensity=``, ``class_prior=``) put in."""
    return replace(log, **known)
