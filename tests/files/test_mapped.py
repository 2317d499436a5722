"""A matrix on disk is read as the same numbers as in memory, and never whole."""

import io
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from simbench.errors import BadInput
from simbench.files import matrix as mapped
from simbench.files.matrix import (
    MappedMatrix,
    blocks,
    first_not_finite,
    mean_square,
    product,
    take_rows,
)
from simbench.log.feedback import FeedbackLog

X = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)


def written(folder, kind: str):
    """The path of X in this kind of file, and what a reader should find."""
    if kind.startswith("npy"):
        values = X.astype(kind.removeprefix("npy:"))
        np.save(folder / "x.npy", values)
        return folder / "x.npy", values.astype(np.float32)
    values = torch.as_tensor(X).to(getattr(torch, kind))
    save_file({"embeddings": values, "another": torch.zeros(3)}, folder / "x.safetensors")
    return folder / "x.safetensors", values.float().numpy()


KINDS = [
    "npy:float16",
    "npy:float32",
    "npy:float64",
    "npy:int32",
    "float16",
    "bfloat16",
    "float32",
    "float64",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_read_as_it_was_written(kind, tmp_path):
    path, expected = written(tmp_path, kind)
    matrix = MappedMatrix.open(path)
    rows = np.array([7, 3, 3, 49])
    assert matrix.shape == X.shape and len(matrix) == 50
    for found, wanted in (
        (matrix[rows], expected[rows]),
        (matrix[5], expected[5]),
        (matrix[10:20], expected[10:20]),
        (np.asarray(matrix), expected),
        (matrix.scaled(0.3)[rows], expected[rows] * np.float32(0.3)),
        (matrix.select(rows)[1:], expected[rows][1:]),
        (matrix.select(rows).select(np.array([3, 0]))[:], expected[[49, 7]]),
        (matrix.select(np.arange(50) < 4)[:], expected[:4]),
    ):
        assert found.dtype == np.float32 and np.array_equal(found, wanted)


def test_what_is_asked_of_a_whole_matrix_is_found_in_blocks(tmp_path, monkeypatch):
    path, expected = written(tmp_path, "float32")
    matrix, weight = MappedMatrix.open(path), np.arange(6.0)
    assert mean_square(matrix) == mean_square(expected) == np.mean(expected.astype(float) ** 2)
    assert [len(part) for _, part in blocks(matrix, 4 * 6 * 20)] == [20, 20, 10]
    monkeypatch.setattr(mapped, "IN_MEMORY", 4 * 6 * 10)
    assert isinstance(take_rows(matrix, np.arange(11)), MappedMatrix)
    assert isinstance(take_rows(matrix, np.arange(10)), np.ndarray)
    assert np.allclose(product(matrix, weight), expected.astype(float) @ weight, rtol=1e-14)


def test_memory_is_handed_back(tmp_path, monkeypatch):
    """After a pass over 64 MB, next to none of it is resident: the mapping's own count in /proc."""
    values = np.zeros((64 << 10, 256), dtype=np.float32)
    np.save(tmp_path / "big.npy", values)
    matrix = MappedMatrix.open(tmp_path / "big.npy")

    def resident() -> int:
        with open("/proc/self/smaps") as lines:
            text = lines.read().split("big.npy")[1]
        return int(text.split("Rss:")[1].split()[0])

    try:
        assert np.asarray(matrix._array[:]).sum() == 0 and resident() > 60_000  # kB: reading it maps it
    except FileNotFoundError:
        pytest.skip("no /proc on this system")
    assert first_not_finite(matrix) is None and resident() < 1000
    most = []
    monkeypatch.setattr(mapped, "BLOCK", 4 << 20)
    original = matrix._hand_back
    monkeypatch.setattr(matrix, "_hand_back", lambda: (most.append(resident()), original()))
    every_fifth = np.arange(0, len(values), 5)
    assert np.array_equal(matrix[every_fifth], values[every_fifth])
    assert len(most) == 16 and max(most) < 2 * (4 << 10)  # scattered rows, a block of the file at a time


def test_a_log_takes_a_memmap_and_checks_it_once(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    clicks = (np.arange(100).reshape(2, 50) % 3 == 0).astype(np.float32)
    log = FeedbackLog(np.load(tmp_path / "x.npy", mmap_mode="r"), clicks, np.arange(50))
    assert isinstance(log.features, MappedMatrix)
    monkeypatch.setattr("simbench.log.feedback.first_not_finite", lambda _: pytest.fail("read a second time"))
    assert isinstance(log.replicates(slice(1)).features, MappedMatrix)
    monkeypatch.undo()
    bad = X.copy()
    bad[33, 2] = np.inf
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(BadInput, match=r"not finite \(inf\) in row 33, column 2"):
        FeedbackLog(np.load(tmp_path / "bad.npy", mmap_mode="r"), clicks, np.arange(50))


def test_damaged_files_are_one_sentence(tmp_path):
    path, _ = written(tmp_path, "float32")
    whole = path.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-5])
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    header = json.dumps({"embeddings": {"dtype": "I8", "shape": [1, 1], "data_offsets": [0, 1]}}).encode()
    (tmp_path / "kind.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\x00")
    save_file({"a": torch.zeros(2, 2), "b": torch.zeros(2, 2)}, tmp_path / "two.safetensors")
    np.save(tmp_path / "flat.npy", np.zeros(3))
    for name, message in (
        ("cut.safetensors", "cannot be read"),
        ("cut.npy", "cannot be read"),
        ("kind.safetensors", "holds I8"),
        ("two.safetensors", "several tensors"),
        ("flat.npy", r"shape \(3,\)"),
    ):
        with pytest.raises(BadInput, match=message):
            MappedMatrix.open(tmp_path / name)


@pytest.mark.parametrize("damage", ["empty", "archive", "bracket", "kind", "pickle", "complex"])
def test_a_damaged_npy_file_is_one_sentence(damage, tmp_path):
    good, archive, pickled, complex_ = (io.BytesIO() for _ in range(4))
    np.save(good, np.ones((3, 2), np.float32))
    np.savez(archive, a=np.ones((3, 2)))
    np.save(pickled, np.array([[None, 1]], object), allow_pickle=True)
    np.save(complex_, np.ones((3, 2), complex))
    content = {
        "empty": b"",
        "archive": archive.getvalue(),
        "bracket": good.getvalue().replace(b"False", b"[[[[["),
        "kind": good.getvalue().replace(b"<f4", b"<q4"),
        "pickle": pickled.getvalue(),
        "complex": complex_.getvalue(),
    }
    path = tmp_path / "x.npy"
    path.write_bytes(content[damage])
    with pytest.raises(BadInput, match=r"^\S+x.npy (cannot be read \(|holds complex)") as caught:
        MappedMatrix.open(path)
    assert "\n" not in str(caught.value)
