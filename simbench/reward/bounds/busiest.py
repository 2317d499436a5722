"""The contexts in which users act most: there clicks come nearest to the reward, from below."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.reward.bounds.click_fits import EDGE, ClickFits, calibrated, learnable
from simbench.reward.clustered import clusters_of
from simbench.reward.diagnosis.cross_fit import prompt_folds
from simbench.training.trained import require_trained

SHARE = 0.1  # of the responses that count as shown in the busiest contexts
LEAST_SHARE = 0.02  # probabilities of such a context are not taken for less, so that no weight exceeds 50


@dataclass(frozen=True)
class Busiest:
    """What each response would be clicked in the busiest contexts.

    Parameters
    ----------
    fits : ClickFits
        ``P(r = 1 | x, z busiest)``.
    scores : ndarray, shape (n,), float64
        Doubly robust: their mean is that of these probabilities if they or the probability of a busy context
        given ``x`` are right.
    share : float
        Share of the responses that were shown in such a context.
    """

    fits: ClickFits
    scores: np.ndarray
    share: float


def busiest(estimator: Estimator, log: FeedbackLog, folds: int) -> Busiest:
    """Compare responses as if all were shown in the contexts in which users act most.

    If the context moves only the propensity, ``γ(x) ≥ P(r = 1 | x, z)`` at every ``z``, and the largest is
    the sharpest. Which contexts those are is learned on the other folds, so that the bound holds whichever
    they are (Ji, Lei, Spector, Model-agnostic covariate-assisted inference on partially identified causal
    effects, 2023). Scores are those of augmented inverse probability weighting (Robins, Rotnitzky, Zhao, JASA
    89, 1994).

    Parameters
    ----------
    estimator : Estimator
        One that predicts clicks.
    log : FeedbackLog
        Of one replicate, with a context.
    folds : int

    Raises
    ------
    BadInput
        If the log has no context, or a fit does not train.
    """
    if log.context is None:
        raise BadInput("the log has no context.")
    clusters, n = clusters_of(log), log.n_rows
    features = np.asarray(log.features, dtype=np.float32)
    logits, fold = np.empty((folds, n)), np.empty(n, dtype=np.int64)
    is_busy, chance = np.empty(n, dtype=bool), np.empty(n)
    by_context = FeedbackLog(log.context, log.feedback, clusters)
    seed = estimator.get_params()["seed"]
    for number, (seen, unseen) in enumerate(prompt_folds(clusters, folds, seed)):
        busy = _busy(estimator, by_context, seen)
        columns = np.column_stack([features, busy.astype(np.float32)])
        model = estimator.fit_replicates(learnable(replace(by_context, features=columns), seen))
        require_trained(model, estimator.name)
        columns[:, -1] = 1.0
        p = model.predict(columns)[0].clip(EDGE, 1 - EDGE)
        logits[number] = np.log(p / (1 - p))
        fold[unseen], is_busy[unseen] = number, busy[unseen]
        chance[unseen] = _chance(features, busy, seen, unseen)
    fits = calibrated(logits, fold, log.feedback[0], is_busy)
    p = fits.unseen
    weight = is_busy / chance.clip(LEAST_SHARE)
    return Busiest(fits, p + weight * (log.feedback[0] - p), float(is_busy.mean()))


def _busy(estimator: Estimator, by_context: FeedbackLog, seen: np.ndarray) -> np.ndarray:
    """Whether a response was shown where those seen have the most clicks, (n,) bool."""
    model = estimator.fit_replicates(learnable(by_context, seen))
    require_trained(model, estimator.name)
    activity = model.predict(by_context.features)[0]
    busy = activity >= np.quantile(activity[seen], 1 - SHARE)
    if not busy[seen].any() or busy[seen].all() or not by_context.feedback[0][seen][busy[seen]].any():
        raise BadInput("the context hardly varies, or nobody clicks where users act most: leave it out.")
    return busy


def _chance(features: np.ndarray, busy: np.ndarray, seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Probability of a busy context given the features, for the unseen rows."""
    model = LogisticRegression(C=1.0, max_iter=1000).fit(features[seen], busy[seen])
    return model.predict_proba(features[unseen])[:, 1]
