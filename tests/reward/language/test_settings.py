"""Settings of a fine-tuning: rates by the formula at every step, adapters by size, precision by device."""

import math

import pytest

from simbench.reward.language.settings import Settings


def settings(**changes) -> Settings:
    return Settings(model="m", **changes)


@pytest.mark.parametrize(
    ("warmup", "total", "warm"), [(0.1, 50, 5), (0.06, 40, 2), (0.0, 10, 1), (0.5, 9, 4)]
)
def test_rates_rise_linearly_and_fall_as_a_cosine(warmup, total, warm):
    for schedule in ("cosine", "constant"):
        own = settings(warmup=warmup, schedule=schedule)
        for step in range(total):
            fallen = 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
            expected = fallen if schedule == "cosine" else 1.0
            if step < warm:
                expected = (step + 1) / (warm + 1)
            assert own.share_of_rate(step, total) == pytest.approx(expected), step


def test_a_run_of_one_step_has_a_rate():
    assert settings().share_of_rate(0, 1) == 0.5


def test_large_models_get_an_adapter_unless_told_otherwise():
    assert settings().rank(100_000_000) == 0 and settings().rank(100_000_001) == 16
    assert settings(lora=0).rank(10**9) == 0 and settings(lora=4).rank(10) == 4


def test_an_adapter_learns_faster_unless_told_otherwise():
    assert (settings().rate(0), settings().rate(16)) == (5e-5, 2e-4)
    assert settings(learning_rate=1e-3).rate(0) == settings(learning_rate=1e-3).rate(16) == 1e-3


@pytest.mark.parametrize(
    ("precision", "device", "mixed"),
    [
        ("auto", "cpu", "no"),
        ("auto", "cuda", "bf16"),
        ("auto", "cuda:1", "bf16"),
        ("bf16", "cpu", "bf16"),
        ("fp32", "cuda", "no"),
    ],
)
def test_half_precision_is_for_gpus_unless_told_otherwise(precision, device, mixed):
    assert settings(precision=precision, device=device).mixed_precision == mixed
