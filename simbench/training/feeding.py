"""Brings feature rows to the training device: once for all, or pool by pool, ahead of the training."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from simbench.files.matrix import IN_MEMORY, MappedMatrix, Matrix, scaled_in_place
from simbench.training.batches import Pool

Key = TypeVar("Key")
SHARE_OF_DEVICE = 0.6  # share of a GPU's free memory that resident features may take


@dataclass(frozen=True)
class Held:
    """A matrix on the device: every row of the log, or at least all rows of one pool.

    Parameters
    ----------
    values : Tensor, shape (k, d)
        Stored values, of any floating-point type.
    scale : float, or Tensor of shape (d,)
        Factor by which stored values are multiplied.
    is_whole : bool
        Whether it holds every row of the log rather than those of one pool.
    dtype : torch.dtype
        Type in which :meth:`take` returns rows.
    mean : Tensor, shape (d,), or None
        What is subtracted from stored values before that.
    """

    values: Tensor
    scale: float | Tensor
    is_whole: bool
    dtype: torch.dtype
    mean: Tensor | None = None

    def take(self, rows: Tensor) -> Tensor:
        """The given rows, scaled, in the type of the matrix products."""
        part = self.values.index_select(0, rows)
        if isinstance(self.scale, Tensor) or self.scale != 1:
            part = scaled_in_place(part.float(), self.mean, self.scale)
        return part.to(self.dtype)


@dataclass(frozen=True)
class Feed(Generic[Key]):
    """What the batches of one pool read.

    Parameters
    ----------
    batches : tuple of Tensor of int64
        Row numbers in the log of each batch, on the device.
    places : tuple of Tensor of int64
        Positions of the same rows in the pool.
    inputs : dict of Held
        Input matrix of each network, by key.
    """

    batches: tuple[Tensor, ...]
    places: tuple[Tensor, ...]
    inputs: dict[Key, Held]

    def __iter__(self) -> Iterator[tuple[Tensor, dict[Key, Tensor]]]:
        """Yield the row numbers of each batch, and the inputs of each network."""
        for rows, place in zip(self.batches, self.places, strict=True):
            yield rows, {k: held.take(rows if held.is_whole else place) for k, held in self.inputs.items()}


class Feeder(Generic[Key]):
    """Supplies the input rows of every network; the next pool is read while the current one trains.

    On a GPU a thread reads ahead. On a CPU that thread would stall the cores that train, which wait for one
    another at every product (measured: a quarter more time); there the operating system is asked to read
    ahead.

    Parameters
    ----------
    inputs : dict of Matrix
        Input matrix of each network, by key. A matrix that is in memory, or small, is copied to the device
        once; on a GPU, every matrix that fits.
    device : torch.device
    dtype : torch.dtype
        Type of the matrix products.
    pool : int, bytes
        Size up to which a matrix on disk is read whole: that of one pool.
    """

    def __init__(
        self, inputs: Mapping[Key, Matrix], device: torch.device, dtype: torch.dtype, pool: int = IN_MEMORY
    ):
        self.device, self.dtype, self.pool = device, dtype, pool
        self._resident: dict[Key, Held] = {}
        self._read: dict[Key, MappedMatrix] = {}
        same: dict[int, Held] = {}  # two networks that read one matrix share its copy
        for key, matrix in inputs.items():
            if self._fits(matrix):
                same[id(matrix)] = held = same.get(id(matrix)) or self._whole(matrix)
                self._resident[key] = held
            else:
                self._read[key] = matrix if isinstance(matrix, MappedMatrix) else MappedMatrix(matrix)
        self.has_reader = device.type != "cpu"
        self._buffers: list[dict[Key, Tensor]] = [{}, {}]

    @property
    def is_resident(self) -> bool:
        """Whether every input stays on the device throughout the training."""
        return not self._read

    def pools(self, plan: Sequence[Pool]) -> Iterator[Feed[Key]]:
        """Yield each pool of the plan in turn, with everything that its batches read."""
        if self.is_resident:
            for pool in plan:
                batches = self._to_device(pool.rows).split(pool.sizes)
                yield Feed(batches, batches, self._resident)
            return
        for pool, (places, inputs) in zip(plan, self._loaded(plan), strict=True):
            batches = self._to_device(pool.rows).split(pool.sizes)
            yield Feed(batches, places.split(pool.sizes), {**self._resident, **inputs})

    def _loaded(self, plan: Sequence[Pool]) -> Iterator[tuple[Tensor, dict[Key, Held]]]:
        """Yield every pool that was read, while the next one is being read."""
        if not self.has_reader:
            for pool, following in zip_longest(plan, plan[1:]):
                if following is not None:
                    for matrix in self._read.values():
                        matrix.announce(following.rows)
                yield self._load(pool, 0)
            return
        with ThreadPoolExecutor(1, "simbench-read") as thread:
            ahead: Future[tuple[Tensor, dict[Key, Held]]] | None = None
            for number, pool in enumerate(plan):
                ready = ahead.result() if ahead is not None else self._load(pool, 0)
                if number + 1 < len(plan):
                    ahead = thread.submit(self._load, plan[number + 1], (number + 1) % 2)
                yield ready

    def _load(self, pool: Pool, side: int) -> tuple[Tensor, dict[Key, Held]]:
        """Read a pool's rows in the file's order into one of the two sides of the buffer."""
        rows, places = np.unique(pool.rows, return_inverse=True)
        loaded: dict[int, Held] = {}
        inputs = {}
        for key, matrix in self._read.items():
            if id(matrix) not in loaded:
                values = matrix.read(rows, self._buffer(side, key, matrix, len(rows)))
                loaded[id(matrix)] = self._of_pool(values, matrix)
            inputs[key] = loaded[id(matrix)]
        return self._to_device(places), inputs

    def _of_pool(self, values: Tensor, matrix: MappedMatrix) -> Held:
        scale = matrix.scale.to(self.device) if isinstance(matrix.scale, Tensor) else matrix.scale
        mean = None if matrix.mean is None else matrix.mean.to(self.device)
        return Held(values.to(self.device), scale, False, self.dtype, mean)

    def _buffer(self, side: int, key: Key, matrix: MappedMatrix, rows: int) -> Tensor:
        """Memory that is reused for every pool: fresh pages cost as much time as the reading."""
        buffer = self._buffers[side].get(key)
        if buffer is None or len(buffer) < rows:
            buffer = torch.empty((rows, matrix.shape[1]), dtype=matrix.stored)
            self._buffers[side][key] = buffer
        return buffer

    def _fits(self, matrix: Matrix) -> bool:
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return matrix.shape[0] * matrix.shape[1] * self.dtype.itemsize < SHARE_OF_DEVICE * free
        return isinstance(matrix, np.ndarray) or matrix.nbytes <= self.pool

    def _whole(self, matrix: Matrix) -> Held:
        if isinstance(matrix, np.ndarray):
            values = torch.from_numpy(np.array(matrix, dtype=np.float32, order="C"))  # a log is read-only
            return Held(values.to(self.device, self.dtype), 1.0, True, self.dtype)
        values = torch.empty(matrix.shape, dtype=self.dtype, device=self.device)
        step = max(1, IN_MEMORY // 8 // (4 * matrix.shape[1]))
        for start in range(0, len(matrix), step):
            values[start : start + step] = torch.from_numpy(matrix[start : start + step])
        return Held(values, 1.0, True, self.dtype)

    def _to_device(self, numbers: np.ndarray) -> Tensor:
        return torch.as_tensor(numbers, dtype=torch.int64, device=self.device)
