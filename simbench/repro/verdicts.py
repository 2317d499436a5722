"""How measured values decide a verdict: conditions on them, the places where a claim is judged, and luck.

A verdict is a function of stored values alone, so that :mod:`simbench.repro.check` can derive it again.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel
from scipy.stats import binom

from simbench.repro.quantities import Quantity

LUCK = 0.05  # chance up to which as many places as hold could hold by luck alone


class ClaimVerdict(StrEnum):
    """The verdict on a claim, decided by a rule in code."""

    holds = "holds"
    condition = "holds under a condition"
    fails = "does not hold"
    untested = "could not be tested here"


class Condition(BaseModel, frozen=True, extra="forbid"):
    """That a value, or a bound of its interval, lies above a threshold, or below it.

    Parameters
    ----------
    key : str
        Which of the finding's quantities.
    bound : {"value", "low", "high"}
        What of it; a bound that does not exist meets no condition.
    above : bool
        Whether it must lie above the threshold, or else below.
    threshold : float
    """

    key: str
    bound: Literal["value", "low", "high"]
    above: bool
    threshold: float

    def met(self, quantities: Mapping[str, Quantity]) -> bool:
        """Return whether the condition is met; raise :class:`KeyError` if there is no such quantity."""
        number = getattr(quantities[self.key], self.bound)
        return number is not None and (number > self.threshold if self.above else number < self.threshold)


class Place(BaseModel, frozen=True, extra="forbid"):
    """Somewhere that a claim is judged: a world, a protocol, a metric.

    Parameters
    ----------
    name : str
        As the document names it.
    conditions : tuple of Condition
    at_least : int, optional
        How many of the conditions must be met; by default all.
    required : bool
        Whether the claim says that it holds here; it may hold under a condition in places where it does not.
    """

    name: str
    conditions: tuple[Condition, ...]
    at_least: int | None = None
    required: bool = True

    def holds(self, quantities: Mapping[str, Quantity]) -> bool:
        """Return whether the claim holds here."""
        met = sum(condition.met(quantities) for condition in self.conditions)
        return met >= (len(self.conditions) if self.at_least is None else self.at_least)


def above(key: str, threshold: float = 0.0) -> Condition:
    """Return the condition that a whole interval lies above a threshold."""
    return Condition(key=key, bound="low", above=True, threshold=threshold)


def below(key: str, threshold: float = 0.0) -> Condition:
    """Return the condition that a whole interval lies below a threshold."""
    return Condition(key=key, bound="high", above=False, threshold=threshold)


def decide(places: Sequence[Place], quantities: Mapping[str, Quantity], luck: float) -> ClaimVerdict:
    """Return the verdict of a claim that is judged in several places.

    It holds if it holds in every required place. It holds under a condition if it holds in more places than
    could be luck: as many of them, each by chance with probability ``luck``, would be rarer than
    :data:`LUCK`. Without places it is untested.

    Parameters
    ----------
    places : sequence of Place
    quantities : mapping of str to Quantity
    luck : float in [0, 1)
        How probable it is that a place holds by luck: .025 for one bound of an interval of 95 %, that over
        the number of intervals where they are simultaneous, 0 where nothing is drawn.
    """
    if not places:
        return ClaimVerdict.untested
    held = sum(place.holds(quantities) for place in places)
    if all(place.holds(quantities) for place in places if place.required):
        return ClaimVerdict.holds
    if held and float(binom.sf(held - 1, len(places), luck)) <= LUCK:
        return ClaimVerdict.condition
    return ClaimVerdict.fails


def where(places: Sequence[Place], quantities: Mapping[str, Quantity]) -> str:
    """Return the condition under which a claim holds, in words: the places where it does."""
    names = [place.name for place in places if place.holds(quantities)]
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return f"in {len(names)} of {len(places)}: {shown}"
