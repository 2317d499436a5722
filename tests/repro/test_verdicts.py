"""Verdicts: conditions on stored values, places, and how many of them could hold by luck."""

import pytest

from simbench.repro.quantities import Quantity
from simbench.repro.verdicts import ClaimVerdict, Condition, Place, above, below, decide, where

VALUES = {"up": Quantity(value=0.3, low=0.1, high=0.5), "down": Quantity(value=-0.3, low=-0.5, high=-0.1)}


def places(*holding, required=True):
    """A place each, which holds or not."""
    return [
        Place(name=f"p{n}", conditions=(above("up" if holds else "down"),), required=required)
        for n, holds in enumerate(holding)
    ]


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (above("up"), True),
        (above("up", 0.1), False),  # the whole interval, and its bound is no more than the threshold
        (above("down"), False),
        (below("down"), True),
        (below("up", 0.6), True),
        (below("up", 0.5), False),
        (Condition(key="up", bound="value", above=True, threshold=0.2), True),
        (Condition(key="up", bound="value", above=False, threshold=0.2), False),
    ],
)
def test_a_condition_is_met_by_a_value_or_a_bound(condition, met):
    assert condition.met(VALUES) is met


def test_a_bound_that_is_not_there_meets_nothing():
    alone = {"x": Quantity(value=1.0, n=1)}
    assert not above("x").met(alone) and not below("x", 2).met(alone)


def test_a_place_holds_by_all_of_its_conditions_or_by_so_many():
    both = (above("up"), above("down"))
    assert not Place(name="p", conditions=both).holds(VALUES)
    assert Place(name="p", conditions=both, at_least=1).holds(VALUES)
    assert not Place(name="p", conditions=both, at_least=2).holds(VALUES)


@pytest.mark.parametrize(
    ("holding", "luck", "verdict"),
    [
        ([], 0.0, ClaimVerdict.untested),
        ([True, True], 0.025, ClaimVerdict.holds),
        ([False, False], 0.025, ClaimVerdict.fails),
        ([True, False], 0.0, ClaimVerdict.condition),
        ([True] + [False] * 56, 0.025, ClaimVerdict.fails),  # 1.4 of 57 are expected by luck
        ([True] * 4 + [False] * 53, 0.025, ClaimVerdict.fails),  # 4 or more: probability .053
        ([True] * 5 + [False] * 52, 0.025, ClaimVerdict.condition),  # 5 or more: .014
        ([True] + [False] * 56, 0.025 / 57, ClaimVerdict.condition),  # simultaneous intervals
    ],
)
def test_a_condition_needs_more_than_luck(holding, luck, verdict):
    assert decide(places(*holding), VALUES, luck) is verdict


def test_places_that_a_claim_does_not_require_can_make_a_condition_and_no_more():
    optional = places(True, required=False)
    assert decide([*places(False), *optional], VALUES, 0.0) is ClaimVerdict.condition
    assert decide([*places(True), *places(False, required=False)], VALUES, 0.0) is ClaimVerdict.holds


def test_the_condition_is_said_by_the_places():
    assert where(places(True, False, True), VALUES) == "in 2 of 3: p0, p2"
    assert where(places(*[True] * 6), VALUES) == "in 6 of 6: p0, p1, p2, p3, …"
