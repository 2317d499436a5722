"""What a pool's batches read: the rows of the file, whoever reads ahead."""

import numpy as np
import pytest
import torch

from simbench.files.matrix import MappedMatrix
from simbench.training.batches import batches_of_rows
from simbench.training.feeding import Feeder


@pytest.mark.parametrize("has_reader", [False, True])
@pytest.mark.parametrize("is_chosen", [False, True])
def test_batches_hold_their_rows_of_the_file(tmp_path, has_reader, is_chosen):
    values = np.random.default_rng(0).standard_normal((5000, 7)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    matrix = MappedMatrix.open(tmp_path / "x.npy").scaled(0.5)
    if is_chosen:
        chosen = np.flatnonzero(np.random.default_rng(1).random(5000) < 0.7)
        matrix, values = matrix.select(chosen), values[chosen]
    feeder = Feeder({"x": matrix}, torch.device("cpu"), torch.float32, pool=4 * 7 * 1200)
    feeder.has_reader = has_reader
    plan = batches_of_rows(np.arange(len(values)), 100, 1200, np.random.default_rng(2))
    assert not feeder.is_resident and len(plan) > 2
    seen = []
    for feed in feeder.pools(plan):
        for rows, inputs in feed:
            assert np.array_equal(inputs["x"].numpy(), values[rows.numpy()] * np.float32(0.5))
            seen.append(rows.numpy())
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(len(values)))
