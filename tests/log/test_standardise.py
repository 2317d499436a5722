"""Columns of a user's features: brought to mean 0 and spread 1, in memory and on disk, to the same bits."""

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.files import matrix as matrices
from simbench.files.matrix import MappedMatrix
from simbench.log.standardise import Standardisation
from simbench.training.batches import Pool
from simbench.training.feeding import Feeder


@pytest.fixture
def columns(monkeypatch):
    """Of very different size and place, one constant; several blocks."""
    monkeypatch.setattr(matrices.blocks, "__defaults__", (64,))
    x = np.random.default_rng(0).standard_normal((50, 4)) * [1e-6, 1, 1e6, 0] + [0, 3, 1e9, 7]
    return x.astype(np.float32)


def test_every_column_gets_mean_0_and_spread_1(columns):
    """Witness: NumPy, on the float32 values as they are stored."""
    found = Standardisation.of(columns)
    exact = columns.astype(float)
    assert found.mean == pytest.approx(exact.mean(0), rel=1e-12)
    assert found.scale[:3] == pytest.approx(1 / exact.std(0)[:3], rel=1e-6) and found.scale[3] == 1
    assert found.constant == 1
    done = found.apply(columns)
    assert done.dtype == np.float32 and done[:, 3].tolist() == [0] * 50
    assert done[:, :3].mean(0) == pytest.approx(0, abs=1e-4) and done[:, :3].std(0) == pytest.approx(1, 1e-4)
    assert "4 columns, each standardised: means from" in str(found) and "1 of them constant" in str(found)


def test_a_matrix_on_disk_is_standardised_as_it_is_read(columns):
    found = Standardisation.of(columns)
    on_disk = found.apply(MappedMatrix(columns))
    assert isinstance(on_disk, MappedMatrix)
    expected = found.apply(columns)
    assert np.array_equal(on_disk[:], expected) and np.array_equal(on_disk[4], expected[4])
    assert np.array_equal(on_disk.select(np.array([7, 2]))[:], expected[[7, 2]])
    same = Standardisation.of(MappedMatrix(columns))
    assert np.array_equal(same.mean, found.mean) and np.array_equal(same.scale, found.scale)


@pytest.mark.parametrize("pool", [0, 1 << 20])
def test_training_reads_it_standardised(columns, pool):
    """Whether it is read whole, or pool by pool."""
    import torch

    found = Standardisation.of(columns)
    feeder = Feeder({"x": found.apply(MappedMatrix(columns))}, torch.device("cpu"), torch.float32, pool)
    assert feeder.is_resident == (pool > 0)
    (feed,) = feeder.pools([Pool(np.array([3, 9, 1]), [3])])
    ((_, inputs),) = feed
    assert np.array_equal(inputs["x"].numpy(), found.apply(columns)[[3, 9, 1]])


def test_features_that_tell_nothing_are_refused():
    empty = np.zeros((10, 2), np.float32)
    with pytest.raises(BadInput, match="the features are all zero: there"):
        Standardisation.of(empty)
    with pytest.raises(BadInput, match=r"log\.csv are the same in every row"):
        Standardisation.of(empty + 3, "the features of log.csv")
    empty[:5, 1] = [1, 2, 3, 4, 5]
    Standardisation.of(empty)
    empty[4] = 0
    with pytest.raises(BadInput, match="are all zero in 6 of 10 rows"):
        Standardisation.of(empty)
