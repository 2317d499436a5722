"""A study: a grid of cells; plan it, run what is missing, and score it into one long table."""

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from pydantic import BaseModel, Field

from simbench import __version__
from simbench.errors import BadInput
from simbench.estimator import Estimator
from simbench.grants import BASES, base, checked, granted, unavailable, variants
from simbench.log import FeedbackLog
from simbench.registry import find
from simbench.store import Shards, write_json
from simbench.world import PRESETS, World, WorldConfig, build

DEFAULT_ESTIMATORS = (
    "oracle",
    "naive",
    "naive-sqrt",
    "balanced-naive",
    "ips",
    "ips-scar",
    "upu",
    "nnpu",
    "implicitrm",
    "implicitrm-known",
    "sklearn:LogisticRegression",
)


class StudyConfig(BaseModel, frozen=True, extra="forbid"):
    """A grid: every world at every bias level and size, with every estimator.

    Parameters
    ----------
    estimators_in : dict
        Estimators of some worlds, by the world's name, in place of ``estimators``.
    grant : tuple of str
        What the run tells those who ask for it, by the names of :data:`simbench.grants.MEANING`; with
        several variants of one, those who ask for it are run once with each. The rate of misclicks is not
        told by default: in the field no log shows it.
    alternatives : tuple of tuple of str
        Whole grants in place of ``grant``, each tried on its own: an estimator runs once with every one that
        tells it something else, and not where another would tell what this one leaves it without.
    margin : float
        Root-mean-square bias, in units of probability, in excess of the oracle's, below which an
        estimator counts as unbiased.
    """

    worlds: tuple[WorldConfig, ...] = (PRESETS["exclusive"],)
    bias_levels: tuple[float, ...] = (0.8,)
    estimators: tuple[str, ...] = DEFAULT_ESTIMATORS
    estimators_in: dict[str, tuple[str, ...]] = {}
    parameters: dict[str, dict[str, Any]] = {}
    sizes: tuple[int, ...] = (10_000,)
    replicates: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
    grant: tuple[str, ...] = ("propensity", "class prior")
    alternatives: tuple[tuple[str, ...], ...] = ()
    label_share: float = Field(default=0.05, gt=0, lt=1)
    margin: float = Field(default=0.05, gt=0)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    device: str = "cpu"


class Cell(BaseModel, frozen=True, extra="forbid"):
    """One estimator in one situation: a value, whose hash names its shard."""

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

    @property
    def key(self) -> str:
        """Canonical hash; the version is part of it, since code changes results."""
        text = json.dumps([__version__, self.model_dump(mode="json")], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def built(self) -> World:
        return _built(self.world, self.bias_level, self.size, self.seed)


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: ``ok``, ``skipped`` or ``failed``, with the reason of the latter two."""

    cell: Cell
    status: str
    reason: str
    seconds: float


class Progress(Protocol):
    """Told of every cell as it ends; a terminal draws a bar, a pipe prints lines."""

    def __call__(self, outcome: Outcome, done: int, total: int) -> None: ...


@lru_cache(maxsize=2)
def _built(world: WorldConfig, bias_level: float, size: int, seed: int) -> World:
    return build(world, bias_level, size, seed)


def plan(config: StudyConfig) -> list[Cell]:
    """The cells of a study; cells of one world stand together."""
    return [
        Cell(
            world=world,
            bias_level=bias_level,
            size=size,
            estimator=name,
            parameters=config.parameters.get(name, {}),
            replicates=config.replicates,
            seed=config.seed,
            grant=grant,
            label_share=config.label_share,
            device=config.device,
        )
        for world in config.worlds
        for size in config.sizes
        for bias_level in config.bias_levels
        for name in config.estimators_in.get(world.name, config.estimators)
        for grant in _grants(config, find(name))
    ]


def _grants(config: StudyConfig, kind: type[Estimator]) -> list[tuple[str, ...]]:
    """What each of an estimator's cells is told."""
    told = [
        variant for one in config.alternatives or (config.grant,) for variant in variants(kind, checked(one))
    ]
    needs = kind.needs & set(BASES)
    enough = [variant for variant in told if needs <= {base(name) for name in variant}]
    return list(dict.fromkeys(enough if config.alternatives and enough else told))


def run(config: StudyConfig, out: Path, jobs: int = 1, progress: Progress | None = None):
    """Run what is missing in ``out``, then write ``results.parquet`` and ``study.json``.

    Parameters
    ----------
    config : StudyConfig
    out : Path
        A new folder, or one that this very study began.
    jobs : int
        Processes; the cores are divided among them.
    progress : callable, optional

    Returns
    -------
    pandas.DataFrame
        The long table of :func:`simbench.results.table`.

    Raises
    ------
    BadInput
        If the configuration cannot be run, or ``out`` holds another study.
    """
    from simbench.results import table, write_table

    cells = plan(config)
    _validate(config, cells)
    _claim(out, config)
    shards = Shards(out / "shards")
    outcomes = {}
    for outcome in _outcomes(cells, shards, jobs):
        outcomes[outcome.cell.key] = outcome
        if progress is not None:
            progress(outcome, len(outcomes), len(cells))
    result = table(config, [outcomes[cell.key] for cell in cells], shards)
    write_table(out / "results.parquet", result)
    return result


def _validate(config: StudyConfig, cells: list[Cell]) -> None:
    """Fail on what cannot work before anything is written."""
    unknown = sorted(set(config.estimators_in) - {world.name for world in config.worlds})
    if unknown:
        raise BadInput(f"estimators_in names {unknown[0]!r}, which is no world of this study.")
    for name in {cell.estimator: None for cell in cells}:
        kind = find(name)
        try:
            kind(**config.parameters.get(name, {}))
        except TypeError as error:
            raise BadInput(f"estimator {name!r} does not take these parameters: {error}.") from error
    for name in config.parameters:
        if name not in config.estimators:
            raise BadInput(f"parameters are given for {name!r}, which is not among the estimators.")
    try:
        torch.empty(1, device=config.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"the device {config.device!r} cannot be used: {reason}.") from error
    for cell in {(c.world, c.bias_level, c.size, c.seed): c for c in cells}.values():
        cell.built()


def _claim(out: Path, config: StudyConfig) -> None:
    """Write ``study.json``, or make sure that the one there is of this study."""
    path = out / "study.json"
    description = json.loads(config.model_dump_json())
    if path.exists():
        try:
            found = json.loads(path.read_text())["config"]
        except (json.JSONDecodeError, KeyError) as error:
            raise BadInput(f"{path} is damaged ({error}): choose another --out.") from error
        if found != description:
            different = sorted(k for k in description if found.get(k) != description[k])
            raise BadInput(
                f"{out} holds another study (it differs in: {', '.join(different)}): choose another "
                "--out, or delete that folder."
            )
        return
    # what a kill in the middle of the very first write leaves behind is no one's result
    if out.exists() and (not out.is_dir() or any(file.suffix != ".tmp" for file in out.iterdir())):
        raise BadInput(f"{out} exists and holds no study of simbench: choose another --out.")
    write_json(path, {"config": description, **environment(config)})


def environment(config: StudyConfig) -> dict[str, Any]:
    """What a reader needs to run the study again elsewhere."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "pandas")
    return {
        "simbench": __version__,
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "device": config.device,
        "threads": torch.get_num_threads(),
        "seed": config.seed,
    }


def _outcomes(cells: list[Cell], shards: Shards, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from (run_cell(cell, shards) for cell in cells)
        return
    from joblib import Parallel, cpu_count, delayed

    threads = max(1, cpu_count() // jobs)
    pool = Parallel(n_jobs=jobs, return_as="generator_unordered")
    results = pool(delayed(_run_in_worker)(cell, shards, threads) for cell in cells)
    yield from cast(Iterator[Outcome], results)


def _run_in_worker(cell: Cell, shards: Shards, threads: int) -> Outcome:
    torch.set_num_threads(threads)
    return run_cell(cell, shards)


def run_cell(cell: Cell, shards: Shards) -> Outcome:
    """Train, unless the shard is there. A cell that fails is an outcome, and leaves no shard."""
    kind = find(cell.estimator)
    there = {
        "truth",
        *(base(name) for name in cell.grant),
        *(["signals"] if len(cell.world.signal_names) > 1 else []),
    }
    missing = sorted(kind.needs - there) or unavailable(cell)
    if missing:
        return Outcome(cell, "skipped", f"needs {' and '.join(missing)}", 0.0)
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
    """Draw the log, grant what is granted, fit, and predict the test responses.

    Parameters
    ----------
    cell : Cell
    kind : type of Estimator
    world : World, optional
        In place of the cell's own.

    Returns
    -------
    predictions : ndarray, shape (R, m)
    facts : dict
        ``knows``, in words; ``weights``, see :func:`weight_diagnostics`; ``restarts``, whether they agree,
        see :class:`simbench.restarts.Restarts`.
    """
    world = cell.built() if world is None else world
    log, truth = world.draw(range(cell.replicates))
    given, told = granted(cell, kind, log, truth)
    parameters = {"seed": cell.seed, **cell.parameters}
    if "device" in kind().get_params():
        parameters["device"] = cell.device
    estimator = kind(**parameters)
    log = replace(log, **given)
    if "signals" not in kind.needs | kind.optional:
        log = replace(log, signals=None, negative_signals=())
    if "truth" in kind.needs:
        log = log.with_feedback(truth.preference.astype(np.float32))
    model = estimator.fit_replicates(log)
    predictions = model.predict(world.test.features)
    expected = (cell.replicates, len(world.test.features))
    if np.shape(predictions) != expected:
        raise ValueError(f"the predictions have shape {np.shape(predictions)}, not {expected}")
    if not np.isfinite(predictions).all():
        raise ArithmeticError("the predictions are not finite: training diverged")
    if "truth" in kind.needs:
        told.append("truth")
    if log.context is not None and any(network.inputs == "context" for network in kind.networks):
        told.append("context")
    if log.signals is not None:
        told.append(f"{log.signals.shape[1]} signals")
    facts = {"knows": ", ".join(told) or "nothing", "weights": weight_diagnostics(log)}
    return predictions, {**facts, "restarts": getattr(model, "diagnostics", {})}


def weight_diagnostics(log: FeedbackLog) -> dict[str, float]:
    """What the granted propensity makes of inverse propensity weights ``r/α``, means over replicates.

    Returns
    -------
    dict
        Empty without a propensity. ``effective_sample_share``: ``(Σw)² / (n_clicked Σw²)``, Kish's effective
        sample size as a share of the clicks; ``largest_weight``; ``negative_weight_share``: share of
        responses on whose ``ℓ0`` the weight ``1 - r/α`` is negative.
    """
    if log.propensity is None:
        return {}
    weight = log.feedback / log.propensity
    effective = weight.sum(1) ** 2 / (weight**2).sum(1) / log.feedback.sum(1)
    return {
        "effective_sample_share": float(effective.mean()),
        "largest_weight": float(weight.max(1).mean()),
        "negative_weight_share": float((weight > 1).mean()),
    }
