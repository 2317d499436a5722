"""A named property of responses, on which users may act and which a policy may learn to produce."""

import numpy as np

from simbench.worlds.laws import standardise


def trait_column(trait: str, n_features: int) -> int:
    """Return the column of a synthetic trait: ``"feature:31"`` -> 31.

    Raises
    ------
    ValueError
        If the name has another form, or there is no such column.
    """
    kind, _, number = trait.partition(":")
    if kind != "feature" or not number.isdigit() or int(number) >= n_features:
        raise ValueError(f"a synthetic trait must be feature:K with K below {n_features}, got {trait!r}")
    return int(number)


def trait_salience(trait: str | None, values: np.ndarray) -> np.ndarray:
    """Return how much each response stands out by its trait, shape (n,), mean 0, variance 1.

    Of a length it is the logarithm that counts.
    """
    values = values.astype(float)
    return standardise(np.log1p(values) if trait == "length" else values)
