"""Cross-fitting: predicts feedback by fits that did not see it, and finds the simplest heads that suffice."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.streams import stream
from simbench.training.restarts import TwoHeaded, click_probability, indistinguishable, losses_of

FOLDS = 4
LOGISTIC: dict[str, Any] = {"hidden": (), "lr": 0.03}  # at a network's step they are not done when it stops


def prompt_folds(groups: np.ndarray, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows that are seen and unseen in each fold.

    Folds hold whole prompts; single rows if there are fewer prompts than folds.
    """
    names, code = np.unique(groups, return_inverse=True)
    code, count = (code, len(names)) if len(names) >= folds else (np.arange(len(groups)), len(groups))
    fold = (stream(seed, "folds").permutation(count) % folds)[code]
    for number in range(folds):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def unseen_clicks(estimator: Estimator, log: FeedbackLog, folds: int = FOLDS) -> np.ndarray:
    """The click probability of every response, shape (n,), by a fit that did not see its feedback."""
    probability = np.empty(log.n_rows)
    for seen, unseen in prompt_folds(log.groups, folds, estimator.get_params()["seed"]):
        model = cast(TwoHeaded, estimator.fit_replicates(log.rows(seen)))
        probability[unseen] = click_probability(model, log, unseen)[0]
    return probability


def simplest(estimator: Estimator, log: FeedbackLog, own: np.ndarray) -> Estimator:
    """The estimator with logistic heads, unless its own heads predict unseen feedback better.

    A likelihood profile over networks carries their estimation error, which differs between mean rewards; if
    logistic heads do as well, they show the likelihood itself.

    Parameters
    ----------
    estimator : Estimator
    log : FeedbackLog
        A log of one replicate.
    own : ndarray, shape (n,)
        Click probabilities of the estimator by :func:`unseen_clicks`.

    Returns
    -------
    Estimator
        Without hidden layers if that is no worse beyond the sampling error of a paired difference.
    """
    parameters = estimator.get_params()
    if not parameters["hidden"]:
        return estimator
    logistic = type(estimator)(**parameters | LOGISTIC)
    both = np.stack([unseen_clicks(logistic, log), own])
    is_enough = indistinguishable(losses_of(both, log.feedback)[None])[0, 0]
    return logistic if is_enough else estimator
