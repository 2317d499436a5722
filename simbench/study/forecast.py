"""Forecasts what a study will cost before it runs: time, memory and bytes on disk.

For every kind of work a pilot is fitted: few replicates of at most :data:`ROWS` responses, stopped when its
share of :data:`CALIBRATION` is used up. The time of a cell is extrapolated from its pilot in proportion to
rows, epochs and blocks of replicates. It is an estimate: after how many epochs training stops early is known
of the pilot alone.
"""

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import psutil

from simbench.estimator.estimator import Estimator
from simbench.score.moments import against_oracle, score
from simbench.study.cell import Cell, fit_cell, missing, reason_of
from simbench.study.config import StudyConfig, cells_of, validate, validate_worlds
from simbench.study.guests.kinds import Guest, find
from simbench.study.guests.process import limited
from simbench.study.shards import Shards
from simbench.training.network import block_width
from simbench.training.threads import fixed_threads
from simbench.training.train import chunk_size
from simbench.worlds.world import Population, World

CALIBRATION = 10.0  # seconds of all pilots together
ROWS = 10_000  # of a pilot at most
SHARD_HEADER = 1_500  # bytes of a shard that are no predictions: how it was made
TABLE = (12_000, 600)  # bytes of results.parquet: of itself, and a cell
ROOM = 1 << 50  # bytes

Work = tuple[Hashable, ...]  # what cells of equal cost have in common


@dataclass(frozen=True)
class Span:
    """A range of seconds, at least and at most; both are the same if the pilot ended by itself."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class CellForecast:
    """What one cell will cost.

    Parameters
    ----------
    cell : Cell
    status : {"to run", "finished", "skipped", "fails"}
    reason : str
        Why it is skipped or fails, else empty.
    seconds : Span
    memory : int
        Bytes of the process that runs it.
    disk : int
        Bytes of its shard.
    """

    cell: Cell
    status: str
    reason: str = ""
    seconds: Span = Span()
    memory: int = 0
    disk: int = 0


@dataclass(frozen=True)
class Forecast:
    """What a whole study will cost.

    Parameters
    ----------
    cells : list of CellForecast
    scoring : float
        Seconds that scoring the finished cells takes.
    calibration : float
        Seconds that this forecast took.
    """

    cells: list[CellForecast]
    scoring: float
    calibration: float

    @property
    def work(self) -> Span:
        """Seconds of all cells, one after another."""
        return sum((cell.seconds for cell in self.cells), Span())

    def wall(self, jobs: int) -> Span:
        """Seconds with ``jobs`` cells at a time, scoring included: no less than the longest cell."""
        longest = Span(
            max((c.seconds.low for c in self.cells), default=0.0),
            max((c.seconds.high for c in self.cells), default=0.0),
        )
        shared = Span(max(self.work.low / jobs, longest.low), max(self.work.high / jobs, longest.high))
        return shared + Span(self.scoring, self.scoring)

    @property
    def memory(self) -> int:
        """Bytes of a process when it runs its largest cell."""
        return max((cell.memory for cell in self.cells), default=0)

    @property
    def disk(self) -> int:
        """Bytes of the whole results folder."""
        return TABLE[0] + sum(cell.disk + TABLE[1] for cell in self.cells)


def forecast(
    config: StudyConfig, shards: Shards, progress: Callable[[str, int, int], None] | None = None
) -> Forecast:
    """Forecast a study: calibrate on this machine, and extrapolate to every cell without a shard.

    Nothing is written.

    Parameters
    ----------
    config : StudyConfig
    shards : Shards
        Where finished cells lie.
    progress : callable, optional
        Called before each pilot with its estimator, the number of pilots done and that of all.

    Raises
    ------
    BadInput
        If the configuration cannot be run.
    """
    start, base = time.perf_counter(), _resident()
    cells = cells_of(config)
    with fixed_threads():
        validate(config, cells)
        validate_worlds(cells)
        runnable = (cell for cell in cells if not missing(cell, find(cell.estimator)))
        open_ = {cell.key for cell in runnable if shards.finished(cell.key, cell.replicates) is None}
        alike: dict[Work, list[Cell]] = {}
        for cell in cells:
            if cell.key in open_:
                alike.setdefault(_kind_of_work(cell), []).append(cell)
        pilots: dict[Work, _Pilot] = {}
        for number, (work, members) in enumerate(alike.items()):
            if number == 0:
                _Pilot(members[0], 0.0)  # the first fit in a process pays for what PyTorch sets up
            if progress is not None:
                progress(members[0].estimator, number, len(alike))
            pilots[work] = _Pilot(members[0], CALIBRATION / len(alike))
        found = [_of_cell(cell, cell.key in open_, shards, pilots, base) for cell in cells]
        scoring = sum(_scoring_seconds(config, cell) for cell in found)
    return Forecast(found, scoring, time.perf_counter() - start)


class _Pilot:
    """A few replicates of a cell on a part of its rows, fitted until the time is up."""

    def __init__(self, cell: Cell, seconds: float):
        self.kind = find(cell.estimator)
        self.units = _units(cell, self.kind)
        rows = min(cell.size, ROWS)
        replicates = next(r for r in range(1, cell.replicates + 1) if r == cell.replicates or self._fills(r))
        self.cell = cell.model_copy(update={"size": rows, "replicates": replicates})
        world = self.cell.built()
        elsewhere = cell.device != "cpu" or issubclass(self.kind, Guest)
        clock = time.perf_counter if elsewhere else time.process_time
        self.start = clock()
        timed = _timed(self.kind, clock, self.start + seconds)
        self.ended, self.failure = True, ""
        try:
            with limited(cell.timeout):
                fit_cell(self.cell, timed, world)
        except _OutOfTimeError:
            self.ended = False
        except Exception as error:  # other people's code runs here, as in a cell
            self.failure = reason_of(error)
        self.epochs, self.seconds = timed.ends_of_epochs, clock() - self.start

    def _fills(self, replicates: int) -> bool:
        """Whether so many replicates leave little of a block empty."""
        return self.units(replicates + 1) > 1

    def of(self, cell: Cell) -> Span:
        """The seconds of a cell, extrapolated from the pilot to its size and number of replicates."""
        scale = (cell.size / self.cell.size) * self.units(cell.replicates) / self.units(self.cell.replicates)
        if len(self.epochs) < 2:
            return Span(self.seconds * scale, self.seconds * scale)
        epoch = (self.epochs[-1] - self.epochs[0]) / (len(self.epochs) - 1)
        rest = max(0.0, self.seconds - epoch * len(self.epochs))
        low, high = self._expected_epochs(cell)
        return Span((rest + epoch * low) * scale, (rest + epoch * high) * scale)

    def _expected_epochs(self, cell: Cell) -> tuple[float, float]:
        """Epochs at least and at most.

        Training is assumed to find its best after as many steps as in the pilot, and to stop when its
        patience, which counts epochs, is over.
        """
        parameters = self.kind(**cell.parameters).get_params()
        fits = len(cell.settings(self.kind))  # a protocol may try several settings
        done, most = len(self.epochs), fits * parameters.get("epochs", len(self.epochs))
        patience = min(fits * parameters.get("patience", 0), most)
        if not self.ended:
            return max(patience + 1, done * self.cell.size / cell.size), max(most, done)
        if done >= most:  # no early stop, or several fits
            return done, done
        best = max(1, done - patience)
        found = min(most, math.ceil(best * self.cell.size / cell.size) + patience)
        return found, found


class _OutOfTimeError(Exception):
    """Raised when a pilot has used up its time."""


def _timed(kind: type[Estimator], clock: Callable[[], float], until: float) -> Any:
    """The estimator with a clock on its early-stopping criterion, which is computed once an epoch."""

    class Timed(kind):
        ends_of_epochs: ClassVar[list[float]] = []

        def selection_loss(self, out, batch):
            self.ends_of_epochs.append(clock())
            if len(self.ends_of_epochs) > 2 and self.ends_of_epochs[-1] > until:
                raise _OutOfTimeError
            return super().selection_loss(out, batch)

    return Timed


def _kind_of_work(cell: Cell) -> Work:
    """Key of cells that cost the same, but for their size and number of replicates."""
    world = cell.world
    shape = (str(world.responses), world.logs_context, len(world.signal_names))
    parameters = repr(sorted(cell.parameters.items()))
    how = (_grants(cell), cell.device, cell.protocol.name)
    return (cell.estimator, parameters, shape, min(cell.size, ROWS), *how)


def _grants(cell: Cell) -> tuple[str, ...]:
    return tuple(name.partition("=")[0] for name in cell.grant)


def _units(cell: Cell, kind: type[Estimator]) -> Callable[[int], int]:
    """Maps replicates to what time is proportional to: blocks of stacked networks, or replicates."""
    parameters = kind(**cell.parameters).get_params()
    hidden, restarts = parameters.get("hidden"), parameters.get("restarts", 1)
    if hidden is None:
        return lambda replicates: replicates
    width = block_width(tuple(hidden))
    return lambda replicates: math.ceil(replicates * restarts / width)


def _of_cell(
    cell: Cell, is_open: bool, shards: Shards, pilots: "dict[Work, _Pilot]", base: int
) -> CellForecast:
    kind = find(cell.estimator)
    lacks = missing(cell, kind)
    if lacks:
        return CellForecast(cell, "skipped", f"needs {' and '.join(lacks)}")
    world = cell.built()
    disk = 4 * cell.replicates * len(world.test.reward) + SHARD_HEADER
    if not is_open:
        return CellForecast(cell, "finished", disk=disk)
    pilot = pilots[_kind_of_work(cell)]
    if pilot.failure:
        return CellForecast(cell, "fails", pilot.failure)
    memory = base + _memory(cell, kind, world)
    return CellForecast(cell, "to run", "", pilot.of(cell), memory, disk)


def _memory(cell: Cell, kind: type[Estimator], world: World) -> int:
    """Bytes that a cell takes on top of the process itself.

    They hold the world, the training copy of its features, the drawn logs, a chunk of stacked networks, and
    the predictions.
    """
    r, n, m = cell.replicates, len(world.train.reward), len(world.test.reward)
    inputs = [world.train.features, world.train.context]
    features = sum(2 * part.nbytes for part in inputs if part is not None) + world.test.features.nbytes
    signals = len(world.config.signal_names)
    drawn = r * n * (4 * (signals + 2) + 1)  # signals, feedback and its copy in float32, preference
    estimator = kind(**cell.parameters)
    chunk = 0
    if "hidden" in estimator.get_params():
        log, _ = world.draw(range(1))
        each = ROOM // chunk_size(estimator, log, ROOM)
        width = block_width(tuple(estimator.hidden))
        chunk = min(max(cell.memory_budget, width * each), _units(cell, kind)(r) * width * each)
    return features + drawn + chunk + r * m * (8 + 8 + 4)


def _scoring_seconds(config: StudyConfig, found: CellForecast) -> float:
    """Seconds of scoring one cell, measured on a few replicates of noise."""
    if not found.disk:
        return 0.0
    cell = found.cell
    test = cell.built().test
    few = min(cell.replicates, 20)
    return _scoring_of(len(test.reward), few, config.level, test) * cell.replicates / few


_measured: dict[tuple[int, int, float], float] = {}


def _scoring_of(m: int, replicates: int, level: float, test: Population) -> float:
    key = (m, replicates, level)
    if key not in _measured:
        predictions = np.random.default_rng(0).random((replicates, m))
        start = time.process_time()
        score(predictions, test.reward, test.groups, level=level)
        against_oracle(predictions, predictions[::-1], test.reward, level=level)
        _measured[key] = time.process_time() - start
    return _measured[key]


def _resident() -> int:
    """The bytes that this process holds: before anything is drawn, what its imports take."""
    return psutil.Process().memory_info().rss
