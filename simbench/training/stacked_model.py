"""Fitted reward networks of many replicates, as one model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.files.matrix import Matrix
from simbench.training.contract import Network
from simbench.training.network import StackedMLP
from simbench.training.precision import products_in

ROWS = 1024  # rows that are predicted at once


@dataclass
class StackedModel:
    """R fitted reward networks (and the estimator's other networks, if it has any).

    Parameters
    ----------
    networks : dict from Network to StackedMLP
        The trained networks; their replicates are padded to whole blocks.
    link : callable
        The estimator's ``link``, from logits and calibration to probabilities.
    calibration : Tensor, shape (R, 1), or None
        What the link needs besides the logit.
    n_replicates : int
        R, without the padding.
    epochs : ndarray of int, shape (R,)
        Epoch that was kept.
    held_out_loss : ndarray, shape (R,)
        Selection loss at the epoch that was kept.
    precision : {"fp32", "tf32", "bf16"}
        Precision of matrix products in predictions.
    """

    networks: dict[Network, StackedMLP]
    link: Callable[[Tensor, Tensor | None], Tensor]
    calibration: Tensor | None
    n_replicates: int
    epochs: np.ndarray
    held_out_loss: np.ndarray
    precision: str = "fp32"

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities, shape (R, m), float64 in [0, 1]."""
        return self._map("reward", features, lambda logit: self.link(logit, self.calibration))

    def predict_propensity(self, inputs: Matrix) -> np.ndarray:
        """Estimated propensities, shape (R, m), float64; from the context, or the features if there is none.

        Raises
        ------
        BadInput
            If the estimator has no propensity head.
        """
        return self.predict_head("propensity", inputs)

    def predict_head(self, head: str, inputs: Matrix) -> np.ndarray:
        """Probabilities ``σ`` of the logits of a head, such as "parameter:0", shape (R, m), float64.

        ``inputs`` are what its network reads, see :func:`simbench.training.inputs.inputs_of`.

        Raises
        ------
        BadInput
            If the estimator has no such head.
        """
        return self._map(head, inputs, torch.sigmoid)

    def _map(self, head: str, inputs: Matrix, link: Callable[[Tensor], Tensor]) -> np.ndarray:
        described = next((network for network in self.networks if head in network.heads), None)
        if described is None:
            raise BadInput(f"this estimator fits no {head}.")
        network, output = self.networks[described], described.heads.index(head)
        # Rows in blocks of one shape, the last one padded: a row's value does not depend on how
        # many rows it is asked with.
        found = np.empty((self.n_replicates, len(inputs)))
        block = torch.zeros(ROWS, inputs.shape[1], device=network.device, dtype=network.dtype)
        with products_in(self.precision):
            for start in range(0, len(inputs), ROWS):
                part = np.array(inputs[start : start + ROWS], dtype=np.float32, order="C")
                block[: len(part)] = torch.from_numpy(part)
                block[len(part) :] = 0
                logit = network.forward(block)[output, : self.n_replicates, : len(part)]
                found[:, start : start + len(part)] = link(logit.double()).cpu().numpy()
        return found


@dataclass
class ModelChunks:
    """The models of successive chunks of replicates, as one model."""

    models: list[StackedModel]

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities, shape (R, m), float64 in [0, 1]."""
        return np.concatenate([model.predict(features) for model in self.models])

    def predict_propensity(self, inputs: Matrix) -> np.ndarray:
        """Estimated propensities, shape (R, m), float64; see :meth:`StackedModel.predict_propensity`."""
        return self.predict_head("propensity", inputs)

    def predict_head(self, head: str, inputs: Matrix) -> np.ndarray:
        """Probabilities of a head, shape (R, m), float64; see :meth:`StackedModel.predict_head`."""
        return np.concatenate([model.predict_head(head, inputs) for model in self.models])

    @property
    def epochs(self) -> np.ndarray:
        """Epoch that was kept of each replicate, shape (R,)."""
        return np.concatenate([model.epochs for model in self.models])

    @property
    def held_out_loss(self) -> np.ndarray:
        """Selection loss of each replicate at the epoch that was kept, shape (R,)."""
        return np.concatenate([model.held_out_loss for model in self.models])
