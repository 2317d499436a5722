"""L-BFGS for many problems at once: a step, a line search and a stop of its own for each of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MEMORY = 12  # pairs of steps and changes of the gradient that are kept
OVERSHOOT = 0.8  # largest slope that a step may end on, of the slope that it began with
HALVINGS = 25
LONGEST = 3.0  # of any entry of a step: logits of standardised inputs do not move further at once
FLAT = 3e-6  # largest entry of the gradient at an optimum, relative to the first (at least 1)

Gradient = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Optimum:
    """Where a minimisation of R problems ended.

    Parameters
    ----------
    point : ndarray, shape (R, P)
    iterations : ndarray of int, shape (R,)
    converged : ndarray of bool, shape (R,)
        Whether the gradient vanished before the iterations ran out.
    """

    point: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray


class Minimiser:
    """L-BFGS (Nocedal and Wright, 2006, algorithms 7.4 and 7.5) for R problems, from their gradients alone.

    Parameters
    ----------
    gradient : callable
        From points of shape (R, P) to gradients of shape (R, P), float64; a problem's gradient depends on its
        own point alone.

    Notes
    -----
    A step is halved until the slope along it has not turned by more than :data:`OVERSHOOT`, which is the
    upper half of the approximate Wolfe condition (Hager and Zhang, 2005). Values are not compared: the loss
    of an EM step, or of one with a part that is held fixed, has the gradient that is wanted and another
    value. All arithmetic is done row by row, so that a problem's path does not depend on which others there
    are.
    """

    def __init__(self, gradient: Gradient):
        self.gradient = gradient

    def run(self, start: np.ndarray, iterations: int, frozen: np.ndarray | None = None) -> Optimum:
        """Minimise from ``start``, (R, P); ``frozen`` problems, (R,) bool, stay where they are."""
        point, pairs = start.copy(), []
        gradient = self.gradient(point)
        flat = FLAT * np.maximum(np.abs(gradient).max(1), 1)
        done = np.zeros(len(point), bool) if frozen is None else frozen.copy()
        used = np.zeros(len(point), int)
        done |= np.abs(gradient).max(1) <= flat
        for _ in range(iterations):
            if done.all():
                break
            direction = _direction(gradient, pairs)
            uphill = _dot(direction, gradient) >= 0
            direction = np.where(uphill[:, None], -gradient, direction)
            new, there = self._searched(point, gradient, direction, ~done)
            pairs = [*pairs, (new - point, there - gradient)][-MEMORY:]
            point, gradient = new, there
            used += ~done
            done |= np.abs(gradient).max(1) <= flat
        return Optimum(point, used, done)

    def _searched(
        self, point: np.ndarray, gradient: np.ndarray, direction: np.ndarray, moving: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Halve each problem's step until it does not overshoot; one that finds no step stays."""
        slope = _dot(direction, gradient)
        size = np.minimum(1.0, LONGEST / np.maximum(np.abs(direction).max(1), 1e-12))
        kept, there, open_ = point.copy(), gradient.copy(), moving.copy()
        for _ in range(HALVINGS):
            trial = np.where(open_[:, None], point + size[:, None] * direction, kept)
            found = self.gradient(trial)
            taken = open_ & np.isfinite(found).all(1) & (_dot(found, direction) <= -OVERSHOOT * slope)
            kept[taken], there[taken] = trial[taken], found[taken]
            open_ &= ~taken
            if not open_.any():
                break
            size = np.where(open_, size / 2, size)
        return kept, there


def _direction(gradient: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The two-loop recursion; a pair without positive curvature counts for nothing in its problem."""
    q, used = gradient.copy(), []
    for step, change in reversed(pairs):
        curvature = _dot(step, change)
        good = curvature > 1e-12 * _dot(change, change)
        rho = np.where(good, 1 / np.where(good, curvature, 1), 0)
        weight = rho * _dot(step, q)
        q -= weight[:, None] * change
        used.append((step, change, rho, weight))
    scale = np.ones(len(gradient))
    for _, change, rho, _ in reversed(used):  # the last good pair sets the scale
        squared = _dot(change, change)
        scale = np.where(rho > 0, 1 / np.where(rho > 0, rho * squared, 1), scale)
    q *= scale[:, None]
    for step, change, rho, weight in reversed(used):
        q += (weight - rho * _dot(change, q))[:, None] * step
    return -q


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("rp,rp->r", a, b)
