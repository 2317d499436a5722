"""Does the context move clicks at all? If it does not, nothing in the log splits reward and propensity."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import f as fisher

from simbench.errors import BadInput
from simbench.files.matrix import Matrix, take_rows
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream

LEVEL = 0.01  # of the test: above it, that the context moves clicks is not believed
MOST_ROWS = 60_000  # whole prompts drawn at random beyond it
RIDGE = 1e-3  # on standardised features, so that separable clicks have a fit


@dataclass(frozen=True)
class ContextTest:
    """A score test that clicks do not depend on the context given the features.

    Parameters
    ----------
    p_value : float in [0, 1]
        1 if the context does not vary.
    n_rows, n_clusters, n_directions : int
        Responses and prompts (or users) that were tested, and degrees of freedom.
    """

    p_value: float
    n_rows: int
    n_clusters: int
    n_directions: int

    @property
    def moves(self) -> bool:
        """Whether the log shows that the context moves clicks, at :data:`LEVEL`."""
        return self.p_value <= LEVEL


def context_test(log: FeedbackLog, seed: int = 0) -> ContextTest:
    """Test whether the context moves clicks, linearly or by its square, given the features.

    The null model is a logistic regression of clicks on the features. The score of the context's columns and
    their squares is projected off the features, and its covariance is summed over prompts (users, where the
    log knows them), so that clicks of one prompt may depend on each other and the context may be constant in
    it. The statistic is Hotelling's, with the F distribution (Boos, American Statistician 46, 1992).

    Parameters
    ----------
    log : FeedbackLog
        Of one replicate, with a context.
    seed : int
        Of the prompts that are drawn from a log of more than :data:`MOST_ROWS` responses.

    Raises
    ------
    BadInput
        If the log has no context.
    """
    clusters = log.groups if log.user is None else log.user
    rows = _some(clusters, seed)
    clicks = log.feedback[0][rows].astype(float)
    if log.context is None:
        raise BadInput("the log has no context to test.")
    features = _standardised(_dense(log.features, rows))
    context = _standardised(_dense(log.context, rows))
    added = _standardised(np.column_stack([context, context**2]))
    _, cluster = np.unique(clusters[rows], return_inverse=True)
    count = int(cluster.max()) + 1
    added = added[:, : max(0, min(added.shape[1], count // 5))]
    if added.shape[1] == 0:
        return ContextTest(1.0, len(rows), count, 0)
    design = np.column_stack([np.ones(len(rows)), features])
    probability = expit(design @ _logistic(design, clicks))
    weight = np.sqrt(probability * (1 - probability))[:, None]
    inside, *_ = np.linalg.lstsq(weight * design, weight * added, rcond=None)
    rest = added - design @ inside
    varies = (rest**2).mean(0) > 1e-6  # the others are functions of the features
    if not varies.any():
        return ContextTest(1.0, len(rows), count, 0)
    score = rest[:, varies] * (clicks - probability)[:, None]
    of_cluster = np.zeros((count, score.shape[1]))
    np.add.at(of_cluster, cluster, score)
    total, q = of_cluster.sum(0), int(np.linalg.matrix_rank(of_cluster))
    centred = of_cluster - total / count
    squared = float(total @ np.linalg.pinv(centred.T @ centred) @ total)
    statistic = squared * (count - q) / (count * q)
    return ContextTest(float(fisher.sf(statistic, q, count - q)), len(rows), count, q)


def _some(clusters: np.ndarray, seed: int) -> np.ndarray:
    """Row numbers, of whole clusters at random where there are too many."""
    if len(clusters) <= MOST_ROWS:
        return np.arange(len(clusters))
    _, code, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    order = stream(seed, "context test").permutation(len(sizes))
    kept = np.zeros(len(sizes), dtype=bool)
    kept[order[np.cumsum(sizes[order]) <= MOST_ROWS]] = True
    return np.flatnonzero(kept[code])


def _dense(matrix: Matrix, rows: np.ndarray) -> np.ndarray:
    return np.asarray(take_rows(matrix, rows), dtype=float)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and spread 1; those that do not vary are left out."""
    spread = values.std(0)
    varies = spread > 1e-9 * np.maximum(1.0, np.abs(values).max(0, initial=0.0))
    return (values[:, varies] - values[:, varies].mean(0)) / spread[varies]


def _logistic(design: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """Coefficients of the logistic regression, to convergence."""
    n = len(clicks)

    def loss(weight: np.ndarray) -> tuple[float, np.ndarray]:
        logit = design @ weight
        value = np.logaddexp(0, logit).sum() - clicks @ logit + RIDGE * n * weight[1:] @ weight[1:] / 2
        slope = design.T @ (expit(logit) - clicks)
        slope[1:] += RIDGE * n * weight[1:]
        return value / n, slope / n

    start = np.zeros(design.shape[1])
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-8}).x
