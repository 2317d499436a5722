"""A cell of a study: one estimator in one situation. Runs it, and keeps its predictions as a shard.

A cell is a value of its inputs: what is not part of its key cannot change a replicate of its predictions.
"""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.score.weights import effective_sample_share
from simbench.streams import seed_of
from simbench.study import facts
from simbench.study.grants import base, granted, unavailable
from simbench.study.guests.behaviours import behaviours_as_guests
from simbench.study.guests.kinds import Guest, find, seed_for_guests
from simbench.study.guests.process import GuestError, limited
from simbench.study.inputs import Inputs, code_of, inputs_of_world
from simbench.study.protocol import CONVERGED, EvaluationProtocol
from simbench.study.shards import Shard, Shards
from simbench.study.supervision import fit_under
from simbench.training.contract import MEMORY_BUDGET
from simbench.training.converged import can_converge
from simbench.training.precision import Precision
from simbench.training.trainer import Execution
from simbench.worlds.behaviour import BehaviourError
from simbench.worlds.config import WorldConfig
from simbench.worlds.world import World, build

LARGEST_SEED = 1 << 63  # of an estimator, excluded


class Place(NamedTuple):
    """What decides a built world, its files included; cells that have it in common share the world."""

    world: WorldConfig
    bias_level: float
    size: int
    seed: int
    data: Inputs


@lru_cache(maxsize=2)
def built(place: Place) -> World:
    """The world of a place; the two built last are cached.

    Raises
    ------
    BadInput
        If it cannot be built, or a file that it is read from is not the one that was planned with.
    """
    world = build(*place[:-1])
    if place.data:
        _check_unchanged(place.data, inputs_of_world(place.world))
    return world


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
        Number of logs that are drawn and fitted, R. A replicate is the same among few and among many.
    seed : int
        Of this draw of the world; two draws are two worlds.
    draw : int
        Number of the draw, from 0. The seed says which world it is; the number changes none.
    grant : tuple of str
        What the estimator is told, by the names of :func:`simbench.study.grants.meanings`.
    label_share : float in (0, 1)
        Share of the responses whose label the grant ``labels`` tells.
    device : str
    precision : {"fp32", "tf32", "bf16"}
        Precision of matrix products, see :mod:`simbench.training.precision`.
    memory_budget : int
        Bytes that the replicates training at once may take. It changes no number.
    timeout : float, optional
        Seconds that an estimator from outside may take. It changes no number.
    protocol : EvaluationProtocol
    data, code : tuple of (str, str)
        Files that the world is read from, and code from outside that runs: each with its name and the
        fingerprint of its content, see :func:`with_inputs`.
    """

    world: WorldConfig
    bias_level: float
    size: int
    estimator: str
    parameters: dict[str, Any]
    replicates: int
    seed: int
    draw: int = 0
    grant: tuple[str, ...]
    label_share: float
    device: str
    precision: Precision = "fp32"
    memory_budget: int = MEMORY_BUDGET
    timeout: float | None = None
    protocol: EvaluationProtocol = EvaluationProtocol()
    data: Inputs = ()
    code: Inputs = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as settings: another process cannot import a user's file that holds a behaviour."""
        return _restored, (self.model_dump(),)

    @property
    def key(self) -> str:
        """Hash that names the shard, 20 hexadecimal digits.

        The version of simbench is part of it, because code changes results. The memory budget, the time that
        is allowed, the numbers of replicates, draw and device change none, and a share of labels
        none that are not told.
        """
        unread: dict[str, Any] = dict.fromkeys(("memory_budget", "timeout", "replicates", "draw"), True)
        unread["protocol"] = {"replicates"}
        if "labels" not in self.grant:
            unread["label_share"] = True
        described = self.model_dump(mode="json", exclude=unread)
        described["device"] = self.device.partition(":")[0]
        text = json.dumps([VERSION, described], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that identify a cell in every table."""
        return {
            "world": self.world.name,
            "behaviour": self.world.behaviour.kind,
            "bias_level": self.bias_level,
            "size": self.size,
            "protocol": self.protocol.name,
            "draw": self.draw,
            "estimator": self.estimator,
        }

    def arguments(self, kind: type[Estimator]) -> dict[str, Any]:
        """Keyword arguments that the estimator is constructed with.

        One from outside gets a seed from which that of the world does not follow.
        """
        there = kind().get_params()
        device = {"device": self.device} if "device" in there else {}
        is_guest = issubclass(kind, Guest)
        # a secret seed is longer than those that estimators take
        own = self.seed if self.seed < LARGEST_SEED else seed_of(self.seed, "estimator") % LARGEST_SEED
        seed = {"seed": seed_for_guests(self.seed) if is_guest else own} if "seed" in there else {}
        optimum = CONVERGED if self.protocol.converged else {}
        return {**seed, **self.parameters, **device, **optimum}

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

    @property
    def place(self) -> Place:
        """What decides the world of this cell."""
        return Place(self.world, self.bias_level, self.size, self.seed, self.data)

    def built(self) -> World:
        """The world of this cell with its responses; the two built last are cached.

        Raises
        ------
        BadInput
            If the world cannot be built, or a file that it is read from is not the one that was planned with.
        """
        return built(self.place)


def _restored(settings: dict[str, Any]) -> Cell:
    """The cell with these settings; a behaviour from outside is not imported by the process that runs it."""
    with behaviours_as_guests():
        return Cell.model_validate(settings)


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


def with_inputs(cell: Cell) -> Cell:
    """The cell with the fingerprints of what it reads, as it is at this moment.

    Raises
    ------
    BadInput
        If a file cannot be read.
    """
    data, code = inputs_of_world(cell.world), code_of(cell.estimator, cell.grant)
    return cell.model_copy(update={"data": data, "code": code})


def _check_unchanged(planned: Inputs, found: Inputs) -> None:
    if found != planned:
        changed = {name for name, _ in set(planned) ^ set(found)}
        raise BadInput(
            f"{' and '.join(sorted(changed))} has changed since the study was planned: run the same command "
            "again"
        )


def missing(cell: Cell, kind: type[Estimator]) -> list[str]:
    """What the estimator needs but the grants and the world of the cell do not provide, in words."""
    there = {
        "truth",
        *(base(name) for name in cell.grant),
        *(["signals"] if len(cell.world.signal_names) > 1 else []),
        *(cell.world.behaviour.logs & {"pages", "attempts"}),
    }
    lacks = sorted(kind.needs - there) or unavailable(cell)
    if not lacks and cell.protocol.converged and not can_converge(kind):
        return ["one empirical risk of all rows, to be trained to its optimum"]
    return lacks


def run_cell(cell: Cell, shards: Shards) -> Outcome:
    """Run the replicates of a cell that its shard lacks, and keep them there.

    An exception in the estimator does not propagate: it becomes an outcome ``failed``, and the shard stays
    as it was.
    """
    kind = find(cell.estimator)
    lacks = missing(cell, kind)
    if lacks:
        return Outcome(cell, "skipped", f"needs {' and '.join(lacks)}", 0.0)
    there = shards.sound(cell.key)
    if there is not None and there.replicates >= cell.replicates:
        return ended(cell, there)
    start = time.perf_counter()
    try:
        with limited(cell.timeout, out_of_sight(cell, shards)):
            predictions, own = fit_cell(cell, kind, first=0 if there is None else there.replicates)
        if cell.code:
            _check_unchanged(cell.code, code_of(cell.estimator, cell.grant))
        own["parts"] = [facts.made(len(predictions), time.perf_counter() - start)]
        if there is not None:
            own = facts.joined(there.facts, own)
            predictions = np.concatenate([there.predictions, predictions])
    except Exception as error:  # other people's code runs here: whatever it raises is this row's reason
        return Outcome(cell, "failed", reason_of(error), time.perf_counter() - start)
    shards.write(cell.key, predictions, own)
    return Outcome(cell, "ok", "", facts.seconds(own))


def reason_of(error: Exception) -> str:
    """Why a cell failed, in one line."""
    if isinstance(error, GuestError):
        return str(error)
    if isinstance(error, BehaviourError):
        return f"its behaviour fails: {error}"
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def out_of_sight(cell: Cell, shards: Shards) -> list[str]:
    """What an estimator from outside must not read, wherever it lies: results, and files with ratings."""
    folder = shards.folder.local
    return [name for name, _ in cell.data] + ([] if folder is None else [str(folder.parent)])


def ended(cell: Cell, shard: Shard) -> Outcome:
    """The outcome of a cell whose shard holds all its replicates."""
    return Outcome(cell, "ok", "", facts.seconds(facts.first(shard.facts, cell.replicates)))


def fit_cell(
    cell: Cell, kind: type[Estimator], world: World | None = None, first: int = 0
) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw the log of a cell, fit the estimator with what it is granted, and predict the test responses.

    Parameters
    ----------
    cell : Cell
    kind : type of Estimator
    world : World, optional
        A world to use in place of the cell's own.
    first : int
        Number of the first replicate to fit: those before it are drawn and granted, but not fitted.

    Returns
    -------
    predictions : ndarray, shape (R - first, m)
        Rewards ``γ̂`` of the test responses, in [0, 1]; scores of any size if the estimator only ranks.
    facts : dict
        See :mod:`simbench.study.facts`, without ``parts``. ``weights``: of :func:`weight_diagnostics`;
        ``restarts``: of :class:`simbench.training.restarts.Restarts`.

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
    how = (calibrated, cell.memory_budget, execution, first)
    predictions, restarts, chosen = fit_under(protocol, make, settings, log, truth, world.test, *how)
    _check_predictions(predictions, kind)
    if "truth" in kind.needs:
        told.append("truth")
    if log.context is not None and any(network.inputs == "context" for network in kind.networks):
        told.append("context")
    if log.signals is not None:
        told.append(f"{log.signals.shape[1]} signals")
    told += sorted(kind.needs & {"pages", "attempts"})
    told += protocol.told(cell.estimator)
    return predictions, {
        "knows": ", ".join(told) or "nothing",
        "weights": facts.as_lists(weight_diagnostics(log.replicates(slice(first, None)))),
        "restarts": facts.as_lists(restarts),
        "settings": chosen.tolist(),
    }


def _check_predictions(predictions: np.ndarray, kind: type[Estimator]) -> None:
    if not (np.abs(predictions) <= np.finfo(np.float32).max).all():  # as shards hold them; NaN is not either
        raise ArithmeticError("the predictions are not finite: training diverged")
    if not kind.ranks_only and (predictions.min() < 0 or predictions.max() > 1):
        raise ArithmeticError(
            f"predictions lie in [{predictions.min():.3g}, {predictions.max():.3g}], not in [0, 1]: these "
            "look like logits: override `link`, or state `ranks_only = True` for scores that only rank"
        )


def weight_diagnostics(log: FeedbackLog) -> dict[str, np.ndarray]:
    """Diagnostics of the inverse propensity weights ``w = r/α`` under the granted propensity.

    Returns
    -------
    dict of ndarray, shape (R,)
        Empty without a propensity. ``effective_sample_share``: of the clicks, see
        :func:`simbench.score.weights.effective_sample_share`; ``largest_weight``;
        ``negative_weight_share``: share of the responses shown on whose ``ℓ0`` the weight ``1 - r/α`` is
        negative.
    """
    if log.propensity is None:
        return {}
    weight = log.feedback / log.propensity
    return {
        "effective_sample_share": effective_sample_share(weight),
        "largest_weight": weight.max(1),
        "negative_weight_share": (weight > 1).sum(1) / log.n_shown,
    }
