"""A fixed number of threads for arithmetic, so that results depend neither on the machine nor on its load."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController

THREADS = 1  # of a cell. Matrix products add up in another order on another number of threads


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Limit arithmetic (OpenMP, BLAS, PyTorch) to :data:`THREADS` threads.

    So results depend neither on the machine's number of cores nor on how many cells run at a time.
    """
    before = torch.get_num_threads()
    with _libraries(len(sys.modules)).limit(limits=THREADS):
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries of this process that have threads: found again when modules have been imported since."""
    return ThreadpoolController()
