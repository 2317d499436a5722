"""Estimates of the label frequency, and so of the class prior, from a log alone."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from simbench.log import FeedbackLog
from simbench.streams import seed_of
from simbench.training import split_by_prompt


def label_frequency(log: FeedbackLog, validation_share: float = 0.2, seed: int = 0) -> np.ndarray:
    """``c = P(r=1 | r*=1)`` under SCAR: the mean click probability of held-out clicked responses.

    Estimator ``e1`` of Elkan and Noto (KDD 2008), with logistic regression on the features. Too low
    where no response is surely good, since then the clicked ones' ``γ`` is below 1.

    Returns
    -------
    ndarray, shape (R,), in (0, 1)
        Never below the feedback rate, at which the class prior would exceed 1.
    """
    train, held_out = split_by_prompt(log.groups, validation_share, seed_of(seed, "prior"))
    estimates = np.empty(log.n_replicates)
    for replicate, feedback in enumerate(log.feedback):
        rate = feedback.mean()
        clicked = held_out[feedback[held_out] == 1]
        if len(np.unique(feedback[train])) < 2 or len(clicked) == 0:
            estimates[replicate] = np.sqrt(rate)  # too few clicks to tell: midway to certainty
            continue
        model = LogisticRegression(max_iter=500).fit(log.features[train], feedback[train])
        estimates[replicate] = max(rate, model.predict_proba(log.features[clicked])[:, 1].mean())
    return estimates


def tice(log: FeedbackLog, seed: int = 0) -> np.ndarray:
    """``c`` by tree induction (TIcE: Bekker and Davis, AAAI 2018).

    In every subset of the responses at most a share ``c`` is clicked, with equality where all are good. A
    tree fitted on one half of the prompts proposes subsets; on the other half ``c`` is the largest
    ``clicked/size - sqrt((1-δ) / (δ size))``. Too low where no subset is all good.

    Returns
    -------
    ndarray, shape (R,), in (0, 1)
        Never below the feedback rate.
    """
    propose, judge = split_by_prompt(log.groups, 0.5, seed_of(seed, "tice"))
    delta = max(0.025, 1 / (1 + 0.004 * log.n_rows))
    estimates = np.empty(log.n_replicates)
    for replicate, feedback in enumerate(log.feedback):
        tree = DecisionTreeClassifier(
            max_depth=8, min_samples_leaf=20, random_state=seed_of(seed, "tice", replicate) % 2**32
        ).fit(log.features[propose], feedback[propose])
        inside = tree.decision_path(log.features[judge]).toarray().astype(bool)
        size = inside.sum(axis=0)
        clicked = feedback[judge] @ inside
        kept = size > 0
        bound = clicked[kept] / size[kept] - np.sqrt((1 - delta) / (delta * size[kept]))
        estimates[replicate] = np.clip(bound.max(), feedback.mean(), 1.0)
    return estimates
