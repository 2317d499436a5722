"""Training to the optimum of an estimator's own empirical risk: L-BFGS on all rows, for each replicate."""

import inspect

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput
from simbench.streams import seed_of
from simbench.training.batches import Pool
from simbench.training.contract import Network, Trainable
from simbench.training.network import repacked
from simbench.training.quasi_newton import Minimiser
from simbench.training.stacked_model import StackedModel
from simbench.training.trainer import Trainer

PER_EPOCH = 10  # iterations that count as one epoch
ROUND = 30  # iterations between two E-steps
SETTLED = 1e-4  # relative change of the parameters over a whole round at which an EM has converged


def can_converge(kind: type[Trainable]) -> bool:
    """Whether estimators of this class can be trained to the optimum of their own empirical risk."""
    signature = inspect.signature(kind)  # one whose constructor is written by hand may train in its own way
    return "optimiser" in signature.parameters and has_an_optimum(kind)


def has_an_optimum(estimator: Trainable | type[Trainable]) -> bool:
    """Whether all rows can be one batch of the estimator, so that its empirical risk is one function."""
    draws = estimator.reads_pairs or estimator.reads_pages or estimator.mixup is not None
    return not draws and estimator.workspace == 0


class ConvergedTrainer(Trainer):
    """A training that ends at the optimum instead of where held-out feedback stops it.

    The parameters are those of :class:`simbench.training.trainer.Trainer`. Rows that are held out judge the
    fit afterwards and do not stop it; an estimator with an E-step alternates between it and L-BFGS.
    """

    def run(self) -> StackedModel:
        """Minimise the objective and the penalty of every replicate, and return the networks.

        Returns
        -------
        StackedModel
            ``epochs`` counts ten iterations as one; it is the estimator's ``epochs`` for a replicate that did
            not converge.

        Raises
        ------
        BadInput
            If the estimator draws pairs, pages or mixed rows, so that no batch is the whole of its risk; or
            the features do not fit into memory.
        """
        self._require_an_optimum()
        self._initialise(np.random.default_rng(seed_of(self.estimator.seed, "order", *self.order_axes)))
        inputs = self._whole_inputs()
        rows = self.log.tensor(self.order.train_rows)
        settled, used = self._minimised(rows, inputs, self.estimator.epochs * PER_EPOCH)
        loss = self._held_out_loss().cpu().numpy()
        most = self.estimator.epochs
        within = np.clip(-(-used // PER_EPOCH), 1, max(1, most - 1))
        return self._model(dict(self.networks), np.where(settled, within, most), loss)

    def _minimised(
        self, rows: Tensor, inputs: dict[Network, Tensor], limit: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Leave the networks at the optimum; whether each replicate is there, and its iterations."""
        used, settled = np.zeros(len(self.numbers), int), np.zeros(len(self.numbers), bool)
        search = Minimiser(lambda point: self._gradient(point, rows, inputs))
        alternates = self.estimator.has_epoch_state
        point = self._gathered(gradients=False)
        while not settled.all() and used.max() < limit:
            found = search.run(point, min(limit - int(used.max()), ROUND if alternates else limit), settled)
            used += np.where(settled, 0, np.maximum(found.iterations, 1))
            moved = np.abs(found.point - point).max(1) / np.maximum(1, np.abs(point).max(1))
            settled |= moved < SETTLED if alternates else found.converged
            point = found.point
            self._place(point)
            self._refresh_state()
            if not alternates:
                break
        return settled, used

    def _require_an_optimum(self) -> None:
        if not has_an_optimum(self.estimator):
            raise BadInput(
                f"{self.estimator.name} draws pairs, pages or mixed rows at random, or compares rows in "
                "batches, so that no batch is the whole of its risk: take optimiser=adam."
            )
        if not self.feeder.is_resident:
            raise BadInput("optimiser=lbfgs needs features that fit into memory: take optimiser=adam.")

    def _whole_inputs(self) -> dict[Network, Tensor]:
        """What each network reads of all rows that are trained on."""
        rows = self.order.train_rows
        (feed,) = self.feeder.pools([Pool(rows, [len(rows)])])
        ((_, inputs),) = feed
        return inputs

    def _gradient(self, point: np.ndarray, rows: Tensor, inputs: dict[Network, Tensor]) -> np.ndarray:
        """Gradient of the objective with its L2 penalty at parameters of shape (R, P): of the same shape."""
        self._place(point)
        logits = {
            key: net.forward(inputs[key], keep=True).double().requires_grad_()
            for key, net in self.networks.items()
        }
        hidden = {key: values.double().requires_grad_() for key, values in self._representation().items()}
        out = self._training_outputs(list(logits.values()), hidden, len(rows))
        risk = self.estimator.objective(out, self.log.batch(rows, self.state))
        leaves = [*logits.values(), *hidden.values()]
        gradients = [one.float() for one in torch.autograd.grad(risk.sum(), leaves)]
        of_hidden = dict(zip(hidden, gradients[len(logits) :], strict=True))
        for (key, network), gradient in zip(self.networks.items(), gradients[: len(logits)], strict=True):
            network.backward(gradient, of_hidden.get(key))
        decay = self.estimator.weight_decay
        return self._gathered(gradients=True) + decay * point

    def _gathered(self, gradients: bool) -> np.ndarray:
        """Parameters, or their gradients, of every replicate over all networks: (R, P), float64."""
        replicates = torch.arange(len(self.numbers))
        parts = [
            repacked(net.gradients if gradients else net.parameters, net.sizes, net.width, replicates, 1)
            for net in self.networks.values()
        ]
        return torch.cat(parts, dim=1).double().cpu().numpy()

    def _place(self, point: np.ndarray) -> None:
        """Write parameters of shape (R, P) into the networks."""
        replicates, start = torch.arange(len(point)), 0
        for net in self.networks.values():
            length = net.parameters.shape[1] // net.width
            flat = torch.as_tensor(point[:, start : start + length], dtype=torch.float32, device=self.device)
            packed = repacked(flat.contiguous(), net.sizes, 1, replicates, net.width)
            net.parameters.copy_(packed)
            net.parameters_changed()
            start += length
