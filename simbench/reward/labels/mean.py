"""The mean reward of a log by the labels that it holds, and whether its fitted reward is calibrated."""

from typing import Any

import numpy as np

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.reward.labels.powered import (
    FEWEST,
    Labelled,
    PoweredCalibration,
    powered_calibration,
    powered_mean,
)
from simbench.reward.labels.predict import unseen_rewards


def has_labels(log: FeedbackLog) -> bool:
    """Whether a log of one replicate holds enough labels for an interval."""
    return _count(log) >= FEWEST


def require_labels(log: FeedbackLog) -> None:
    """Raise unless a log of one replicate holds enough labels.

    Raises
    ------
    BadInput
        If it has fewer than 30.
    """
    if not has_labels(log):
        raise BadInput(f"the log has {_count(log)} labels: an interval needs at least {FEWEST}.")


def labelled(
    log: FeedbackLog, probability: np.ndarray | None = None, **parameters: Any
) -> tuple[Labelled, PoweredCalibration]:
    """Estimate the mean reward from labels and predictions, and test the calibration of the fitted reward.

    Predictions are those of :func:`simbench.reward.labels.predict.unseen_rewards` and the feedback itself.

    Parameters
    ----------
    log : FeedbackLog
        Of one replicate, with labels of some responses, drawn at random.
    probability : ndarray, shape (n,), in (0, 1], optional
        With which each was to be labelled (:func:`simbench.reward.labels.choose.label_probabilities`); by
        default all alike.
    **parameters
        Hyper-parameters of ``implicitrm``.

    Raises
    ------
    BadInput
        If there are fewer than 30 labels, or a probability lies outside (0, 1].
    """
    require_labels(log)
    assert log.labels is not None
    _, clusters = np.unique(log.groups if log.user is None else log.user, return_inverse=True)
    reward, posterior = unseen_rewards(log, **parameters)
    predictions, labels = np.column_stack([posterior, log.feedback[0]]), log.labels[0].astype(float)
    mean = powered_mean(labels, predictions, clusters, probability)
    return mean, powered_calibration(labels, reward, predictions, clusters, probability)


def _count(log: FeedbackLog) -> int:
    return 0 if log.labels is None else int((~np.isnan(log.labels[0])).sum())
