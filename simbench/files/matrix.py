"""Matrices that stay in a file and are read in blocks, so that they are never whole in memory."""

import json
import mmap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simbench.errors import BadInput

BLOCK = 64 << 20  # bytes of float32 that one pass over a matrix holds at a time
IN_MEMORY = 512 << 20  # bytes of float32 up to which a matrix is read whole: one pool of training
NEAR = 64  # most unneeded rows between two needed ones that are still announced as one range
FLOATS: dict[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
}


class MappedMatrix:
    """A matrix on disk whose rows are converted to float32, shifted and scaled as they are read.

    Parameters
    ----------
    array : ndarray, shape (n, d)
        Usually a ``np.memmap``, of float16, float32 or float64, or of uint16 that holds the bits of bfloat16.
    is_bfloat16 : bool
        Whether ``array`` holds the bits of bfloat16.
    scale : float, or Tensor of shape (d,), float32
        Factor by which the values are multiplied, in float32, as they are read; one for every column, if it
        is a tensor.
    chosen : ndarray of int64, optional
        Rows of ``array`` that this matrix consists of, in this order; by default all of them.
    mean : Tensor, shape (d,), float32, optional
        What is subtracted from every column before that.

    Notes
    -----
    The memory of every block is handed back to the system after it was read, so that the resident memory of
    the process does not grow with the file; the system still caches the file where it has memory to spare.
    """

    ndim: int = 2
    dtype: np.dtype[np.float32] = np.dtype(np.float32)
    is_bfloat16: bool
    scale: float | Tensor
    is_checked: bool  # for finite values, see simbench.log.feedback.check_matrix

    def __init__(
        self,
        array: np.ndarray,
        is_bfloat16: bool = False,
        scale: float | Tensor = 1.0,
        chosen: np.ndarray | None = None,
        mean: Tensor | None = None,
    ):
        self._array, self.is_bfloat16, self._chosen = array, is_bfloat16, chosen
        self.scale, self.mean = scale, mean
        self.is_checked = False

    @classmethod
    def open(cls, path: Path) -> "MappedMatrix":
        """Open a .npy file, or a .safetensors file.

        Of a .safetensors file it is the tensor ``embeddings``, or else the only tensor.

        Raises
        ------
        BadInput
            If the file is damaged, or holds no matrix of floating-point numbers.
        """
        try:
            array, kind = _map_npy(path) if path.suffix == ".npy" else _map_safetensors(path)
        except BadInput:
            raise
        except Exception as error:  # of what parses a header: each its own
            said = next(iter(str(error).splitlines()), type(error).__name__)
            raise BadInput(f"{path} cannot be read ({said}): write it again.") from error
        if array.ndim != 2:
            raise BadInput(f"{path} has shape {array.shape}: it must be a matrix, one row a response.")
        if array.shape[1] == 0:
            raise BadInput(f"{path} has shape {array.shape}: there is no column of features in it.")
        return cls(array, kind == "BF16")

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return len(self), self._array.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that the matrix takes in memory as float32."""
        return 4 * len(self) * self._array.shape[1]

    @property
    def stored(self) -> torch.dtype:
        """The dtype in which the file stores its values."""
        if self.is_bfloat16:
            return torch.bfloat16
        return torch.from_numpy(np.empty(0, self._array.dtype)).dtype

    def __len__(self) -> int:
        return len(self._array) if self._chosen is None else len(self._chosen)

    def scaled(self, factor: float) -> "MappedMatrix":
        """Return the same rows multiplied by ``factor``, without reading them."""
        return self._like(self.scale * factor, self._chosen)

    def standardised(self, mean: np.ndarray, scale: np.ndarray) -> "MappedMatrix":
        """Return the same rows, ``mean`` subtracted and multiplied by ``scale``, without reading them.

        Parameters
        ----------
        mean, scale : ndarray, shape (d,)
            Of the values in the file, which must not be scaled yet.
        """
        assert self.mean is None and isinstance(self.scale, float) and self.scale == 1
        other = self._like(torch.tensor(scale, dtype=torch.float32), self._chosen)
        other.mean = torch.tensor(mean, dtype=torch.float32)
        return other

    def select(self, rows: np.ndarray) -> "MappedMatrix":
        """Return the matrix of some of the rows, still on disk.

        Parameters
        ----------
        rows : ndarray of int64 or bool
            Row numbers in the wanted order, or a mask.
        """
        numbers = np.arange(len(self))[rows]
        return self._like(self.scale, numbers if self._chosen is None else self._chosen[numbers])

    def _like(self, scale: float | Tensor, chosen: np.ndarray | None) -> "MappedMatrix":
        other = MappedMatrix(self._array, self.is_bfloat16, scale, chosen, self.mean)
        other.is_checked = self.is_checked
        return other

    def read(self, rows: np.ndarray, out: Tensor) -> Tensor:
        """Copy rows as they are stored, neither converted nor scaled.

        Rows in ascending order are read fastest.

        Parameters
        ----------
        rows : ndarray of int64, shape (k,)
            Row numbers.
        out : Tensor of dtype :attr:`stored`, shape (>= k, d), on the CPU
            Buffer whose first k rows are overwritten.

        Returns
        -------
        Tensor, shape (k, d)
            Those first k rows of ``out``.
        """
        there = rows if self._chosen is None else self._chosen[rows]
        filled = out[: len(rows)]
        target = (filled.view(torch.int16) if self.is_bfloat16 else filled).numpy()
        source = self._array.view(np.int16) if self.is_bfloat16 else self._array
        for part in self._spans(there):
            # "raise" would buffer the whole result
            np.take(source, there[part], axis=0, out=target[part], mode="clip")
            self._hand_back()
        return filled

    def announce(self, rows: np.ndarray) -> None:
        """Ask the system to read these rows ahead.

        Does nothing if the matrix is not in a file, or the system has no such call.
        """
        mapped = self._file()
        if mapped is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        there = np.unique(rows if self._chosen is None else self._chosen[rows])
        width = self._array.itemsize * self._array.shape[1]
        first = self._array.__array_interface__["data"][0] - np.frombuffer(mapped, np.uint8).ctypes.data
        cuts = np.flatnonzero(np.diff(there) > NEAR) + 1
        for run in np.split(there, cuts):
            start = (first + int(run[0]) * width) // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, start, first + (int(run[-1]) + 1) * width - start)

    def _spans(self, rows: np.ndarray) -> list[slice]:
        """Split ``rows`` by blocks of the file, so that no more than one block becomes resident."""
        step = max(1, BLOCK // max(1, self._array.itemsize * self._array.shape[1]))
        blocks = rows // step if (np.diff(rows) >= 0).all() else np.arange(len(rows)) // step
        cuts = np.flatnonzero(np.diff(blocks)) + 1
        return [slice(a, b) for a, b in pairwise([0, *cuts.tolist(), len(rows)])]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read rows as float32, by a slice, an integer, an array of integers or a mask."""
        numbers = np.arange(len(self))[rows]
        buffer = torch.empty((np.size(numbers), self.shape[1]), dtype=self.stored)
        values = self.read(np.atleast_1d(numbers), buffer).float()
        scaled = scaled_in_place(values, self.mean, self.scale).numpy()
        return scaled[0] if np.ndim(numbers) == 0 else scaled

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read the whole matrix into memory, for estimators that need it at once."""
        return self[:].astype(dtype or np.float32, copy=False)

    def _hand_back(self) -> None:
        mapped = self._file()
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

    def _file(self) -> mmap.mmap | None:
        """The memory mapping behind the array, or None if it is not in a file."""
        mapped: Any = self._array
        while mapped is not None and not isinstance(mapped, mmap.mmap):
            mapped = getattr(mapped, "_mmap", None) or getattr(mapped, "base", None)
        return mapped


Matrix = np.ndarray | MappedMatrix


def scaled_in_place(values: Tensor, mean: Tensor | None, scale: float | Tensor) -> Tensor:
    """Subtract the mean from float32 rows, (k, d), and multiply them by the scale; both as in a matrix."""
    if mean is not None:
        values.sub_(mean)
    return values if isinstance(scale, float) and scale == 1 else values.mul_(scale)


def as_matrix(values: Matrix) -> Matrix:
    """Return a floating-point ``np.memmap`` as a :class:`MappedMatrix`, anything else unchanged."""
    return MappedMatrix(values) if isinstance(values, np.memmap) and values.dtype.kind == "f" else values


def blocks(matrix: Matrix, block: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """Iterate over successive blocks of rows, each of at most ``block`` bytes as float32: first row, rows."""
    step = max(1, block // (4 * max(1, matrix.shape[1])))
    for start in range(0, len(matrix), step):
        yield start, matrix[start : start + step]


def first_not_finite(matrix: Matrix) -> tuple[int, int] | None:
    """Return row and column of the first value that is NaN or infinite, or None if all are finite."""
    for start, part in blocks(matrix):
        finite = np.isfinite(part)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            return start + int(row), int(column)
    return None


def mean_square(matrix: Matrix) -> float:
    """Return the mean of the squared entries, computed in float64."""
    means = [(float(np.mean(part.astype(float) ** 2)), len(part)) for _, part in blocks(matrix)]
    return means[0][0] if len(means) == 1 else sum(mean * rows for mean, rows in means) / len(matrix)


def take_rows(matrix: Matrix, rows: np.ndarray) -> Matrix:
    """Return some of the rows: in memory, unless they are on disk and too many to be held there."""
    if isinstance(matrix, np.ndarray):
        return matrix[rows]
    part = matrix.select(rows)
    return part[:] if part.nbytes <= IN_MEMORY else part


def product(matrix: Matrix, weight: np.ndarray) -> np.ndarray:
    """Return ``matrix @ weight``, computed in float64, shape (n, ...)."""
    if isinstance(matrix, np.ndarray):
        return matrix.astype(float) @ weight
    return np.concatenate([part.astype(float) @ weight for _, part in blocks(matrix)])


def _map_npy(path: Path) -> tuple[np.ndarray, str]:
    array = np.lib.format.open_memmap(path, mode="r")  # never an archive, nor pickled objects
    if array.dtype in (np.float16, np.float32, np.float64):
        return array, str(array.dtype)
    if array.dtype.kind not in "fiub":
        raise BadInput(f"{path} holds {array.dtype}: features must be real numbers.")
    return array.astype(np.float32), "F32"  # whole numbers and the like: rare, and read whole


def _map_safetensors(path: Path) -> tuple[np.ndarray, str]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:  # checks the header and the file's length
        names = list(file.keys())
    if "embeddings" not in names and len(names) != 1:
        raise BadInput(f"{path} holds several tensors ({', '.join(names)}), none is 'embeddings'.")
    name = "embeddings" if "embeddings" in names else names[0]
    with path.open("rb") as file:  # 8 bytes of length, JSON, then the tensors as they lie in memory
        length = int.from_bytes(file.read(8), "little")
        described = json.loads(file.read(length))[name]
    kind, shape = described["dtype"], tuple(described["shape"])
    start = 8 + length + described["data_offsets"][0]
    if kind not in FLOATS:
        raise BadInput(f"{path} holds {kind}: features must be float16, bfloat16, float32 or float64.")
    if 0 in shape:
        return np.empty(shape, FLOATS[kind]), kind
    return np.memmap(path, dtype=FLOATS[kind], mode="r", offset=start, shape=shape), kind
