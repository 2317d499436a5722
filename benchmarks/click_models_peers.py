"""Our click models against CLAX, an independent implementation in JAX: likelihoods, and maxima on one log.

It needs ``clax-models`` beside simbench, in an environment of its own, since JAX wants newer libraries. The
packages called ``clax`` and ``pyclick`` are other things; PyClick, the older reference, is not packaged.

CLAX has no cascade in which users stop behind a good response that they did not click. Its simplified dynamic
Bayesian network with one satisfaction probability is our cascade at ``c = 1``, where all that is good is
clicked, and is what is compared. Nothing of CLAX's is a chat with attempts.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from clax.models.dbn import DynamicBayesianNetwork
from clax.models.pbm import PositionBasedModel
from clax.parameters import GlobalParameter, LinearParameterConfig
from flax import nnx
from simbench_estimators.click_models import PBM, CascadeMLE, cascade_log_likelihood
from torch import Tensor

from simbench.log.feedback import FeedbackLog
from simbench.log.pages import page_matrix
from simbench.training.inputs import inputs_of
from simbench.training.samples import Batch, Outputs
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

CERTAIN = 40.0  # logit of c = 1
MAXIMUM = {
    "hidden": (),
    "lr": 0.1,
    "epochs": 1500,
    "patience": 200,
    "weight_decay": 0.0,
    "validation_share": 0.0,
}


class ClickedOnly(CascadeMLE):
    """The cascade at ``c = 1``."""

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        _, stops = out.head("parameters").unbind(-2)
        acts = torch.full_like(stops, CERTAIN)
        return -cascade_log_likelihood(out.reward, acts, stops, batch).sum(-1) / out.reward.shape[-1]


class Shared(GlobalParameter):
    """CLAX's global parameter at every place of a page, where its network wants one for each response."""

    def logit(self, batch: dict[str, jax.Array]) -> jax.Array:
        return jnp.broadcast_to(self.weight.value, batch["mask"].shape)

    def prob(self, batch: dict[str, jax.Array]) -> jax.Array:
        return nnx.sigmoid(self.logit(batch))

    def log_prob(self, batch: dict[str, jax.Array]) -> jax.Array:
        return nnx.log_sigmoid(self.logit(batch))


def pages_of(log: FeedbackLog) -> tuple[dict[str, jax.Array], np.ndarray]:
    """A log of one replicate as CLAX reads it, page by page; and the rows of each page."""
    pages = page_matrix(log.page, log.rank)
    batch = {
        "clicks": jnp.asarray(log.feedback[0][pages]),
        "mask": jnp.ones(pages.shape, dtype=bool),
        "positions": jnp.asarray(log.rank[pages]),
        "x": jnp.asarray(np.asarray(log.features, dtype=float)[pages]),
    }
    return batch, pages


def of_clax(kind: str, log: FeedbackLog) -> nnx.Module:
    """CLAX's model with a reward that is logistic in the features."""
    reward = LinearParameterConfig(use_feature="x", features=log.features.shape[1], input_norm=None)
    rngs = nnx.Rngs(0)
    if kind == "page":
        return PositionBasedModel(positions=int(log.rank.max()) + 1, attraction=reward, rngs=rngs)
    stop = Shared(rngs=rngs)
    return DynamicBayesianNetwork(attraction=reward, satisfaction=stop, fix_continuation=True, rngs=rngs)


def fitted(model: nnx.Module, batch: dict[str, jax.Array], steps: int) -> float:
    """Maximise CLAX's likelihood by Adam on the whole log; returns nats a response."""
    graph, state = nnx.split(model)
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1, steps))

    def loss(values: nnx.State) -> jax.Array:
        return nnx.merge(graph, values).compute_loss(batch).mean()

    def step(carry: tuple, _: None) -> tuple:
        values, moments = carry
        updates, moments = optimiser.update(jax.grad(loss)(values), moments)
        return (optax.apply_updates(values, updates), moments), None

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=steps)[0])
    state, _ = run((state, optimiser.init(state)))
    nnx.update(model, state)
    return float(loss(state))


def ours_at(kind: str, model: nnx.Module, batch: dict[str, jax.Array], log: FeedbackLog) -> float:
    """Our negative log-likelihood, nats a response, at CLAX's parameters, in float64."""

    pages = page_matrix(log.page, log.rank)

    def tensor(values: jax.Array) -> Tensor:
        return torch.tensor(np.broadcast_to(np.asarray(values, dtype=float), pages.shape)).flatten()

    clicks, reward = tensor(batch["clicks"]), tensor(model.attraction.logit(batch))
    told = Batch(clicks, clicks, page_size=pages.shape[1])
    if kind == "page":
        out = Outputs(reward, tensor(model.examination.logit(batch).reshape(pages.shape)))
        return PBM().selection_loss(out, told).item()
    stops = tensor(model.satisfaction.logit(batch))
    likelihood = cascade_log_likelihood(reward, torch.full_like(reward, CERTAIN), stops, told)
    return -likelihood.sum().item() / pages.size


def compare(kind: str, bias_level: float, size: int, steps: int) -> None:
    """Print both likelihoods at CLAX's maximum, both maxima, and how far rewards and parameters are apart."""
    world = PRESETS["exclusive"].changed(behaviour=kind, test_size=100, action_rate=0.3, n_features=8)
    log, _ = build(world, bias_level, size, 0).draw(range(1))
    batch, pages = pages_of(log)
    model = of_clax(kind, log)
    theirs = fitted(model, batch, steps)
    at_theirs = ours_at(kind, model, batch, log)
    estimator = (PBM if kind == "page" else ClickedOnly)(**MAXIMUM, batch_size=size)
    found = estimator.fit_replicates(log)
    reward = np.empty(log.n_rows)
    reward[pages] = np.asarray(model.attraction.prob(batch))
    apart = np.abs(found.predict(log.features)[0] - reward)
    network = estimator.networks[1]
    head = "propensity" if kind == "page" else "parameter:1"
    mine = np.unique(found.predict_head(head, inputs_of(network, log))[0].round(4))[::-1]
    parameter = model.examination if kind == "page" else model.satisfaction
    other = np.unique(np.asarray(parameter.prob(batch)).round(4))[::-1]
    print(f"{kind} at {bias_level:g}, {size} responses, 8 features")
    print(f"  nats a response at CLAX's maximum: CLAX {theirs:.9f}, ours {at_theirs:.9f}")
    print(f"  maximum: CLAX {theirs:.6f}, ours {found.held_out_loss[0]:.6f} after {found.epochs[0]} epochs")
    print(f"  rewards apart: {np.sqrt((apart**2).mean()):.4f} (root mean square), {apart.max():.4f} at most")
    print(f"  {'examination' if kind == 'page' else 'stopping'}: CLAX {other.tolist()}, ours {mine.tolist()}")


def main() -> None:
    """Compare both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=3000)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    for kind, bias_level in (("page", 1.0), ("cascade", 0.8)):
        compare(kind, bias_level, given.size, given.steps)


if __name__ == "__main__":
    main()
