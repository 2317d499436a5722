"""Feedback predicted by fits that did not see it, and the simplest heads that predict it as well as any."""

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
    """Rows seen and unseen in each fold, by whole prompts; by rows where prompts are fewer than folds."""
    names, code = np.unique(groups, return_inverse=True)
    code, count = (code, len(names)) if len(names) >= folds else (np.arange(len(groups)), len(groups))
    fold = (stream(seed, "folds").permutation(count) % folds)[code]
    for number in range(folds):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def unseen_clicks(estimator: Estimator, log: FeedbackLog, folds: int = FOLDS) -> np.ndarray:
    """Click probability of every response by a fit that did not see it, shape (n,)."""
    probability = np.empty(log.n_rows)
    for seen, unseen in prompt_folds(log.groups, folds, estimator.get_params()["seed"]):
        model = cast(TwoHeaded, estimator.fit_replicates(log.rows(seen)))
        probability[unseen] = click_probability(model, log, unseen)[0]
    return probability


def simplest(estimator: Estimator, log: FeedbackLog, own: np.ndarray) -> Estimator:
    """The estimator with logistic heads, unless its own predict unseen feedback better.

    A profile over networks carries their estimation error, which is not the same at every mean reward; where
    logistic heads do as well, they show the likelihood itself.

    Parameters
    ----------
    estimator : Estimator
    log : FeedbackLog
        Of one replicate.
    own : ndarray, shape (n,)
        :func:`unseen_clicks` of ``estimator``.

    Returns
    -------
    Estimator
        With no hidden layer where that is not worse beyond the sampling error of a paired difference.
    """
    parameters = estimator.get_params()
    if not parameters["hidden"]:
        return estimator
    logistic = type(estimator)(**parameters | LOGISTIC)
    both = np.stack([unseen_clicks(logistic, log), own])
    is_enough = indistinguishable(losses_of(both, log.feedback)[None])[0, 0]
    return logistic if is_enough else estimator
