"""What a pool's batches read: the rows of the file, whoever reads ahead."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from simbench.files.matrix import MappedMatrix
from simbench.training import feeding
from simbench.training.batches import Pool, batches_of_rows
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


def mapped(folder, name, values, dtype=np.float32):
    np.save(folder / name, values.astype(dtype))
    return MappedMatrix.open(folder / f"{name}.npy")


@pytest.fixture
def values():
    return np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)


CPU = torch.device("cpu")


@pytest.mark.parametrize("has_reader", [False, True])
def test_a_pool_stays_as_it_is_while_the_next_one_is_read(tmp_path, has_reader, values):
    """Pools of every size, the larger behind the smaller; a matrix in memory beside two on disk."""
    wide = np.random.default_rng(1).standard_normal((20, 5)).astype(np.float32)
    inputs = {"x": mapped(tmp_path, "x", values), "z": mapped(tmp_path, "z", wide), "r": wide * 2}
    inputs["same"] = inputs["x"]
    feeder = Feeder(inputs, CPU, torch.float32, pool=1)
    feeder.has_reader = has_reader
    sizes = [[2, 1], [4, 4, 1], [3], [4, 3], [1]]
    order, plan = np.random.default_rng(2), []
    for batches in sizes:
        plan.append(Pool(order.integers(0, 20, sum(batches)), batches))  # a row may come twice
    seen = []
    for feed in feeder.pools(plan):
        time.sleep(0.01 * has_reader)  # the next pool has been read by then
        for rows, found in feed:
            for key, expected in (("x", values), ("same", values), ("z", wide), ("r", wide * 2)):
                assert np.array_equal(found[key].numpy(), expected[rows.numpy()])
            seen.append(rows.tolist())
    expected = [part.tolist() for pool in plan for part in np.split(pool.rows, np.cumsum(pool.sizes)[:-1])]
    assert seen == expected


def test_a_matrix_that_fits_is_held_whole_and_one_byte_more_is_not(tmp_path, values):
    matrix = mapped(tmp_path, "x", values, np.float16)  # 20 * 3 * 4 bytes as float32
    assert Feeder({"x": matrix}, CPU, torch.float32, pool=240).is_resident
    assert not Feeder({"x": matrix}, CPU, torch.float32, pool=239).is_resident
    assert Feeder({"x": values}, CPU, torch.float32, pool=1).is_resident
    assert not Feeder({"x": values, "z": matrix}, CPU, torch.float32, pool=1).is_resident


@pytest.mark.parametrize("stored", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pool", [1, 1 << 20])
def test_what_is_read_is_scaled_in_float32_and_then_rounded(
    tmp_path, values, stored, dtype, pool, monkeypatch
):
    """Streamed, or read whole in steps of a few rows."""
    monkeypatch.setattr(feeding, "IN_MEMORY", 8 * 4 * 3 * 7)  # steps of 7 of the 20 rows
    matrix = mapped(tmp_path, "x", values, stored).scaled(0.3)
    feeder = Feeder({"x": matrix}, CPU, dtype, pool=pool)
    assert feeder.is_resident == (pool > 1)
    ((rows, found),) = [pair for feed in feeder.pools([Pool(np.arange(19, -1, -1), [20])]) for pair in feed]
    expected = (torch.as_tensor(values.astype(stored)).float() * 0.3).to(dtype).flip(0)
    assert found["x"].dtype == dtype and torch.equal(found["x"], expected)
    assert rows.tolist() == list(range(20))[::-1]


def test_what_is_in_memory_is_rounded_to_the_type_of_the_products(values):
    """Each matrix for itself, and one matrix under two keys."""
    inputs = {"x": values.astype(np.float64), "z": 2 * values, "same": values}
    feeder = Feeder(inputs | {"again": values}, CPU, torch.bfloat16)
    (feed,) = feeder.pools([Pool(np.array([3, 0]), [2])])
    ((_, found),) = feed
    for key, factor in (("x", 1), ("z", 2), ("same", 1), ("again", 1)):
        assert torch.equal(found[key], torch.as_tensor(factor * values[[3, 0]]).bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_holds_what_takes_less_than_six_tenths_of_its_free_memory(values, dtype, monkeypatch):
    """In the type of the products, wherever the matrix lies."""
    taken = 20 * 3 * dtype.itemsize
    feeder = SimpleNamespace(device=torch.device("cuda"), dtype=dtype, pool=1)
    for free, fits in ((taken / 0.6 * 1.01, True), (taken / 0.6 * 0.99, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 10 * free))
        assert Feeder._fits(feeder, values) == fits
