"""A study set up as a trap: the truth lies in the way of an estimator that looks for it.

Where an estimator runs in a process of its own, it finds none. Here it runs beside the truth of a world of
full size, with the study's own seed and with a results folder at hand: who looks is seen, by predictions that
change with the truth, by what the code reaches for, or because it is good only where the seed is known.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from simbench.estimator.estimator import Estimator
from simbench.study.cell import Cell, fit_cell
from simbench.study.grants import BASES
from simbench.study.shards import Shards
from simbench.study.tripwires import Tripwires, code_of
from simbench.worlds.channel import SignalsLaw
from simbench.worlds.config import WorldConfig
from simbench.worlds.law import Drawn
from simbench.worlds.population import Population
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import World, build

REPLICATES = 2
BIAS_LEVEL = 0.8
GAIN = 0.25  # mean squared error where the seed is known, over that where it is not, that is no luck


@dataclass(frozen=True)
class Bait:
    """One set-up of the trap.

    Parameters
    ----------
    seed : int
        Seed of the world, which the estimator is told.
    other_truth : bool
        Whether the truth is one that has nothing to do with the log.
    size : int, optional
        Number of training responses; by default that of a study, with the shipped hyper-parameters. With a
        size, training is short.
    """

    seed: int = 0
    other_truth: bool = False
    size: int | None = None


@dataclass(frozen=True)
class Retold(World):
    """A world whose log was drawn before; ``logged`` holds its replicates."""

    logged: tuple[Drawn, ...] = ()

    def drawn(self, replicate: int) -> Drawn:
        """The replicate of this number, as it was drawn."""
        return self.logged[replicate]


def world_for(kind: type[Estimator], signals: int, **changes: Any) -> WorldConfig:
    """A world whose logs hold what the estimator needs to find in them."""
    if "attempts" in kind.needs:
        return PRESETS["exclusive"].changed(behaviour="regenerate", **changes)
    if "pages" in kind.needs:
        changes["behaviour"] = "page"
    return PRESETS["exclusive"].changed(signals=signals, **changes)


def cell_of(kind: type[Estimator], bait: Bait) -> Cell:
    """The cell in which an estimator is tempted; it is told what it needs."""
    config = world_for(kind, signals=2 if "signals" in kind.needs else 1)
    there = kind().get_params()
    short = {} if bait.size is None or "epochs" not in there else {"epochs": 3}
    return Cell(
        world=config,
        bias_level=BIAS_LEVEL,
        size=bait.size or config.default_size,
        estimator=kind.name,
        parameters=short,
        replicates=REPLICATES,
        seed=bait.seed,
        grant=tuple(base for base in BASES if base in kind.needs),
        label_share=0.05,
        device="cpu",
    )


def spring(kind: type[Estimator], bait: Bait, results: Path | None = None) -> tuple[np.ndarray, list[str]]:
    """Run an estimator in the trap.

    Parameters
    ----------
    kind : type of Estimator
    bait : Bait
    results : Path, optional
        A folder to set up as the results of a study, with the oracle's shard.

    Returns
    -------
    predictions : ndarray, shape (R, m)
    reached : list of str
        What its code reached for besides its log.
    """
    cell = cell_of(kind, bait)
    world = build(cell.world, cell.bias_level, cell.size, cell.seed)
    if bait.other_truth:
        world = retold(world, is_told=bool(cell.grant), labels="labels" in cell.grant)
    if results is not None:
        _leave_about(results, cell, world)
    wires = Tripwires(code_of(kind), results)
    return fit_cell(cell, _watched(kind, wires), world)[0], wires.reached


def retold(world: World, is_told: bool, labels: bool = False, replicates: int = REPLICATES) -> Retold:
    """The world with the same log and another truth; nothing of its own truth is left in it.

    Parameters
    ----------
    world : World
    is_told : bool
        Whether the estimator is told a part of the truth, which stays: the propensity, and the share of good
        responses. Which responses are good changes all the same, unless ``labels`` of them are told.
    labels : bool
    replicates : int
        Number of replicates that it can draw.
    """
    rng = np.random.default_rng(1)
    logged = [world.drawn(replicate) for replicate in range(replicates)]
    train, channel, n = world.train, world.config.channel, len(world.train.reward)
    if is_told:
        order = np.arange(n) if labels else rng.permutation(n)
        reward, preferences = train.reward[order], [one.preference[order] for one in logged]
        propensities = np.array(getattr(train.law, "propensities", train.propensity[None]))
    else:
        reward, *others = rng.uniform(0.05, 0.95, (1 + len(logged[0].signals), n))
        propensities, preferences = np.array(others), [rng.random(n) < reward for _ in logged]
    told = [replace(one, preference=mine) for one, mine in zip(logged, preferences, strict=True)]
    other = rng.uniform(0.05, 0.95, (1 + len(propensities), len(world.test.reward)))
    populations = {
        "train": replace(train, law=SignalsLaw(reward, propensities, channel)),
        "test": replace(world.test, law=SignalsLaw(other[0], other[1:], channel)),
    }
    return Retold(**{**vars(world), **populations}, logged=tuple(told))


def error_of(kind: type[Estimator], predictions: np.ndarray, test: Population) -> float:
    """Mean squared error of the predictions; one minus the rank correlation for scores that only rank."""
    if kind.ranks_only:
        return 1 - float(np.mean([spearmanr(row, test.reward).statistic for row in predictions]))
    return float(((predictions - test.reward) ** 2).mean())


def _leave_about(results: Path, cell: Cell, world: World) -> None:
    oracle = cell.model_copy(update={"estimator": "oracle", "parameters": {}, "grant": ()})
    predictions = np.tile(world.test.reward, (cell.replicates, 1))
    Shards(results / "shards").write(oracle.key, predictions, {"knows": "truth"})
    (results / "study.json").write_text(json.dumps({"config": cell.model_dump(mode="json")}), "utf-8")


def _watched(kind: type[Estimator], wires: Tripwires) -> Any:
    """The estimator with tripwires around its code."""

    class Model:
        def __init__(self, model: Any):
            self.model = model

        def predict(self, features: Any) -> np.ndarray:
            with wires:
                return self.model.predict(features)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.model, name)

    def fit_replicates(self: Any, log: Any, replicates: Any = None, **how: Any) -> Any:
        with wires:
            model = kind.fit_replicates(self, log, replicates, **how)
        return Model(model)

    return type(kind.__name__, (kind,), {"fit_replicates": fit_replicates})


def here() -> Path:
    """The results folder of a trap in the working folder of this process."""
    return Path(os.getcwd(), "results")
