"""Shared worlds and paths."""

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread a worker, before PyTorch counts the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def small_world():
    return build(PRESETS["exclusive"].changed(test_size=500), 1.0, 1500, 0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the rated responses of ../shared/data are not here")
    return SHARED_DATA
