"""Means of a few explicit labels, sharpened by predictions that need not be right.

Prediction-powered inference (Angelopoulos, Bates, Fannjiang, Jordan, Zrnic, Science 382, 2023), with the
weight of the predictions tuned on the labels (PPI++: Angelopoulos, Duchi, Zrnic, 2023) and labels drawn with
known, unequal probabilities (Zrnic, Candès, Active statistical inference, 2024).
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from simbench.errors import BadInput
from simbench.reward.clustered import Mean

FEWEST = 30  # labels; with fewer, intervals rest on a normal law that is not there yet
EDGE = 1e-3  # a reward that is certain is taken for so much less, lest one label refute it
OF_A_BIN = 30  # labels, at least, in a bin of the calibration


@dataclass(frozen=True)
class Labelled:
    """A mean by labels and predictions, and by the labels alone.

    Parameters
    ----------
    powered : Mean
        By labels and predictions.
    alone : Mean
        By the labels.
    n_labels : int
    """

    powered: Mean
    alone: Mean
    n_labels: int

    @property
    def worth(self) -> float:
        """Return how many labels alone one label with predictions is worth: the ratio of variances."""
        return (self.alone.error / self.powered.error) ** 2 if self.powered.error > 0 else float("inf")


def powered_mean(
    labels: np.ndarray,
    predictions: np.ndarray,
    clusters: np.ndarray,
    probability: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Labelled:
    """Estimate the mean label of all responses from those of some.

    ``θ = mean(f'λ) + mean(ξ/π (y - f'λ))``, with ``ξ`` whether a response is labelled, ``π`` with which
    probability, and ``f`` a constant and the predictions. It is unbiased for any ``λ``; the one used
    minimises the variance on the labels. The predictions must not have seen the labels.

    Parameters
    ----------
    labels : ndarray, shape (n,), in {0, 1} or NaN
        NaN where there is none.
    predictions : ndarray, shape (n,) or (n, q), float64
        Such as the fitted reward, and the feedback.
    clusters : ndarray, shape (n,), int64
        Units that are independent of each other, numbered from 0: prompts or users.
    probability : ndarray, shape (n,), in (0, 1], optional
        With which each response was to be labelled, by draws of its own; by default all alike.
    weight : ndarray, shape (n,), at least 0, optional
        How much each response counts in the mean.

    Raises
    ------
    BadInput
        If there are fewer than 30 labels, one is no label, a prediction is not finite, or a probability lies
        outside (0, 1].
    """
    known = ~np.isnan(labels)
    count = int(known.sum())
    if count < FEWEST:
        raise BadInput(f"there are {count} labels: an interval needs at least {FEWEST}.")
    if not np.isin(labels[known], (0, 1)).all():
        raise BadInput("labels must be 0, 1, or NaN where a response has none.")
    if not np.isfinite(predictions).all():
        raise BadInput("predictions must be finite.")
    weight = np.ones(len(labels)) if weight is None else weight.astype(float)
    chance = np.full(len(labels), known.mean()) if probability is None else probability
    if chance.shape != labels.shape or not ((chance > 0) & (chance <= 1)).all():
        raise BadInput("probabilities of a label must lie in (0, 1], one for each response.")
    constant = np.ones((len(labels), 1))
    f = np.column_stack([constant, predictions])
    y = np.where(known, labels, 0.0)
    return Labelled(
        _mean(y, f, known, chance, weight, clusters),
        _mean(y, constant, known, chance, weight, clusters),
        count,
    )


def _mean(
    y: np.ndarray,
    f: np.ndarray,
    known: np.ndarray,
    chance: np.ndarray,
    weight: np.ndarray,
    clusters: np.ndarray,
) -> Mean:
    """The estimate with its error by clusters, for predictions f, (n, q)."""
    # Var θ = const + E[w² (1/π - 1) (y - f'λ)²], of which the labels show 1/π of each term
    importance = weight[known] ** 2 / chance[known] * (1 / chance[known] - 1)
    if not importance.any():  # everything is labelled
        importance = np.ones(known.sum())
    root = np.sqrt(importance)
    tuned, *_ = np.linalg.lstsq(root[:, None] * f[known], root * y[known], rcond=None)
    rest = np.where(known, y - f @ tuned, 0.0) / chance
    mean = float(weight @ (f @ tuned + rest) / weight.sum())
    # λ was fitted to these labels, whose residuals are the smaller for it
    few = np.sqrt(known.sum() / max(known.sum() - f.shape[1], 1))
    influence = weight * (f @ tuned + few * rest - mean) / weight.sum()
    total = np.bincount(clusters, influence)
    units = len(np.unique(clusters[known & (weight > 0)]))
    variance = float((total**2).sum() * len(total) / max(len(total) - 1, 1))
    count, n = known.sum(), (weight > 0).sum()
    # labels that all agree, or were all foreseen, do not say that others would: as if two more had not
    doubt = 2 / (count + 4)
    least = doubt * (1 - doubt) / count * max(1 - count / n, 0)
    return Mean(mean, float(np.sqrt(max(variance, least))), max(units - f.shape[1], 1))


def _gap(labels: np.ndarray, reward: np.ndarray, chance: np.ndarray) -> float:
    """Square of the standardised gap between labels and reward, whose variance the reward itself implies."""
    reward = reward.clip(EDGE, 1 - EDGE)
    gap = ((labels - reward) / chance).sum()
    return float(gap**2 / (reward * (1 - reward) / chance**2).sum())


@dataclass(frozen=True)
class PoweredCalibration:
    """Mean predicted and true reward in bins of the prediction.

    Parameters
    ----------
    predicted : ndarray, shape (b,)
        The lowest first.
    found : tuple of Labelled, length b
        The mean label of each bin.
    p_value : float
        Of the hypothesis that preferences are draws from the reward, by the gap in each bin.
    """

    predicted: np.ndarray
    found: tuple[Labelled, ...]
    p_value: float


def powered_calibration(
    labels: np.ndarray,
    reward: np.ndarray,
    predictions: np.ndarray,
    clusters: np.ndarray,
    probability: np.ndarray | None = None,
    bins: int = 5,
) -> PoweredCalibration:
    """Compare a reward with labels of some responses, in bins of the reward.

    Parameters
    ----------
    labels : ndarray, shape (n,), in {0, 1} or NaN
    reward : ndarray, shape (n,), in [0, 1]
        The reward whose calibration is asked for.
    predictions : ndarray, shape (n,) or (n, q)
        What sharpens the mean of each bin, see :func:`powered_mean`.
    clusters, probability
        See :func:`powered_mean`.
    bins : int
        At most; fewer where they would hold fewer than 30 labels.

    Raises
    ------
    BadInput
        As :func:`powered_mean`.
    """
    known = ~np.isnan(labels)
    if known.sum() < FEWEST:
        raise BadInput(f"there are {int(known.sum())} labels: a calibration needs at least {FEWEST}.")
    count = max(1, min(bins, int(known.sum()) // OF_A_BIN))
    edges = np.unique(np.quantile(reward[known], np.linspace(0, 1, count + 1)[1:-1]))
    part = np.searchsorted(edges, reward, side="right")
    if (np.bincount(part[known], minlength=len(edges) + 1) < FEWEST).any():  # equal rewards: one bin
        part = np.zeros(len(reward), dtype=np.int64)
    chance = np.full(len(labels), known.mean()) if probability is None else probability
    found, predicted, statistic = [], [], 0.0
    for number in range(int(part.max()) + 1):
        inside = part == number
        _, own = np.unique(clusters[inside], return_inverse=True)
        found.append(powered_mean(labels[inside], predictions[inside], own, chance[inside]))
        predicted.append(float(reward[inside].mean()))
        statistic += _gap(labels[inside & known], reward[inside & known], chance[inside & known])
    return PoweredCalibration(np.array(predicted), tuple(found), float(chi2.sf(statistic, len(found))))
