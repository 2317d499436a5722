"""Responses with their true reward and the law by which users act on them."""

from dataclasses import dataclass

import numpy as np

from simbench.files.matrix import Matrix
from simbench.worlds.law import Law


@dataclass(frozen=True)
class Population:
    """Responses, their true reward and how users act on them; n rows.

    Parameters
    ----------
    features : ndarray or MappedMatrix, shape (n, d), float32
        Response features ``x``.
    context : ndarray, shape (n, k), float32, or None
        Context ``z``, if the log holds it.
    groups : ndarray, shape (n,)
        Prompt ids.
    law : Law
        Reward and propensity, and how they lead to feedback.
    page, rank : ndarray of int64, shape (n,)
        Page of each response, and its place there from 0.
    always_acts : ndarray, shape (n,), bool, optional
        Responses whose users always act.
    trait : ndarray, shape (n,), optional
        The world's named property of the responses, in its own unit.
    user : ndarray of int64, shape (n,), optional
        User who is shown the response, where users see several pages.
    """

    features: Matrix
    context: np.ndarray | None
    groups: np.ndarray
    law: Law
    page: np.ndarray
    rank: np.ndarray
    always_acts: np.ndarray | None = None
    trait: np.ndarray | None = None
    user: np.ndarray | None = None

    @property
    def reward(self) -> np.ndarray:
        """``γ``, shape (n,), in [0, 1]."""
        return self.law.reward

    @property
    def propensity(self) -> np.ndarray:
        """``P(r = 1 | r* = 1, shown)``, shape (n,): multiplied by the reward, the probability of feedback
        where no one slips."""
        return self.law.propensity
