"""Methods for the class prior: simbench's own as they are, one from outside in a guest's process."""

import numpy as np

from simbench.estimator.registry import CLASS_PRIORS, class_prior_method
from simbench.files.plugins import is_own, plugin
from simbench.log.feedback import FeedbackLog
from simbench.study.guests.cargo import packed_log
from simbench.study.guests.kinds import seed_for_guests
from simbench.study.guests.process import GuestError, Session


def class_prior(name: str, log: FeedbackLog, seed: int) -> np.ndarray:
    """The class prior ``π`` of every replicate by an installed method, shape (R,).

    Raises
    ------
    BadInput
        If no method of this name is installed.
    GuestError
        If one from outside fails, in whatever way.
    """
    point = plugin(CLASS_PRIORS, name)
    if point is None or is_own(point):
        return class_prior_method(name)(log, seed)
    session = Session(name, name)
    try:
        told, arrays = packed_log(log, session.given)
        message = {"op": "class prior", "log": told, "seed": seed_for_guests(seed)}
        _, found = session.ask(message, arrays)
    finally:
        session.end()
    prior = found.get("class prior", np.empty(0))
    if prior.shape != (log.n_replicates,) or not ((prior > 0) & (prior < 1)).all():
        raise GuestError(f"{name} gave no class prior strictly between 0 and 1 for each replicate")
    return prior
