"""Estimates of the class prior ``π = E[γ]``, or of the label frequency ``c = P(r=1 | r*=1)``, from a log.

All assume SCAR, and that some responses, or some region of the features, are surely good. Without such
anchors the clicked responses cannot distinguish π from a smaller one, and every method here tends to a π that
is too large (a ``c`` that is too small).
"""

import numpy as np

from simbench.log.feedback import FeedbackLog
from simbench_estimators.class_prior.elkan_noto import label_frequency
from simbench_estimators.class_prior.km2 import km2
from simbench_estimators.class_prior.tice import tice

__all__ = ["METHODS", "estimated_prior", "km2", "label_frequency", "prior_of", "tice"]


def prior_of(log: FeedbackLog, frequency: np.ndarray) -> np.ndarray:
    """Class prior ``π = mean(r) / c`` of every replicate, shape (R,), strictly between 0 and 1.

    ``frequency`` is the label frequency ``c`` of every replicate, shape (R,).
    """
    return (log.feedback_rate / frequency).clip(1e-3, 1 - 1e-3)


def by_elkan_noto(log: FeedbackLog, seed: int = 0) -> np.ndarray:
    """Estimated from the log under SCAR (Elkan and Noto, KDD 2008).

    Returns the class prior ``π`` of every replicate, shape (R,), strictly between 0 and 1.
    """
    return prior_of(log, label_frequency(log, seed=seed))


def by_tice(log: FeedbackLog, seed: int = 0) -> np.ndarray:
    """Estimated from the log under SCAR (TIcE: Bekker and Davis, AAAI 2018).

    Returns the class prior ``π`` of every replicate, shape (R,), strictly between 0 and 1.
    """
    return prior_of(log, tice(log, seed))


METHODS = {"elkan-noto": by_elkan_noto, "tice": by_tice, "km2": km2}


def estimated_prior(method: str, log: FeedbackLog, seed: int = 0) -> np.ndarray:
    """Class prior of every replicate by a method of :data:`METHODS`, (R,), strictly between 0 and 1."""
    return METHODS[method](log, seed)
