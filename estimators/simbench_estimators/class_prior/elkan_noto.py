"""The label frequency as the mean score of held-out clicked responses."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt


def label_frequency(log: FeedbackLog, validation_share: float = 0.2, seed: int = 0) -> np.ndarray:
    """Label frequency ``c = P(r=1 | r*=1)`` under SCAR: the mean click probability of clicked responses.

    This is estimator ``e1`` of Elkan and Noto (KDD 2008), with logistic regression on the features, and the
    mean over held-out responses. It is too low if no response is surely good, because ``γ`` of the clicked
    ones is then below 1.

    Parameters
    ----------
    log : FeedbackLog
    validation_share : float in (0, 1)
        Share of the prompts that is held out.
    seed : int
        Seed of the split.

    Returns
    -------
    ndarray, shape (R,), in (0, 1)
        Never below the feedback rate, at which the class prior would exceed 1.
    """
    whole, held_out = split_by_prompt(log.groups, validation_share, seed_of(seed, "prior"))
    estimates = np.empty(log.n_replicates)
    for replicate, feedback in enumerate(log.feedback):
        rate = log.feedback_rate[replicate]
        clicked = held_out[feedback[held_out] == 1]
        train = whole if log.shown is None else whole[log.shown[replicate, whole]]
        if len(np.unique(feedback[train])) < 2 or len(clicked) == 0:
            estimates[replicate] = np.sqrt(rate)  # too few clicks to tell: midway to certainty
            continue
        model = LogisticRegression(max_iter=500).fit(log.features[train], feedback[train])
        estimates[replicate] = max(rate, model.predict_proba(log.features[clicked])[:, 1].mean())
    return estimates
