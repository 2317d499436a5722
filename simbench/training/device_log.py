"""A log's feedback and what it is told, on the training device, and the batches that losses read.

The features are handled elsewhere: see :mod:`simbench.training.feeding`.
"""

import numpy as np
import torch
from torch import Tensor

from simbench.log.feedback import FeedbackLog
from simbench.log.pages import page_matrix, places
from simbench.training.samples import Batch, required


class DeviceLog:
    """The tensors of a log on the device; :meth:`keep` drops the rows of replicates that stopped training.

    Parameters
    ----------
    log : FeedbackLog
    replicates : ndarray of int64
        Rows of ``log.feedback``, possibly repeated.
    device : torch.device
        Where the tensors are kept.
    reads_pages : bool
        Whether batches are whole pages.
    """

    def __init__(
        self, log: FeedbackLog, replicates: np.ndarray, device: torch.device, reads_pages: bool = False
    ):
        self.device = device
        self.page_size: int | None = None
        self.place: Tensor | None = None  # on its page, where pages are not all of one length
        if reads_pages:
            pages = page_matrix(required(log.page, "pages"), required(log.rank, "pages"))
            self.page_size = pages.shape[1]
            self.place = self.tensor(places(pages)) if (pages < 0).any() else None
        self.feedback: Tensor = self.tensor(log.feedback[replicates])
        self.weights: Tensor | None = None
        self.shown: Tensor | None = None
        if log.shown is not None:
            self.shown = torch.tensor(log.shown[replicates], dtype=torch.bool, device=device)
        if log.weights is not None:
            self.weights = self.tensor(log.weights / log.weights.mean())
        whole = Batch(self.feedback, self.feedback, weights=self.weights, shown=self.shown)
        self.feedback_rate: Tensor = whole.mean(self.feedback, keepdim=True)
        self.labels: Tensor | None = None if log.labels is None else self.tensor(log.labels[replicates])
        self.strata: Tensor | None = None if log.strata is None else self.tensor(log.strata[replicates])
        self.signals: Tensor | None = None if log.signals is None else self.tensor(log.signals[replicates])
        self.negative_signals = log.negative_signals
        self.class_prior: Tensor | None = None
        if log.class_prior is not None:
            each = np.broadcast_to(np.asarray(log.class_prior, dtype=float), (log.n_replicates,))
            self.class_prior = self.tensor(each[replicates])[:, None]
        self.propensity: Tensor | None = None
        if log.propensity is not None:
            own = log.propensity.ndim == 2
            self.propensity = self.tensor(log.propensity[replicates] if own else log.propensity)
        self.misclick, self.action_rate = log.misclick, log.action_rate
        self.always_acts: Tensor | None = None
        if log.always_acts is not None:
            self.always_acts = torch.as_tensor(log.always_acts.copy(), dtype=torch.bool, device=device)

    def batch(self, rows: Tensor, state: dict[str, Tensor]) -> Batch:
        """The batch of these rows, as a loss reads it; ``state`` has one value per row of the log."""
        there = self._there(rows)
        return Batch(
            feedback=_where(there, self.feedback[:, rows]),
            feedback_rate=self.feedback_rate,
            propensity=None if self.propensity is None else self.propensity[..., rows],
            class_prior=self.class_prior,
            labels=None if self.labels is None else self.labels[:, rows],
            state={key: value[..., rows] for key, value in state.items()},
            misclick=self.misclick,
            action_rate=self.action_rate,
            always_acts=None if self.always_acts is None else self.always_acts[rows],
            strata=None if self.strata is None else self.strata[:, rows],
            signals=None if self.signals is None else _where(there, self.signals[..., rows]),
            negative_signals=self.negative_signals,
            shown=self._shown(rows, there),
            page_size=self.page_size,
            weights=None if self.weights is None else self.weights[rows],
        )

    def _there(self, rows: Tensor) -> Tensor | None:
        """Which of these rows are not the filling of a short page, shape (b,); None if all are."""
        if self.place is None:
            return None
        places = torch.arange(len(rows), device=self.device) % required(self.page_size, "pages")
        return self.place[rows] == places

    def _shown(self, rows: Tensor, there: Tensor | None) -> Tensor | None:
        shown = None if self.shown is None else self.shown[:, rows]
        if there is None:
            return shown
        return there.expand(len(self.feedback), -1) if shown is None else shown & there

    def keep(self, members: Tensor) -> "DeviceLog":
        """The log of some of the replicates; ``members`` is a bool mask of shape (R,)."""
        other = object.__new__(DeviceLog)
        other.__dict__.update(self.__dict__)
        for name in ("feedback", "feedback_rate", "labels", "class_prior", "strata", "signals", "shown"):
            value = getattr(self, name)
            setattr(other, name, None if value is None else value[members])
        if self.propensity is not None and self.propensity.dim() == 2:
            other.propensity = self.propensity[members]
        return other

    def tensor(self, values: np.ndarray) -> Tensor:
        """The values on the device: float32 if they are floating-point numbers, else int64."""
        dtype = torch.float32 if values.dtype.kind == "f" else torch.int64
        own = np.ascontiguousarray(values)
        own = own if own.flags.writeable else own.copy()  # a log's arrays are read-only, unlike tensors
        return torch.as_tensor(own, dtype=dtype, device=self.device)


def _where(there: Tensor | None, values: Tensor) -> Tensor:
    """The values, 0 where a page is short."""
    return values if there is None else values * there
