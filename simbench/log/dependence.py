"""Test whether the signals of a log depend on each other given the response; it needs three positive signals.

Whoever shows one positive signal is satisfied for certain. So among responses that show a third signal, two
others are the actions themselves, and independent given ``x`` if the assumption holds: ``P(s_j s_k | s_i=1,
x) = P(s_j | s_i=1, x) P(s_k | s_i=1, x)``. In terms of the pairwise capture-recapture estimates ``γ_jk = p_j
p_k / p_jk`` this says that the estimate from a pair agrees with the one from all three signals. That the
three pairwise estimates agree *with one another* is weaker: under an equal dependence of all pairs, and like
propensities, they are all wrong by the same factor.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog

SMALLEST = 30  # responses that show a third signal and this one, and as many without this one


@dataclass(frozen=True)
class DependenceTest:
    """Result of the dependence test for one replicate.

    Parameters
    ----------
    p_value : float
        Smallest two-sided p-value over the pairs, times their number (Bonferroni).
    pairs : tuple of (int, int)
        The pairs, as indices into the positive signals.
    statistics : ndarray, shape (pairs,)
        Test statistics, standard normal under independence; positive if two actions go together.
    correlations : ndarray, shape (pairs,)
        Correlation of the two actions given the response.
    """

    p_value: float
    pairs: tuple[tuple[int, int], ...]
    statistics: np.ndarray
    correlations: np.ndarray


def dependence_test(log: FeedbackLog, replicate: int = 0) -> DependenceTest:
    """Test that all positive signals are independent given the response and ``r* = 1``.

    For every pair, on the n responses that show another positive signal, ``T = Σ (s_j - m_j)(s_k - m_k) /
    √(Σ m_j(1-m_j) m_k(1-m_k))`` with ``m`` a logistic regression on the features (and the context): the
    generalised covariance measure of Shah and Peters (Annals of Statistics, 2020), with the variance that it
    has under independence.

    Parameters
    ----------
    log : FeedbackLog
        With at least three positive signals.
    replicate : int
        Row of ``log.signals``.

    Returns
    -------
    DependenceTest

    Raises
    ------
    BadInput
        With fewer than three positive signals, or too few responses that show two.

    Notes
    -----
    The test has its nominal level if actions on different responses are independent and the logistic
    regressions are right, or their errors vanish faster than ``n^-1/4``. What they leave unexplained in both
    signals is taken for dependence. A covariate of the propensities that is not logged *is* dependence, for
    this test and for the estimators. Misclicks break the certainty on which the test rests.
    """
    log = log.replicates(slice(replicate, replicate + 1)).only_shown()
    (signals,) = positive_signals(log)
    if len(signals) < 3:
        raise BadInput("a test of dependence needs three positive signals: any two fit independence.")
    inputs = log.features if log.context is None else np.concatenate([log.features, log.context], 1)
    pairs = tuple(combinations(range(len(signals)), 2))
    statistics, correlations = np.empty(len(pairs)), np.empty(len(pairs))
    for number, pair in enumerate(pairs):
        satisfied = np.delete(signals, pair, axis=0).any(axis=0)
        shown, x = signals[list(pair)][:, satisfied].astype(float), inputs[satisfied]
        mean = np.stack([_action_probability(x, signal) for signal in shown])
        product = (shown - mean).prod(axis=0).sum()
        variance = (mean * (1 - mean)).prod(axis=0)
        statistics[number] = product / np.sqrt(variance.sum())
        correlations[number] = product / np.sqrt(variance).sum()
    smallest = 2 * norm.sf(np.abs(statistics).max())
    return DependenceTest(min(1.0, len(pairs) * float(smallest)), pairs, statistics, correlations)


def positive_signals(log: FeedbackLog) -> np.ndarray:
    """Return the signals that prove a satisfied user, shape (R, K, n).

    If the log holds no further signals, this is the feedback alone (K = 1).
    """
    if log.signals is None:
        return log.feedback[:, None]
    return np.delete(log.signals, list(log.negative_signals), axis=1)


def _action_probability(inputs: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Fit ``P(s=1 | x)`` on satisfied users and return it for them, shape (n,)."""
    fewest = int(min(signal.sum(), len(signal) - signal.sum()))
    if fewest < SMALLEST:
        raise BadInput(
            f"too few responses show two signals to test their dependence: {fewest} for {SMALLEST} needed."
        )
    return LogisticRegression(max_iter=1000).fit(inputs, signal).predict_proba(inputs)[:, 1]
