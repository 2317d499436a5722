"""How many replicates train at once, counted by hand, and in which precision."""

import numpy as np
import pytest
import torch

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.training.contract import Network
from simbench.training.losses import cross_entropy
from simbench.training.precision import product_dtype, products_in
from simbench.training.train import chunk_of_shape, chunk_size, train
from simbench.training.trainer import Execution


class Plain(Estimator):
    """Cross-entropy on the feedback."""

    def reward_loss(self, out, batch):
        return cross_entropy(out.reward, batch.feedback)


class Mixed(Plain):
    mixup = 0.5


class Working(Plain):
    workspace = 1_000_000


# hidden (32, 16) on 64 features: 65 * 32 + 33 * 16 + 17 weights, 49 activations a row
WEIGHTS, UNITS = 2080 + 528 + 17, 49
BYTES = {
    "as it is": 4 * (5 * WEIGHTS + 4 * 1024 * UNITS + 4 * 3000),
    "two networks": 4 * (2 * (5 * WEIGHTS + 4 * 1024 * UNITS) + 4 * 3000),
    "three signals": 4 * (5 * WEIGHTS + 4 * 1024 * UNITS + 10 * 3000),
    "bf16": 4 * (7 * WEIGHTS + 4 * 1024 * UNITS + 4 * 3000),
    "batches of 1500": 4 * (5 * WEIGHTS + 4 * 1500 * UNITS + 4 * 3000),
    "mixed batches of 1500": 4 * (5 * WEIGHTS + 4 * 3000 * UNITS + 4 * 3000),
    "workspace": 4 * (5 * WEIGHTS + 4 * 1024 * UNITS + 4 * 3000 + 1_000_000),
}


@pytest.mark.parametrize("case", BYTES)
def test_a_chunk_is_as_many_whole_blocks_as_fit(case):
    kind = {"workspace": Working, "mixed batches of 1500": Mixed}.get(case, Plain)
    estimator = kind(batch_size=1500 if "1500" in case else 512)
    precision = "bf16" if case == "bf16" else "fp32"
    shape = (3000, 64, 2 if case == "two networks" else 1, 3 if case == "three signals" else 0)
    for blocks in (2, 5):
        memory = 8 * blocks * BYTES[case]
        assert chunk_of_shape(estimator, *shape, memory, precision) == 8 * blocks
        assert chunk_of_shape(estimator, *shape, memory - 1, precision) == 8 * (blocks - 1)
    assert chunk_of_shape(estimator, *shape, 1) == 8  # at least one block


def test_a_gpu_has_no_blocks_to_fill():
    estimator = Plain(device="cuda")
    assert chunk_of_shape(estimator, 3000, 64, 1, 0, 13 * BYTES["as it is"]) == 13
    assert chunk_of_shape(estimator, 3000, 64, 1, 0, 1) == 1


def small_log(replicates, signals=None):
    rng = np.random.default_rng(0)
    feedback = (rng.random((replicates, 12)) < 0.5).astype(np.float32)
    feedback[:, :2] = 0, 1
    told = None if signals is None else np.repeat(feedback[:, None], signals, 1)
    x = rng.standard_normal((12, 2)).astype(np.float32)
    return FeedbackLog(x, feedback, np.arange(12), signals=told)


class Twofold(Plain):
    networks = (Network(), Network(("propensity",)))


@pytest.mark.parametrize("kind", [Plain, Twofold])
@pytest.mark.parametrize("signals", [None, 3])
def test_the_shape_is_that_of_the_log(kind, signals):
    networks, count = (2 if kind is Twofold else 1), signals or 0
    each = 4 * (networks * (5 * 3 + 4 * 1024) + (4 + 2 * count) * 12)
    assert chunk_size(kind(hidden=(), device="cuda"), small_log(2, signals), 10**9) == 10**9 // each


def test_chunks_fit_the_budget_that_is_given():
    log, estimator = small_log(33), Plain(hidden=(), epochs=1)
    whole = train(estimator, log, range(33))
    assert len(whole.epochs) == 33 and not hasattr(whole, "models")
    chunks = train(estimator, log, range(33), memory_budget=1)
    assert [len(model.epochs) for model in chunks.models] == [16, 16, 1]
    assert chunks.predict(log.features) == pytest.approx(whole.predict(log.features), abs=1e-5)
    assert not hasattr(train(estimator, log, range(33), memory_budget=1 << 30), "models")
    with pytest.raises(BadInput, match="34 replicate numbers for 33 rows"):
        train(estimator, log, range(34))


# -- precision ------------------------------------------------------------------------------------


def test_the_type_of_the_products_is_the_precisions():
    assert product_dtype("fp32", "cpu") == product_dtype("tf32", "cuda:0") == torch.float32
    assert product_dtype("bf16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(BadInput, match="tf32 is a mode of NVIDIA GPUs"):
        product_dtype("tf32", torch.device("cpu"))
    with pytest.raises(BadInput, match="fp32, tf32, bf16"):
        product_dtype("fp16", "cuda")


@pytest.mark.parametrize(
    ("precision", "switch"), [("fp32", "highest"), ("tf32", "high"), ("bf16", "highest")]
)
def test_pytorchs_switch_is_put_back_even_after_an_error(precision, switch):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with pytest.raises(KeyError), products_in(precision):
            assert torch.get_float32_matmul_precision() == switch
            raise KeyError
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_features_are_rounded_to_bfloat16_where_the_precision_says_so():
    """Features of 1 and 1 + 2**-9 are then one number."""
    x = np.array([[1.0], [1 + 2**-9]] * 6, np.float32)
    log = FeedbackLog(x, np.array([[0, 1] * 6], np.float32), np.arange(12))
    seen = {}

    class Watches(Plain):
        def reward_loss(self, out, batch):
            seen[precision] = out.reward.detach().clone()
            return super().reward_loss(out, batch)

    for precision in ("fp32", "bf16"):
        estimator = Watches(hidden=(), epochs=1, lr=0.0, validation_share=0.0)
        how = Execution(precision=precision)
        assert train(estimator, log, range(1), execution=how).precision == precision
    assert len(seen["fp32"][0].unique()) == 2 and len(seen["bf16"][0].unique()) == 1


def test_training_in_bfloat16_follows_that_in_float32():
    """Every step's products read the parameters of the step before: over 60 steps that move them far, the
    logits stay together to a few parts in a hundred."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4)).astype(np.float32)
    log = FeedbackLog(x, (x[:, :1].T * x[:, 1] > 0).astype(np.float32), np.arange(64))
    logits = {}
    for precision in ("fp32", "bf16"):
        estimator = Plain(hidden=(16,), lr=0.03, epochs=60, patience=60, validation_share=0.0)
        p = train(estimator, log, range(1), execution=Execution(precision=precision)).predict(x)
        logits[precision] = np.log(p / (1 - p))
    assert np.abs(logits["fp32"]).mean() > 1
    assert np.abs(logits["bf16"] - logits["fp32"]).mean() < 0.1 * np.abs(logits["fp32"]).mean()
