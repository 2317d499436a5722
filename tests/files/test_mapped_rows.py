"""Rows, blocks and offsets of a matrix on disk, against plain indexing of the same numbers in memory."""

import mmap

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from simbench.files import matrix as mapped
from simbench.files.matrix import (
    MappedMatrix,
    as_matrix,
    blocks,
    first_not_finite,
    mean_square,
    product,
    take_rows,
)

N, D = 23, 3
X = np.random.default_rng(1).standard_normal((N, D)).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch):
    """Passes over a matrix hold four rows at once: 23 rows are five blocks of 4 and one of 3."""
    whole = mapped.blocks
    monkeypatch.setattr(mapped, "blocks", lambda matrix: whole(matrix, 4 * 4 * D))


@pytest.fixture(params=["memory", "disk"])
def matrix(request, tmp_path):
    np.save(tmp_path / "x.npy", X)
    return X if request.param == "memory" else MappedMatrix.open(tmp_path / "x.npy")


def test_blocks_cover_every_row_once_in_order(matrix):
    found = list(blocks(matrix, 4 * D * 4))
    assert [start for start, _ in found] == [0, 4, 8, 12, 16, 20] and len(found[-1][1]) == 3
    assert np.array_equal(np.concatenate([part for _, part in found]), X)
    assert [len(part) for _, part in blocks(matrix, 4 * D * 4 + 11)] == [4] * 5 + [3]  # never more bytes
    assert len(list(blocks(matrix, 1))) == N  # at least a row
    assert [len(part) for _, part in blocks(matrix)] == [N]


def test_a_product_is_the_product_across_blocks(matrix, small_blocks):
    for weight in (np.array([1.0, -2.0, 0.5]), np.arange(6.0).reshape(3, 2)):
        expected = np.array([sum(float(x) * w for x, w in zip(row, weight, strict=True)) for row in X])
        found = product(matrix, weight)
        assert found.dtype == float and found.shape == expected.shape
        assert found == pytest.approx(expected, rel=1e-13, abs=1e-14)


def test_a_product_is_taken_in_float64(tmp_path):
    """1 + 2^-30 is 1 in float32."""
    tiny = np.array([[1.0, 2.0**-30]], dtype=np.float32)
    np.save(tmp_path / "x.npy", tiny)
    for values in (tiny, MappedMatrix.open(tmp_path / "x.npy")):
        assert product(values, np.ones(2))[0] - 1 == pytest.approx(2.0**-30, rel=1e-6)


def test_the_mean_square_weighs_blocks_by_their_rows(tmp_path, small_blocks):
    steps = np.repeat(np.arange(N), D).reshape(N, D).astype(np.float32)
    np.save(tmp_path / "x.npy", steps)
    expected = sum(row**2 for row in range(N)) / N
    for values in (steps, MappedMatrix.open(tmp_path / "x.npy")):
        assert mean_square(values) == pytest.approx(expected, rel=1e-14)
    assert mean_square(steps[:4]) == pytest.approx((1 + 4 + 9) / 4, rel=1e-14)
    assert mean_square(-steps[:4] * np.float32(2)) == pytest.approx(14, rel=1e-14)
    large = np.full((5, D), 1e30, dtype=np.float32)  # its square is no float32
    assert mean_square(large) == pytest.approx(1e60, rel=1e-6)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 2), (4, 0), (13, 1), (22, 2)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_value_that_is_not_finite_is_found(row, column, value, small_blocks):
    bad = X.copy()
    bad[row:, column] = value
    assert first_not_finite(bad) == (row, column)
    assert first_not_finite(X) is None


UNSORTED = np.array([7, 3, 3, 22, 0, 7])


@pytest.mark.parametrize("block", [1, 2 * 4 * D, 5 * 4 * D, 1 << 20])
@pytest.mark.parametrize("rows", [UNSORTED, np.sort(UNSORTED), np.array([], dtype=int), np.arange(N)[::-1]])
def test_rows_come_in_the_order_that_was_asked_however_small_a_block_is(rows, block, tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK", block)
    np.save(tmp_path / "x.npy", X)
    matrix = MappedMatrix.open(tmp_path / "x.npy")
    assert np.array_equal(matrix[rows], X[rows]) and matrix[rows].shape == (len(rows), D)
    assert np.array_equal(take_rows(matrix, rows), X[rows]) and np.array_equal(take_rows(X, rows), X[rows])
    chosen = matrix.select(np.arange(N)[::-1])
    assert np.array_equal(chosen[rows], X[::-1][rows])
    out = torch.full((len(rows) + 2, D), -9.0)
    found = chosen.read(rows, out)
    assert np.array_equal(found.numpy(), X[::-1][rows]) and np.array_equal(out[: len(rows)], found)
    assert (out[len(rows) :] == -9).all()


def test_spans_hold_each_row_once_and_touch_one_block_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK", 4 * 4 * D)  # four rows
    np.save(tmp_path / "x.npy", X)
    matrix = MappedMatrix.open(tmp_path / "x.npy")
    rows = np.array([0, 3, 3, 4, 11, 12, 20, 22])
    spans = [rows[span].tolist() for span in matrix._spans(rows)]
    assert spans == [[0, 3, 3], [4], [11], [12], [20, 22]]
    assert [len(UNSORTED[span]) for span in matrix._spans(UNSORTED)] == [4, 2]  # scattered: so many at once


def test_selections_and_scales_compose(tmp_path):
    np.save(tmp_path / "x.npy", X)
    matrix = MappedMatrix.open(tmp_path / "x.npy")
    assert not matrix.is_checked
    matrix.is_checked = True
    odd = matrix.scaled(2.0).select(np.arange(N) % 2 == 1)  # eleven rows: 1, 3, ..., 21
    part = odd.scaled(0.25).select(np.array([-1, 0, 0]))
    assert part.is_checked and len(odd) == 11 and part.shape == (3, D) and part.nbytes == 3 * D * 4
    assert part[:] == pytest.approx(X[[21, 1, 1]] / 2, rel=1e-6)
    assert part[0] == pytest.approx(X[21] / 2, rel=1e-6) and part[-1].shape == (D,)
    assert odd[-2] == pytest.approx(2 * X[19], rel=1e-6)
    assert np.asarray(odd, dtype=float).dtype == float and np.asarray(odd).dtype == np.float32
    assert odd.__array__(np.float16).dtype == np.float16 and odd.__array__().dtype == np.float32
    assert np.array_equal(matrix[:], X)  # the file's own numbers are as they were
    with pytest.raises(IndexError):
        matrix[N]


@pytest.mark.parametrize(
    ("kind", "stored"),
    [(np.float16, torch.float16), (np.float32, torch.float32), (np.float64, torch.float64)],
)
def test_the_type_of_the_file_is_told_and_float32_is_read(kind, stored, tmp_path):
    values = np.array([[1 / 3, 1e-3], [2 / 3, 7.0]]).astype(kind)
    save_file({"only": values}, tmp_path / "x.safetensors")
    matrix = MappedMatrix.open(tmp_path / "x.safetensors")  # one tensor: whatever its name
    assert matrix.stored == stored and matrix.dtype == np.float32 and matrix.ndim == 2
    assert np.array_equal(matrix[:], values.astype(np.float32)) and matrix.nbytes == 16
    out = torch.empty((2, 2), dtype=stored)
    assert np.array_equal(matrix.scaled(3.0).read(np.array([1, 0]), out).numpy(), values[::-1])  # unscaled
    assert matrix.scaled(3.0)[:] == pytest.approx(3 * values.astype(np.float32), rel=1e-6)


def test_bfloat16_is_read_by_its_bits(tmp_path):
    values = torch.tensor([[1.5, -2.25], [3e38, 1e-30]]).to(torch.bfloat16)
    save_torch({"embeddings": values, "a": torch.zeros(5, dtype=torch.bfloat16)}, tmp_path / "x.safetensors")
    matrix = MappedMatrix.open(tmp_path / "x.safetensors")
    assert matrix.stored == torch.bfloat16 and matrix.is_bfloat16
    assert np.array_equal(matrix[:], values.float().numpy())
    assert np.array_equal(matrix.select(np.array([1])).scaled(0.5)[0], values[1].float().numpy() / 2)


def test_arrays_in_other_layouts_are_read_as_what_they_mean(tmp_path):
    """Column by column, big-endian, whole numbers, truth values."""
    whole = np.arange(6).reshape(3, 2)
    for name, values in (
        ("columns", np.asfortranarray(whole, dtype=np.float32)),
        ("big", whole.astype(">f4")),
        ("whole", whole.astype(np.int8)),
        ("truth", whole % 2 == 0),
    ):
        np.save(tmp_path / f"{name}.npy", values)
        matrix = MappedMatrix.open(tmp_path / f"{name}.npy")
        expected = whole % 2 == 0 if name == "truth" else whole
        assert np.array_equal(matrix[:], expected) and matrix[[2, 0]].tolist() == expected[[2, 0]].tolist()
        assert np.array_equal(np.asarray(matrix.select(np.array([1]))), expected[1:2]), name


def test_an_empty_matrix_is_read(tmp_path):
    save_file({"embeddings": np.empty((0, 4), np.float64)}, tmp_path / "x.safetensors")
    matrix = MappedMatrix.open(tmp_path / "x.safetensors")
    assert matrix.shape == (0, 4) and matrix[:].shape == (0, 4) and first_not_finite(matrix) is None


def test_only_a_memmap_of_floating_point_numbers_is_wrapped(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "i.npy", np.arange(4).reshape(2, 2))
    wrapped = as_matrix(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert isinstance(wrapped, MappedMatrix) and wrapped.scale == 1 and np.array_equal(wrapped[:], X)
    for other in (X, np.load(tmp_path / "i.npy", mmap_mode="r"), wrapped):
        assert as_matrix(other) is other


class Watched(mmap.mmap):
    """A mapping that keeps what was announced."""

    def madvise(self, option, start=0, length=None):
        self.__dict__.setdefault("asked", []).append((option, start, length))


def test_rows_are_announced_by_whole_pages_and_near_ones_together(tmp_path):
    page, width, offset, n = mmap.PAGESIZE, 256, 48, 2000
    values = np.arange(n * 64, dtype=np.float32).reshape(n, 64)
    (tmp_path / "x").write_bytes(b"\0" * offset + values.tobytes())
    with (tmp_path / "x").open("rb") as file:
        watched = Watched(file.fileno(), 0, access=mmap.ACCESS_READ)
    array = np.frombuffer(watched, np.float32, offset=offset).reshape(n, 64)
    matrix = MappedMatrix(array)
    matrix._file = lambda: watched
    matrix.announce(np.array([1700, 900, 30, 94, 900, 159]))  # 30 and 94 are 64 apart, 94 and 159 one more
    ranges = [(30, 94), (159, 159), (900, 900), (1700, 1700)]
    expected = []
    for first, last in ranges:
        start = (offset + first * width) // page * page
        expected.append((mmap.MADV_WILLNEED, start, offset + (last + 1) * width - start))
    assert watched.asked == expected
    watched.asked.clear()
    turned = MappedMatrix(array, chosen=np.arange(n)[::-1])
    turned._file = lambda: watched
    turned.announce(np.array([299]))  # row 1700 of the file
    assert watched.asked == expected[-1:]
    MappedMatrix(X).announce(np.array([1]))  # in memory: nothing to ask


def test_a_mapping_is_found_behind_views_and_nothing_behind_memory(tmp_path):
    np.save(tmp_path / "x.npy", X)
    matrix = MappedMatrix.open(tmp_path / "x.npy")
    assert isinstance(matrix._file(), mmap.mmap) and isinstance(matrix.select([1])._file(), mmap.mmap)
    assert isinstance(MappedMatrix(matrix._array[2:]).scaled(2)._file(), mmap.mmap)
    assert MappedMatrix(X)._file() is None
