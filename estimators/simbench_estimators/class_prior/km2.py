"""The class prior by kernel mean embeddings (KM2)."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from simbench.log.feedback import FeedbackLog
from simbench.streams import stream

SAMPLE = 300  # responses, and clicked responses, that are compared: the kernel has twice as many rows
LARGEST, PRECISION = 10.0, 0.02  # largest λ = 1/(1-π), at which π is .9, and its precision


def km2(log: FeedbackLog, seed: int = 0) -> np.ndarray:
    """Estimated from the log under SCAR (KM2: Ramaswamy, Scott and Tewari, ICML 2016).

    The class prior ``π`` is the largest share that the clicked responses' distribution can have in that of
    all responses.

    With the embeddings ``μ_F`` of all responses and ``μ_H`` of the clicked ones, ``d(λ)`` is the distance of
    ``λ μ_F + (1-λ) μ_H`` to the nearest embedding of a distribution on the sample: zero up to
    ``λ* = 1/(1-π)``, then growing towards the slope ``‖μ_F - μ_H‖``. The estimate is the ``λ`` at which
    the slope passes ``.8 d(1.05)/.05 + .2 ‖μ_F - μ_H‖`` (the paper's threshold KM2), by bisection, with the
    slope from the envelope theorem. The kernel is Gaussian; its width, of .1 to 10 median distances, is the
    one with the largest ``‖μ_F - μ_H‖``.

    The estimate is too large if no region is all good. Under SAR ``H`` is not the distribution of the good
    responses, and any answer is possible.

    Ramaswamy, Scott, Tewari, *Mixture proportion estimation via kernel embeddings of distributions*, ICML
    2016.

    Returns
    -------
    ndarray, shape (R,), strictly between 0 and 1
        Never below the feedback rate.
    """
    estimates = np.empty(log.n_replicates)
    for replicate, feedback in enumerate(log.feedback):
        rng = stream(seed, "km2", replicate)
        everyone = _some(np.arange(log.n_rows)[log.rows_shown(replicate)], rng)
        clicked = _some(np.flatnonzero(feedback), rng)
        share = mixture_share(log.features[everyone], log.features[clicked])
        estimates[replicate] = np.clip(share, log.feedback_rate[replicate], 1 - 1e-3)
    return estimates


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(rows, min(SAMPLE, len(rows)), replace=False)


def mixture_share(mixture: np.ndarray, component: np.ndarray) -> float:
    """Largest share, in [0, 1], of ``component`` in ``mixture``: samples of shape (M, d) and (N, d)."""
    n, m = len(mixture), len(component)
    both = np.concatenate([mixture, component]).astype(float)
    mean_f = np.r_[np.full(n, 1 / n), np.zeros(m)]
    difference = mean_f - np.r_[np.zeros(n), np.full(m, 1 / m)]
    kernel, apart = _kernel(both, difference)
    if apart < 1e-6:  # the two samples are one
        return 1.0

    def nearest(excess: float) -> tuple[float, float]:
        """The distance ``d`` and its slope at ``λ = 1 + excess``."""
        point = mean_f + excess * difference
        residual = point - nearest_distribution(kernel, point)
        distance = np.sqrt(max(residual @ kernel @ residual, 1e-300))
        return distance, residual @ kernel @ difference / distance

    threshold = 0.8 * nearest(0.05)[0] / 0.05 + 0.2 * apart
    low, high = 0.0, LARGEST - 1
    while high - low > PRECISION:
        middle = (low + high) / 2
        if nearest(middle)[1] > threshold:
            high = middle
        else:
            low = middle
    excess = (low + high) / 2
    return excess / (1 + excess)


def _kernel(points: np.ndarray, difference: np.ndarray) -> tuple[np.ndarray, float]:
    """The Gaussian kernel of the most telling width, and ``‖μ_F - μ_H‖`` under it."""
    squared = cdist(points, points, "sqeuclidean")
    median = np.median(squared)
    candidates = [np.exp(-squared / (2 * median * width**2 or 1)) for width in np.logspace(-1, 1, 5)]
    distances = [np.sqrt(max(difference @ kernel @ difference, 0)) for kernel in candidates]
    best = int(np.argmax(distances))
    return candidates[best], float(distances[best])


def nearest_distribution(kernel: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The distribution nearest to a point: ``argmin_v (v - u)ᵀ K (v - u)`` over ``v ≥ 0, Σv = 1``.

    It is computed by a primal-dual interior-point method.

    Parameters
    ----------
    kernel : ndarray, shape (n, n)
        Kernel matrix ``K``.
    point : ndarray, shape (n,)
        Coefficients ``u`` of the point.

    Returns
    -------
    ndarray, shape (n,)
    """
    n = len(point)
    kernel = kernel + 1e-9 * np.eye(n)
    target = kernel @ point
    v, slack, free = np.full(n, 1 / n), np.full(n, 1 / n), 0.0
    for _ in range(60):
        gap = v @ slack
        dual = kernel @ v - target - slack - free
        if gap < 1e-9 and np.abs(dual).max() < 1e-9:
            break
        factor = cho_factor(kernel + np.diag(slack / v))
        step, rise, _ = _newton_step(factor, v, slack, dual, np.zeros(n))
        reach = min(_reach(v, step), _reach(slack, rise))
        after = (v + reach * step) @ (slack + reach * rise)
        centre = (after / gap) ** 3 * gap / n
        step, rise, move = _newton_step(factor, v, slack, dual, centre - step * rise)
        reach = 0.99 * min(_reach(v, step), _reach(slack, rise))
        v, slack, free = v + reach * step, slack + reach * rise, free + reach * move
    return v


def _newton_step(
    factor: tuple[np.ndarray, bool], v: np.ndarray, slack: np.ndarray, dual: np.ndarray, product: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Steps of ``v``, of the slacks and of the multiplier of ``Σv = 1`` towards ``v·slack = product``."""
    step, ones = cho_solve(factor, np.column_stack([product / v - slack - dual, np.ones(len(v))])).T
    move = (1 - v.sum() - step.sum()) / ones.sum()
    step = step + move * ones
    return step, (product - slack * step) / v - slack, float(move)


def _reach(value: np.ndarray, step: np.ndarray) -> float:
    """The longest step, at most 1, that keeps the values from going below zero."""
    shrinks = step < 0
    return float(min(1.0, (-value[shrinks] / step[shrinks]).min())) if shrinks.any() else 1.0
