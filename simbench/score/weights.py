"""How much of a sample is left under unequal weights."""

import numpy as np


def effective_sample_share(weights: np.ndarray) -> np.ndarray:
    """Kish's effective sample size ``(Σw)² / Σw²``, as a share of the weights that are not zero.

    Kish, *Survey Sampling* (1965).

    Parameters
    ----------
    weights : ndarray, shape (..., n), non-negative

    Returns
    -------
    ndarray, shape (...), in (0, 1]
        1 where all weights but the zeros are equal; NaN where all are zero.
    """
    count = (weights != 0).sum(-1, dtype=weights.dtype)
    return weights.sum(-1) ** 2 / (weights**2).sum(-1) / count
