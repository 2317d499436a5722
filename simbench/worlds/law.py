"""A law: how users act on the responses of one population at one bias level, with what is true of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drawn:
    """One replicate: what users thought of n responses, and what they did.

    Parameters
    ----------
    preference : ndarray of bool, shape (n,)
        Latent preference ``r*``.
    signals : ndarray of bool, shape (K, n)
        Logged signals; the first is the feedback.
    shown : ndarray of bool, shape (n,), optional
        Responses that were reached; None if all were. One that was not carries no signal.
    propensity : ndarray, shape (n,), optional
        Propensity in this replicate, where it depends on what was drawn (a rating).
    """

    preference: np.ndarray
    signals: np.ndarray
    shown: np.ndarray | None = None
    propensity: np.ndarray | None = None


@dataclass(frozen=True)
class Outcomes:
    """Everything that can be logged of one page of k responses, enumerated; M outcomes.

    Parameters
    ----------
    signals : ndarray of bool, shape (M, K, k)
    shown : ndarray of bool, shape (M, k)
    probability : ndarray, shape (M,), float64
        Sums to 1.
    """

    signals: np.ndarray
    shown: np.ndarray
    probability: np.ndarray

    def shown_probability(self) -> np.ndarray:
        """``P(shown)`` of each response of the page, shape (k,)."""
        return self.probability @ self.shown

    def signal_probabilities(self) -> np.ndarray:
        """``P(s_k = 1 | shown)`` of each signal and response of the page, shape (K, k)."""
        return np.einsum("m,mkj->kj", self.probability, self.signals) / self.shown_probability()


class Law(ABC):
    """How users act on n responses. It draws feedback, and declares what is true of what it draws.

    Probabilities are given everything that does not change from replicate to replicate: features, context,
    users and the composition of the pages.
    """

    @property
    @abstractmethod
    def reward(self) -> np.ndarray:
        """``γ = P(r* = 1)``, shape (n,), in [0, 1]."""

    @property
    @abstractmethod
    def propensity(self) -> np.ndarray:
        """``P(r = 1 | r* = 1, shown)``, shape (n,), in (0, 1]."""

    @property
    def action_probability(self) -> np.ndarray:
        """``P(a = 1 | shown)``, shape (n,): the propensity, unless users act on what they think."""
        return self.propensity

    @property
    @abstractmethod
    def signal_probabilities(self) -> np.ndarray:
        """``P(s_k = 1 | shown)`` of every signal, shape (K, n)."""

    @property
    def shown_probability(self) -> np.ndarray | None:
        """``P(shown)``, shape (n,); None if every response is shown."""
        return None

    @property
    def is_one_click(self) -> bool:
        """Whether all that is logged is one independent draw of probability ``γα`` per response."""
        return False

    def action_correlation(self) -> float:
        """Mean correlation of the actions of two positive signals on one response; 0 if there is one."""
        return 0.0

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw one replicate from a generator that belongs to it."""

    @abstractmethod
    def outcomes(self, rows: np.ndarray) -> Outcomes:
        """Enumerate what can be logged of one whole page, given by its k row numbers in order."""
