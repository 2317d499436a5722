"""Do the signals of a log depend on one another, given the response? Three positive signals can tell.

Whoever shows signal ``i`` is satisfied for certain. So among responses with ``s_i = 1`` the other signals
are the actions themselves, and were these independent given ``x``, then ``P(s_j s_k | s_i=1, x) =
P(s_j | s_i=1, x) P(s_k | s_i=1, x)``. In terms of the pairwise capture-recapture estimates ``γ_jk = p_j p_k /
p_jk`` this says that the estimate from a pair agrees with the one from all three signals. That the three
pairwise estimates agree *with one another* is weaker: under an equal dependence of all pairs, and like
propensities, they are all wrong by the same factor.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.log import FeedbackLog
from simbench.streams import seed_of

SMALLEST = 30  # responses with the conditioning signal in a fold, with and without the other


@dataclass(frozen=True)
class DependenceTest:
    """Result for one replicate.

    Parameters
    ----------
    statistic : float
        Wald statistic, χ² with ``degrees`` degrees of freedom under independence.
    degrees : int
    p_value : float
    correlation : float
        Mean correlation of two actions given the response and a third one.
    """

    statistic: float
    degrees: int
    p_value: float
    correlation: float


def dependence_test(log: FeedbackLog, replicate: int = 0, seed: int = 0) -> DependenceTest:
    """Wald test that all positive signals are independent given the response and ``r* = 1``.

    For every signal ``i`` and every pair ``j, k`` of others, ``ψ = s_i (s_j - m_j)(s_k - m_k)`` has mean zero
    where ``m_j(x) = P(s_j=1 | s_i=1, x)``: the generalised covariance measure of Shah and Peters
    (Annals of Statistics, 2020) on the responses with ``s_i = 1``. ``m`` is a logistic regression on the
    features (and the context), fitted on the other half of the prompts; the variance is that of the
    prompts' sums, so that responses of one prompt need not be independent.

    Parameters
    ----------
    log : FeedbackLog
        With at least three positive signals.
    replicate : int
        Row of ``log.signals``.
    seed : int
        Of the two halves.

    Returns
    -------
    DependenceTest

    Raises
    ------
    BadInput
        With fewer than three positive signals, or too few responses that show one.

    Notes
    -----
    Of its nominal level where the logistic regressions are right, or their errors vanish faster than
    ``n^-1/4``; what they leave unexplained in both signals is taken for dependence. A latent covariate of
    the propensities that is not logged *is* dependence, for this test and for the estimators.
    """
    signals = positive_signals(log)[replicate].astype(float)
    if len(signals) < 3:
        raise BadInput("a test of dependence needs three positive signals: two are always explained.")
    inputs = log.features if log.context is None else np.concatenate([log.features, log.context], 1)
    _, prompt = np.unique(log.groups, return_inverse=True)
    half = np.random.default_rng(seed_of(seed, "dependence")).permutation(int(prompt.max()) + 1)[prompt] % 2
    moments, spreads = [], []
    for i, given in enumerate(signals):
        others = [k for k in range(len(signals)) if k != i]
        fitted = {k: _conditional(inputs, given, signals[k], half) for k in others}
        for j, k in combinations(others, 2):
            moments.append(given * (signals[j] - fitted[j]) * (signals[k] - fitted[k]))
            variance = fitted[j] * (1 - fitted[j]) * fitted[k] * (1 - fitted[k])
            spreads.append((given * np.sqrt(variance)).sum())
    sums = np.stack([np.bincount(prompt, weights=moment) for moment in moments])
    total, covariance = sums.sum(1), sums @ sums.T
    statistic = float(total @ np.linalg.pinv(covariance, hermitian=True) @ total)
    degrees = int(np.linalg.matrix_rank(covariance, hermitian=True))
    correlation = float(np.mean(total / np.array(spreads)))
    return DependenceTest(statistic, degrees, float(chi2.sf(statistic, degrees)), correlation)


def positive_signals(log: FeedbackLog) -> np.ndarray:
    """Signals that prove a satisfied user, shape (R, K, n); the feedback alone where there are no more."""
    if log.signals is None:
        return log.feedback[:, None]
    return np.delete(log.signals, list(log.negative_signals), axis=1)


def _conditional(inputs: np.ndarray, given: np.ndarray, signal: np.ndarray, half: np.ndarray) -> np.ndarray:
    """``P(signal=1 | given=1, x)`` of every response, fitted on the other half, shape (n,)."""
    fitted = np.empty(len(signal))
    for fold in (0, 1):
        rows = (half != fold) & (given == 1)
        shown = int(signal[rows].sum())
        if min(shown, int(rows.sum()) - shown) < SMALLEST:
            raise BadInput(
                f"too few responses show two signals ({shown} in half of the log) to test dependence: "
                f"{SMALLEST} are needed."
            )
        model = LogisticRegression(max_iter=1000).fit(inputs[rows], signal[rows])
        fitted[half == fold] = model.predict_proba(inputs[half == fold])[:, 1]
    return fitted
