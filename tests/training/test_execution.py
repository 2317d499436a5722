"""Where features lie and how products are laid out changes nothing, or nothing but rounding."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from simbench.errors import BadInput
from simbench.estimator.estimator import grant
from simbench.estimator.registry import find, names
from simbench.reward.model import RewardModel, load_model
from simbench.study.trap import world_for
from simbench.training.steps import WARM_UP, Steps
from simbench.training.train import train
from simbench.training.trainer import Execution, Trainer
from simbench.worlds.world import build

SHORT = {"epochs": 3, "batch_size": 128}
POOLS = Execution(pool=300 * 4 * 32)  # about 300 rows: five pools an epoch


@pytest.fixture(scope="module")
def told(small_world):
    log, truth = small_world.draw(range(10))
    return grant(log, propensity=truth.propensity, class_prior=0.5)


def on_disk(log, folder, dtype=np.float32):
    """The log with features and context in files."""
    parts = {}
    for name in ("features", "context"):
        np.save(folder / f"{name}.npy", getattr(log, name).astype(dtype))
        parts[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return replace(log, **parts)


# -- streamed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("naive", {}),
        ("implicitrm", {"e_step": "epoch"}),
        ("bpr", {}),
        ("nnpu", {}),
        ("sar-em", {}),
        ("vpu", {}),
    ],
)
def test_a_streamed_log_is_trained_to_the_same_numbers(name, parameters, told, tmp_path, small_world):
    """Held-out evaluation, epoch states and pairs stream as well; the same order, so the same bits."""
    estimator = find(name)(**SHORT, **parameters)
    x = small_world.test.features
    resident = train(estimator, told, range(10), execution=POOLS)
    streaming = on_disk(told, tmp_path)
    streamed = train(estimator, streaming, range(10), execution=POOLS)
    assert np.array_equal(resident.predict(x), streamed.predict(x))
    assert np.array_equal(resident.held_out_loss, streamed.held_out_loss)
    whole = train(estimator, streaming, range(10))  # fits in one pool: a full permutation
    assert np.array_equal(whole.predict(x), train(estimator, told, range(10)).predict(x))
    assert np.abs(whole.predict(x) - streamed.predict(x)).max() > 1e-5  # another order, another fit


def test_streaming_is_streaming(told, tmp_path, monkeypatch):
    """No read of the file is larger than a pool."""
    log, read = on_disk(told, tmp_path), []
    original = type(log.features).read

    def watched(self, rows, out):
        read.append(len(rows))
        return original(self, rows, out)

    monkeypatch.setattr(type(log.features), "read", watched)
    train(find("naive")(**SHORT), log, range(10), execution=POOLS)
    assert len(read) > 3 * 5 and max(read) <= 300


def test_half_precision_on_disk_is_what_float32_of_it_would_be(told, tmp_path, small_world):
    rounded = replace(told, features=told.features.astype(np.float16).astype(np.float32))
    estimator, x = find("naive")(**SHORT), small_world.test.features
    expected = train(estimator, rounded, range(10), execution=POOLS).predict(x)
    half = on_disk(told, tmp_path, np.float16)
    assert np.array_equal(train(estimator, half, range(10), execution=POOLS).predict(x), expected)
    scaled = replace(half, features=half.features.scaled(0.5))
    by_hand = replace(rounded, features=rounded.features * np.float32(0.5))
    found = [train(estimator, log, range(10), execution=POOLS).predict(x) for log in (scaled, by_hand)]
    assert np.array_equal(*found)


def test_a_reading_error_ends_the_training(told, tmp_path, monkeypatch):
    log = on_disk(told, tmp_path)

    def fails(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(type(log.features), "read", fails)
    with pytest.raises(OSError, match="disk is gone"):
        train(find("naive")(**SHORT), log, range(10), execution=POOLS)


# -- as a GPU does it, on the CPU ----------------------------------------------------------------

WIDE = Execution(wide=True)


@pytest.mark.parametrize("name", ["naive", "implicitrm", "dr", "implicitrm-signals"])
@pytest.mark.parametrize("hidden", [(), (150,), (32, 16)])
def test_one_wide_block_differs_by_rounding(name, hidden, told, small_world):
    """With replicates that stop at different times, so that the block is packed again; one in the wrong
    place would be some .05 off."""
    log = replace(told, signals=told.feedback[:, None]) if "signals" in find(name).needs else told
    estimator = find(name)(hidden=hidden, epochs=12, patience=1, batch_size=128, lr=0.02)
    x = small_world.test.features
    blocks = train(estimator, log, range(10))
    wide = train(estimator, log, range(10), execution=WIDE)
    assert np.array_equal(blocks.epochs, wide.epochs) and len(set(wide.epochs)) > 1
    assert np.sqrt(np.mean((blocks.predict(x) - wide.predict(x)) ** 2)) < 3e-4


def test_a_wide_block_is_packed_when_half_have_stopped(told, monkeypatch):
    sizes, original = [], Trainer._keep

    def watched(self, kept, optimiser):
        original(self, kept, optimiser)
        sizes.append((len(kept), int(kept.sum()), next(iter(self.networks.values())).width))

    monkeypatch.setattr(Trainer, "_keep", watched)
    train(find("naive")(epochs=30, patience=1, lr=0.02), told, range(10), execution=WIDE)
    assert sizes and all(2 * kept <= before and kept == width for before, kept, width in sizes)


def test_bfloat16_moves_predictions_a_little(told, small_world):
    """On the CPU as on a GPU: products of rounded numbers, summed in float32."""
    x, found = small_world.test.features, {}
    for precision in ("fp32", "bf16"):
        estimator = find("implicitrm-known")(epochs=10, hidden=(64, 32))
        how = Execution(precision=precision)
        found[precision] = train(estimator, told, range(10), execution=how).predict(x)
    gap = np.sqrt(np.mean((found["bf16"] - found["fp32"]) ** 2))
    assert 1e-5 < gap < 0.02


def test_a_precision_that_is_not_there_is_refused(told):
    estimator = find("naive")(epochs=1)
    for precision, message in (("tf32", "tf32 is a mode of NVIDIA GPUs"), ("fp8", "must be one of")):
        with pytest.raises(BadInput, match=message):
            train(estimator, told, range(10), execution=Execution(precision=precision))


def test_pytorchs_switch_is_set_for_the_training_alone(told, monkeypatch):
    """What someone else set is neither used nor changed."""
    within, original = [], Trainer.run

    def watched(self):
        within.append(torch.get_float32_matmul_precision())
        return original(self)

    monkeypatch.setattr(Trainer, "run", watched)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        train(find("naive")(epochs=1), told, range(10))
        assert within == ["highest"] and torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


class Operations(TorchDispatchMode):
    """Operations that read a number or a size from the device."""

    READS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal")

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(i is not None and i.dtype == torch.bool for i in indices)
        if name in self.READS or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class Methods(TorchFunctionMode):
    """Methods that copy to the host; on a CPU they are no operations."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("tolist", "numpy", "cpu", "__array__"):
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def waits():
    """Names everything for which a GPU would be waited for."""
    found: list[str] = []
    with Operations() as operations, Methods() as methods:
        yield found
    found += operations.found + methods.found


def test_the_detector_of_waits_finds_them():
    values = torch.arange(4.0)
    for wait in (
        lambda: values.sum().item(),
        lambda: bool((values > 1).any()),
        lambda: float(values[0]),
        lambda: values[values > 1],
        lambda: (values > 1).nonzero(),
        lambda: values.tolist(),
        lambda: values.cpu(),
        lambda: np.asarray(values),
    ):
        with waits() as found:
            wait()
        assert found
    with waits() as found:
        values[torch.tensor([1, 2])] + values.mean()
    assert not found


TRAINED = sorted(
    name
    for name in names()
    if name not in ("sklearn", "capture-recapture", "implicitrm-signals") and "truth" not in find(name).needs
)


@pytest.mark.parametrize("name", TRAINED)
def test_nothing_waits_for_the_device_within_an_epoch(name, monkeypatch):
    """Every loss of the catalogue, in the layout of a GPU."""
    log, truth = build(world_for(find(name), signals=1), 1.0, 400, 0).draw(range(3))
    labels = np.where(np.arange(log.n_rows) % 9 == 0, truth.preference, np.nan).astype(np.float32)
    log = grant(log, propensity=truth.propensity, class_prior=0.5, misclick=0.1, labels=labels)
    found, original = [], Trainer._epoch

    def watched(self, steps, order):
        with waits() as here:
            original(self, steps, order)
        found.append(here)

    monkeypatch.setattr(Trainer, "_epoch", watched)
    train(find(name)(epochs=2, batch_size=128), log, range(3), execution=WIDE)
    assert len(found) >= 2 and not any(found)


@pytest.mark.parametrize(("name", "parameters"), [("implicitrm", {"e_step": "epoch"}), ("vpu", {})])
def test_recorded_steps_are_the_steps(name, parameters, told, small_world):
    """A recorder that replays by doing the same work again, on the memory it was recorded with."""
    recorded = []

    def record(work):
        recorded.append(work)
        return work

    estimator = find(name)(epochs=6, patience=2, batch_size=128, **parameters)
    x = small_world.test.features
    plain = train(estimator, told, range(10), execution=WIDE)
    replayed = train(estimator, told, range(10), execution=Execution(True, record))
    assert recorded and np.array_equal(plain.predict(x), replayed.predict(x))


def test_a_step_that_cannot_be_recorded_is_run():
    class Held:
        def take(self, rows):
            return rows

    class Feed:
        batches, inputs = torch.arange(12).split(2), {"x": Held()}

    def refuses(_):
        raise RuntimeError("operation not permitted when stream is capturing")

    seen = []
    steps = Steps(lambda rows, inputs: seen.append(rows.tolist()), refuses)
    with pytest.warns(UserWarning, match="could not be recorded"):
        steps.run(Feed())
    assert seen == [list(pair) for pair in zip(range(0, 12, 2), range(1, 12, 2), strict=True)] and WARM_UP < 6


def test_a_model_of_one_wide_block_is_saved_as_any_other(told, tmp_path):
    model = train(find("implicitrm-known")(epochs=2), told.replicates(slice(3)), range(3), execution=WIDE)
    columns = {"source": "x.npy", "columns": None, "left_out": [], "encoder": None}
    facts = {"file": "log", "sha256": "", "rows": 9, "prompts": 9, "feedback": "r", "feedback_rate": 0.5}
    fit = {"told": ["propensity"], "warning": None, "held_out_loss": 0.5, "epochs": 2, "context": []}
    card = {
        "format": 2,
        "estimator": "implicitrm-known",
        "parameters": {},
        "row": 2,
        "features": {"width": 32, "mean": [0.0] * 32, "scale": [1.0] * 32, **columns},
        "networks": [{"heads": ["reward"], "inputs": "features", "width": 32}],
        "log": facts,
        "versions": {},
        **fit,
    }
    fitted = RewardModel(model, 2, card)
    fitted.save(tmp_path / "m")
    x = told.features[:50]
    assert np.allclose(load_model(tmp_path / "m").predict_reward(x), fitted.predict_reward(x), atol=1e-6)
