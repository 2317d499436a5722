"""How many inputs are tried: 200 in all, always the same; SIMBENCH_FUZZ=2000 tries so many new ones."""

import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings

USUAL = 200
GIVEN = os.environ.get("SIMBENCH_FUZZ")


def share(part: float) -> Callable:
    """The settings of a test that tries this share of all inputs."""
    return settings(
        max_examples=max(1, round(part * int(GIVEN or USUAL))),
        derandomize=GIVEN is None,
        database=None,
        deadline=None,  # contract.py has its own
        suppress_health_check=list(HealthCheck),
    )
