"""Behaviours in which a user goes through a page in order, and may stop at every response.

All that such a behaviour states is one table: what happens at a response that was reached, given whether it
is good. Draws, marginals and the enumerated joint follow from it here.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from simbench.worlds.behaviour import Behaviour
from simbench.worlds.channel import Channel
from simbench.worlds.law import Drawn, Law, Outcomes
from simbench.worlds.scene import Scene
from simbench.worlds.signals import NEGATIVE, POSITIVE

GOOD, ACTS, GOES_ON = 1, 1, 1  # places in the axes of a table of steps


class SequentialBehaviour(Behaviour):
    """A behaviour that is stated by what happens at each response that the user reaches.

    Attributes
    ----------
    reach_is_logged : bool
        Whether the log tells which responses were reached: going on is then logged as a signal against the
        response that the user left (``regenerate``), and what was never reached is not shown.
    """

    reach_is_logged: ClassVar[bool] = False

    @abstractmethod
    def steps(self, scene: Scene, bias_level: float) -> np.ndarray:
        """What happens at each response once it is reached.

        Parameters
        ----------
        scene : Scene
        bias_level : float
            How unequally users act, at least 0.

        Returns
        -------
        ndarray, shape (n, 2, 2, 2)
            ``P(r = f, the user goes on = g | r* = p, reached)`` at ``[:, p, f, g]``; sums to 1 over f and g.
        """

    def law(self, scene: Scene, bias_level: float, channel: Channel) -> Law:
        """The law that follows from the table of steps."""
        return SequentialLaw(scene.reward, scene.pages, self.steps(scene, bias_level), self.reach_is_logged)

    @property
    def logs(self) -> frozenset[str]:
        """The order of responses, the context, and which responses were reached, where that is logged."""
        return frozenset({"context", "pages"} | ({"attempts"} if self.reach_is_logged else set()))

    def signal_names(self, channel: Channel) -> tuple[str, ...]:
        """The click; and the user's going on, where it is logged."""
        return (POSITIVE[0], NEGATIVE) if self.reach_is_logged else (POSITIVE[0],)


def reached(goes_on: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """Whether every response is reached, or how likely: the product over those before it on its page.

    Parameters
    ----------
    goes_on : ndarray, shape (n,), bool or in [0, 1]
        Whether the user goes on behind each response, or with which probability.
    pages : ndarray of int64, shape (P, k)
        Row numbers of the responses of every page in order, -1 where a page is shorter.

    Returns
    -------
    ndarray, shape (n,), of the type of ``goes_on``
    """
    found, so_far = np.ones_like(goes_on), np.ones(len(pages), dtype=goes_on.dtype)
    for rows in pages.T:
        here = rows >= 0
        found[rows[here]] = so_far[here]
        so_far[here] = so_far[here] * goes_on[rows[here]]
    return found


class SequentialLaw(Law):
    """Users who go through every page in order.

    Parameters
    ----------
    reward : ndarray, shape (n,)
        ``γ``; preferences on a page are independent of each other.
    pages : ndarray of int64, shape (P, k)
        Row numbers of the responses of every page in order, -1 where a page is shorter.
    steps : ndarray, shape (n, 2, 2, 2)
        See :meth:`SequentialBehaviour.steps`.
    reach_is_logged : bool
        Whether the log tells which responses were reached.
    """

    def __init__(self, reward: np.ndarray, pages: np.ndarray, steps: np.ndarray, reach_is_logged: bool):
        self._reward, self.pages, self.reach_is_logged = reward, pages, reach_is_logged
        self.steps = steps.copy()
        self._end_of_page()
        self.reach = self._reach()

    def _end_of_page(self) -> None:
        """Behind the last response of a page there is nothing to go on to."""
        last = self.pages[np.arange(len(self.pages)), (self.pages >= 0).sum(1) - 1]
        self.steps[last, :, :, 0] += self.steps[last, :, :, GOES_ON]
        self.steps[last, :, :, GOES_ON] = 0

    def _reach(self) -> np.ndarray:
        """``P(reached)``, shape (n,): own preference does not enter, only those before it."""
        preference = np.stack([1 - self._reward, self._reward], axis=1)
        return reached((preference * self.steps[:, :, :, GOES_ON].sum(2)).sum(1), self.pages)

    @property
    def reward(self) -> np.ndarray:
        """``γ``, shape (n,)."""
        return self._reward

    @property
    def propensity(self) -> np.ndarray:
        """``P(r = 1 | r* = 1)``, given that it was shown where the log tells that; shape (n,)."""
        acts = self.steps[:, GOOD, ACTS].sum(1)
        return acts if self.reach_is_logged else self.reach * acts

    @property
    def shown_probability(self) -> np.ndarray | None:
        """``P(reached)``, where the log tells it."""
        return self.reach if self.reach_is_logged else None

    @property
    def signal_probabilities(self) -> np.ndarray:
        """``P(s_k = 1)``, given that the response was shown where the log tells that; shape (K, n)."""
        gamma = np.stack([1 - self._reward, self._reward], axis=1)
        acts = (gamma * self.steps[:, :, ACTS].sum(2)).sum(1)
        if not self.reach_is_logged:
            return (self.reach * acts)[None]
        return np.stack([acts, (gamma * self.steps[:, :, :, GOES_ON].sum(2)).sum(1)])

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw preferences, then go through all pages at once, place by place."""
        n = len(self._reward)
        uniform = rng.random((3, n))
        preference = uniform[0] < self._reward
        given = self.steps[np.arange(n), preference.astype(int)]  # (n, feedback, goes on)
        acts = uniform[1] < given[:, ACTS].sum(1)
        of_action = given[np.arange(n), acts.astype(int)]
        goes_on = uniform[2] * of_action.sum(1) < of_action[:, GOES_ON]
        shown = reached(goes_on, self.pages)
        if not self.reach_is_logged:
            return Drawn(preference, (acts & shown)[None])
        return Drawn(preference, np.stack([acts & shown, goes_on & shown]), shown=shown)

    def outcomes(self, rows: np.ndarray) -> Outcomes:
        """Enumerate the paths through one whole page, and add up those that leave the same log."""
        gamma = np.stack([1 - self._reward[rows], self._reward[rows]], axis=1)
        step = np.einsum("kp,kpfg->kfg", gamma, self.steps[rows])
        found: dict[tuple[tuple[int, ...], int], float] = {}
        paths: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
        for place in range(len(rows)):
            following = []
            for clicks, probability in paths:
                for acts in (0, 1):
                    path = (*clicks, acts)
                    stops = probability * step[place, acts, 0]
                    length = len(path) if self.reach_is_logged else len(rows)
                    whole = path + (0,) * (len(rows) - len(path))
                    found[whole, length] = found.get((whole, length), 0.0) + stops
                    following.append((path, probability * step[place, acts, GOES_ON]))
            paths = following
        clicks = np.array([clicks for clicks, _ in found], dtype=bool)
        shown = np.arange(len(rows)) < np.array([length for _, length in found])[:, None]
        goes_on = np.roll(shown, -1, axis=1) & (np.arange(len(rows)) < len(rows) - 1)
        signals = np.stack([clicks, goes_on], axis=1) if self.reach_is_logged else clicks[:, None]
        return Outcomes(signals, shown, np.array(list(found.values())))
