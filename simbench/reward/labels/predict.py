"""Predictions of the labels of a log, by fits that have not seen them."""

from dataclasses import replace
from typing import Any, cast

import numpy as np

from simbench.errors import BadInput
from simbench.estimator.registry import configured
from simbench.log.feedback import FeedbackLog
from simbench.reward import DEFAULT_ESTIMATOR
from simbench.reward.diagnosis.cross_fit import FOLDS, prompt_folds
from simbench.training.restarts import TwoHeaded


def unseen_rewards(log: FeedbackLog, folds: int = FOLDS, **parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predict, for every response, the reward and the chance that its user was satisfied, given the feedback.

    The second is ``P(r* = 1 | x, z, r)``: clicked responses are good, as far as nobody misclicks, and a
    missing click says the less the rarer users act. Both come from fits on the other folds, so that neither
    has seen the response's label. They may be wrong, as where the log does not identify the reward: they
    sharpen an estimate, and do not bias it.

    Parameters
    ----------
    log : FeedbackLog
        Of one replicate.
    folds : int
    **parameters
        Hyper-parameters of ``implicitrm``.

    Returns
    -------
    reward, posterior : ndarray, shape (n,), float64, in [0, 1]

    Raises
    ------
    BadInput
        If the log has several replicates.
    """
    if log.n_replicates != 1:
        raise BadInput(f"predictions of labels take a log of one replicate, got {log.n_replicates}.")
    estimator = configured(DEFAULT_ESTIMATOR, parameters)
    log = replace(log, propensity=None)
    reward, propensity = np.empty(log.n_rows), np.empty(log.n_rows)
    for seen, unseen in prompt_folds(log.groups, folds, estimator.get_params()["seed"]):
        model = cast(TwoHeaded, estimator.fit_replicates(log.rows(seen)))
        here = log.rows(unseen)
        reward[unseen] = model.predict(here.features)[0]
        own = here.features if log.context is None else here.context
        assert own is not None
        propensity[unseen] = model.predict_propensity(own)[0]
    slip = log.misclick or 0.0
    clicked = log.feedback[0] == 1
    when_good = np.where(clicked, propensity, 1 - propensity)
    when_bad = np.where(clicked, propensity * slip, 1 - propensity * slip)
    good = reward * when_good
    total = (good + (1 - reward) * when_bad).clip(1e-12)
    return reward, (good / total).clip(0, 1)
