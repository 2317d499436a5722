"""A tensor written block by block is the file that the format's own library reads."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from simbench.files.matrix import MappedMatrix
from simbench.files.tensor_file import write_blocks

N, D = 23, 3
X = np.random.default_rng(1).standard_normal((N, D)).astype(np.float32)


@pytest.mark.parametrize("name", ["a", "ab", "abc", "embeddings", "x" * 13])
def test_a_tensor_written_in_blocks_is_the_tensor(name, tmp_path):
    """Blocks of unlike sizes, in float64, transposed in memory, or empty."""
    parts = [X[:4].astype(float), np.asfortranarray(X[4:5]), X[5:5], X[5:].copy(order="F")]
    write_blocks(tmp_path / "x.safetensors", name, iter(parts), X.shape)
    found = load_file(tmp_path / "x.safetensors")
    assert list(found) == [name] and found[name].dtype == np.float32 and np.array_equal(found[name], X)
    blob = (tmp_path / "x.safetensors").read_bytes()
    length = int.from_bytes(blob[:8], "little")
    assert length % 8 == 0 and len(blob) == 8 + length + X.nbytes  # the format's own promise: aligned
    assert np.array_equal(MappedMatrix.open(tmp_path / "x.safetensors")[:], X)


@pytest.mark.parametrize("rows", [N - 1, N + 1])
def test_a_tensor_of_another_size_than_promised_is_refused(rows, tmp_path):
    message = rf"x: {N * D * 4} bytes written where {rows * D * 4} were promised"
    with pytest.raises(ValueError, match=message):
        write_blocks(tmp_path / "x", "a", [X], (rows, D))
