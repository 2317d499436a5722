"""A cell of a study: one estimator in one situation. Runs it, and keeps its predictions as a shard."""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import BaseModel

from simbench._compat import VERSION
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.score.weights import effective_sample_share
from simbench.study.grants import base, granted, unavailable
from simbench.study.protocol import EvaluationProtocol
from simbench.study.shards import Shards
from simbench.study.supervision import fit_under
from simbench.training.contract import MEMORY_BUDGET
from simbench.training.precision import Precision
from simbench.training.trainer import Execution
from simbench.worlds.config import WorldConfig
from simbench.worlds.world import World, build


class Cell(BaseModel, frozen=True, extra="forbid"):
    """One estimator in one situation, as an immutable value whose hash names its shard.

    Parameters
    ----------
    world : WorldConfig
    bias_level : float
        How unequally users act, from 0 (all alike).
    size : int
        Number of training responses.
    estimator : str
        Name under which the estimator is found.
    parameters : dict
        Hyper-parameters that differ from the shipped ones.
    replicates : int
        Number of logs that are drawn and fitted, R.
    seed : int
    grant : tuple of str
        What the estimator is told, by the names of :func:`simbench.study.grants.meanings`.
    label_share : float in (0, 1)
        Share of the responses whose label the grant ``labels`` tells.
    device : str
    precision : {"fp32", "tf32", "bf16"}
        Precision of matrix products, see :mod:`simbench.training.precision`.
    memory_budget : int
        Bytes that the replicates training at once may take. It changes no number.
    protocol : EvaluationProtocol
    """

    world: WorldConfig
    bias_level: float
    size: int
    estimator: str
    parameters: dict[str, Any]
    replicates: int
    seed: int
    grant: tuple[str, ...]
    label_share: float
    device: str
    precision: Precision = "fp32"
    memory_budget: int = MEMORY_BUDGET
    protocol: EvaluationProtocol = EvaluationProtocol()

    @property
    def key(self) -> str:
        """Hash that names the shard, 20 hexadecimal digits.

        The version of simbench is part of it, because code changes results; the memory budget is not.
        """
        described = self.model_dump(mode="json", exclude={"memory_budget"})
        text = json.dumps([VERSION, described], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that identify a cell in every table."""
        return {
            "world": self.world.name,
            "law": self.world.law,
            "bias_level": self.bias_level,
            "size": self.size,
            "protocol": self.protocol.name,
            "estimator": self.estimator,
        }

    def arguments(self, kind: type[Estimator]) -> dict[str, Any]:
        """Keyword arguments that the estimator is constructed with."""
        there = kind().get_params()
        device = {"device": self.device} if "device" in there else {}
        return {"seed": self.seed, **self.parameters, **device}

    def settings(self, kind: type[Estimator]) -> list[dict[str, Any]]:
        """The distinct settings that the protocol tries, restricted to the estimator's hyper-parameters.

        The first is empty: it leaves the shipped hyper-parameters as they are.
        """
        there = kind().get_params()
        tried: list[dict[str, Any]] = []
        for setting in self.protocol.tries(self.estimator):
            own = {name: value for name, value in setting.items() if name in there}
            tried += [] if own in tried else [own]
        return tried

    def built(self) -> World:
        """The world of this cell with its responses; the two built last are cached."""
        return _built(self.world, self.bias_level, self.size, self.seed)


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Parameters
    ----------
    cell : Cell
    status : {"ok", "skipped", "failed"}
    reason : str
        Why it was skipped or failed; empty for ``ok``.
    seconds : float
        Time that it took.
    """

    cell: Cell
    status: str
    reason: str
    seconds: float


@lru_cache(maxsize=2)
def _built(world: WorldConfig, bias_level: float, size: int, seed: int) -> World:
    return build(world, bias_level, size, seed)


def missing(cell: Cell, kind: type[Estimator]) -> list[str]:
    """What the estimator needs but the grants and the world of the cell do not provide, in words."""
    there = {
        "truth",
        *(base(name) for name in cell.grant),
        *(["signals"] if len(cell.world.signal_names) > 1 else []),
    }
    return sorted(kind.needs - there) or unavailable(cell)


def run_cell(cell: Cell, shards: Shards) -> Outcome:
    """Run a cell and keep its shard, unless the shard exists already.

    An exception in the estimator does not propagate: it becomes an outcome ``failed``, without a shard.
    """
    kind = find(cell.estimator)
    lacks = missing(cell, kind)
    if lacks:
        return Outcome(cell, "skipped", f"needs {' and '.join(lacks)}", 0.0)
    if shards.has(cell.key):
        return Outcome(cell, "ok", "", shards.read(cell.key)[1]["seconds"])
    start = time.perf_counter()
    try:
        predictions, facts = fit_cell(cell, kind)
    except Exception as error:  # other people's code runs here: whatever it raises is this row's reason
        reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        return Outcome(cell, "failed", reason, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    shards.write(cell.key, predictions, {**facts, "seconds": seconds})
    return Outcome(cell, "ok", "", seconds)


def fit_cell(
    cell: Cell, kind: type[Estimator], world: World | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw the log of a cell, fit the estimator with what it is granted, and predict the test responses.

    Parameters
    ----------
    cell : Cell
    kind : type of Estimator
    world : World, optional
        A world to use in place of the cell's own.

    Returns
    -------
    predictions : ndarray, shape (R, m)
        Rewards ``γ̂`` of the test responses, in [0, 1]; scores of any size if the estimator only ranks.
    facts : dict
        ``knows``: what the estimator was told, in words; ``weights``: see :func:`weight_diagnostics`;
        ``restarts``: whether they agree, see :class:`simbench.training.restarts.Restarts`; ``settings``: the
        number of the setting that was kept, for each replicate.

    Raises
    ------
    ArithmeticError
        If a prediction is not finite or not a probability.
    """
    world = cell.built() if world is None else world
    log, truth = world.draw(range(cell.replicates))
    given, told = granted(cell, kind, log, truth)
    log = replace(log, **given)
    if "signals" not in kind.needs | kind.optional:
        log = replace(log, signals=None, negative_signals=())
    if "truth" in kind.needs:
        log = log.with_feedback(truth.preference.astype(np.float32))
    settings, protocol = cell.settings(kind), cell.protocol

    def make(setting: dict[str, Any]) -> Estimator:
        return kind(**{**cell.arguments(kind), **setting})

    calibrated = protocol.calibrates(cell.estimator)
    is_usual = cell.precision == "fp32" and cell.memory_budget == MEMORY_BUDGET
    execution = None if is_usual else Execution.on(cell.device, cell.precision, cell.memory_budget)
    how = (calibrated, cell.memory_budget, execution)
    predictions, restarts, chosen = fit_under(protocol, make, settings, log, truth, world.test, *how)
    _check_predictions(predictions, kind)
    if "truth" in kind.needs:
        told.append("truth")
    if log.context is not None and any(network.inputs == "context" for network in kind.networks):
        told.append("context")
    if log.signals is not None:
        told.append(f"{log.signals.shape[1]} signals")
    told += protocol.told(cell.estimator)
    facts = {"knows": ", ".join(told) or "nothing", "weights": weight_diagnostics(log)}
    return predictions, {**facts, "restarts": restarts, "settings": chosen.tolist()}


def _check_predictions(predictions: np.ndarray, kind: type[Estimator]) -> None:
    if not np.isfinite(predictions).all():
        raise ArithmeticError("the predictions are not finite: training diverged")
    if not kind.ranks_only and (predictions.min() < 0 or predictions.max() > 1):
        raise ArithmeticError(
            f"predictions lie in [{predictions.min():.3g}, {predictions.max():.3g}], not in [0, 1]: these "
            "look like logits: override `link`, or state `ranks_only = True` for scores that only rank"
        )


def weight_diagnostics(log: FeedbackLog) -> dict[str, float]:
    """Diagnostics of the inverse propensity weights ``w = r/α`` under the granted propensity.

    Returns
    -------
    dict of float
        Means over replicates; empty without a propensity. ``effective_sample_share``: of the clicks, see
        :func:`simbench.score.weights.effective_sample_share`; ``largest_weight``;
        ``negative_weight_share``: share of responses on whose ``ℓ0`` the weight ``1 - r/α`` is negative.
    """
    if log.propensity is None:
        return {}
    weight = log.feedback / log.propensity
    return {
        "effective_sample_share": float(effective_sample_share(weight).mean()),
        "largest_weight": float(weight.max(1).mean()),
        "negative_weight_share": float((weight > 1).mean()),
    }
