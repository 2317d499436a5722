"""A named property of responses: what users may act on, and what a policy may learn to produce."""

import numpy as np

from simbench.worlds.laws import standardise


def trait_column(trait: str, n_features: int) -> int:
    """Column of a synthetic trait: ``"feature:31"`` -> 31.

    Raises
    ------
    ValueError
        If it is no such name.
    """
    kind, _, number = trait.partition(":")
    if kind != "feature" or not number.isdigit() or int(number) >= n_features:
        raise ValueError(f"a synthetic trait must be feature:K with K below {n_features}, got {trait!r}")
    return int(number)


def trait_salience(trait: str | None, values: np.ndarray) -> np.ndarray:
    """How much responses stand out by it, shape (n,), mean 0, variance 1; a length by its logarithm."""
    values = values.astype(float)
    return standardise(np.log1p(values) if trait == "length" else values)
