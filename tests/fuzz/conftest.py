"""The inputs of the fuzzer; a fresh copy of them for every command line."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: helpers are no package
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # no wait for a network, no bars

from contract import SECONDS, breaches
from inputs import make

Breaches = Callable[..., list[str]]


@pytest.fixture(scope="session")
def valid(tmp_path_factory) -> Path:
    """A folder with small valid inputs; nobody writes to it."""
    folder = tmp_path_factory.mktemp("valid")
    make(folder)
    return folder


@pytest.fixture(scope="session")
def playground(valid, tmp_path_factory):
    """Opens a copy of the inputs, and removes it afterwards."""
    root = tmp_path_factory.mktemp("fuzz")

    @contextmanager
    def opened() -> Iterator[Path]:
        folder = root / "here"
        shutil.copytree(valid, folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return opened


@pytest.fixture(scope="session")
def breaches_of(playground) -> Breaches:
    """What a command line breaks of the contract, run among the inputs."""

    def run(line: list[str], seconds: float = SECONDS) -> list[str]:
        with playground() as folder:
            return breaches(line, folder, seconds)

    return run


@pytest.fixture(scope="session")
def breaches_of_case(playground):
    """What a line breaks of the contract when a file holds something else."""

    def run(case, seconds: float = SECONDS) -> list[str]:
        with playground() as folder:
            return breaches(case.put(folder), folder, seconds)

    return run
