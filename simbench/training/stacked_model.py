"""Fitted reward networks, many replicates as one."""

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

ROWS = 1024  # that are predicted at once


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
    precision: str = "fp32"

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities of shape (R, m), float64 in [0, 1]."""
        return self._map("reward", features, lambda logit: self.link(logit, self.calibration))

    def predict_propensity(self, inputs: Matrix) -> np.ndarray:
        """Estimated propensity of shape (R, m), from context, or features where there is none."""
        return self._map("propensity", inputs, torch.sigmoid)

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
                part = np.ascontiguousarray(inputs[start : start + ROWS], dtype=np.float32)
                block[: len(part)] = torch.as_tensor(part)
                block[len(part) :] = 0
                logit = network.forward(block)[output, : self.n_replicates, : len(part)]
                found[:, start : start + len(part)] = link(logit.double()).cpu().numpy()
        return found


@dataclass
class ModelChunks:
    """Models of successive replicate chunks, one behind another."""

    models: list[StackedModel]

    def predict(self, features: Matrix) -> np.ndarray:
        return np.concatenate([model.predict(features) for model in self.models])

    def predict_propensity(self, inputs: Matrix) -> np.ndarray:
        return np.concatenate([model.predict_propensity(inputs) for model in self.models])

    @property
    def epochs(self) -> np.ndarray:
        return np.concatenate([model.epochs for model in self.models])

    @property
    def held_out_loss(self) -> np.ndarray:
        return np.concatenate([model.held_out_loss for model in self.models])
