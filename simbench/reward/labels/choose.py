"""Which responses to label next: at random, more often where a prediction is unsure.

Zrnic, Candès (Active statistical inference, 2024): probabilities proportional to the expected error of the
prediction minimise the variance of the mean; mixed with equal ones, no weight explodes where the
prediction is sure and wrong.
"""

import numpy as np

from simbench.errors import BadInput
from simbench.streams import stream

MIXED = 0.3  # share of the budget that is spread evenly


def label_probabilities(prediction: np.ndarray, count: int, mixed: float = MIXED) -> np.ndarray:
    """Probabilities of being labelled that add up to a number of labels.

    Parameters
    ----------
    prediction : ndarray, shape (n,), in [0, 1]
        Predicted probability that a response is good; its error is expected to be ``√(f (1 - f))``.
    count : int
        Expected number of labels, at least 1 and at most n.
    mixed : float in (0, 1]
        Share of the probability that is the same for all; 1 is simple random sampling.

    Returns
    -------
    ndarray, shape (n,), float64, in (0, 1]

    Raises
    ------
    BadInput
        If a prediction, the count or the share is out of its range.
    """
    n = len(prediction)
    if not 1 <= count <= n:
        raise BadInput(f"the number of labels must lie between 1 and {n:,}, the responses, got {count:,}.")
    if not 0 < mixed <= 1:
        raise BadInput(f"the share that is spread evenly must lie in (0, 1], got {mixed:g}.")
    if not ((prediction >= 0) & (prediction <= 1)).all():
        raise BadInput("predictions must lie in [0, 1].")
    unsure = np.sqrt(prediction * (1 - prediction))
    unsure = unsure / unsure.mean() if unsure.any() else np.ones(n)
    wanted = mixed + (1 - mixed) * unsure
    chance, certain = np.zeros(n), np.zeros(n, dtype=bool)
    while True:  # those that would exceed 1 are certain, and the rest share what is left
        left = count - certain.sum()
        chance = np.where(certain, 1.0, wanted * left / wanted[~certain].sum() if not certain.all() else 1.0)
        if not (chance > 1 + 1e-12).any():
            return chance.clip(max=1.0)
        certain |= chance > 1


def draw_labels(probability: np.ndarray, seed: int) -> np.ndarray:
    """Draw which responses to label, each by itself, so that their number varies.

    Parameters
    ----------
    probability : ndarray, shape (n,), in (0, 1]
    seed : int

    Returns
    -------
    ndarray, shape (n,), bool
    """
    return stream(seed, "labels").random(len(probability)) < probability
