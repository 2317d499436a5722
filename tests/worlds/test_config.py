"""Worlds as values: what they are by default, what the presets are, and what is refused."""

import pytest
from pydantic import ValidationError

from simbench.worlds.config import OrdinalRatings, RealResponses, WorldConfig
from simbench.worlds.presets import DESCRIPTIONS, PRESETS

DEFAULTS = {
    **{"name": "exclusive", "law": "logit", "capped": True, "salience": "context", "trait": None},
    **{"confounding": 0.0, "misclick": 0.0, "signals": 1, "regenerate": False, "signal_dependence": 0.0},
    **{"exposures": 1, "always_share": 0.0, "action_rate": 0.3, "reward": "linear", "base_rate": 0.5},
    **{"reward_scale": 1.5, "prompt_difficulty": 0.75, "responses_per_prompt": 5, "n_features": 32},
    **{"n_context": 4, "test_size": 5000, "default_size": 10_000, "real": None, "ratings": None},
}

# What each preset has of its own; the twins stand in test_twins.
OWN = {
    "exclusive": {},
    "shared": {"salience": "features"},
    "confounded": {"confounding": 0.5},
    "rating": {"law": "rating", "salience": "features"},
    "misclick": {"misclick": 0.05},
    "always": {"salience": "features", "always_share": 0.05},
    "signals": {"salience": "features", "signals": 2},
    "copyable": {"salience": "trait", "trait": "feature:29", "responses_per_prompt": 32},
}


def test_defaults_are_what_they_were():
    assert WorldConfig().model_dump() == DEFAULTS


def test_presets_are_what_they_were():
    assert [name for name in PRESETS if not name.startswith("twin:")] == list(OWN)
    for name, own in OWN.items():
        assert PRESETS[name].model_dump() == {**DEFAULTS, "name": name, **own}


def test_every_preset_is_described():
    assert PRESETS.keys() == DESCRIPTIONS.keys()
    for name, words in {
        "exclusive": "(exclusion)",
        "confounded": "with correlation .5",
        "misclick": "with probability .05",
        "always": "5 % of the prompts",
        "copyable": "32 responses a prompt",
        "twin:helpsteer": "good above 2,",
        "twin:ultrafeedback": "good above 6.5,",
        "twin:saferlhf": "positive above 1.5,",
    }.items():
        assert words in DESCRIPTIONS[name]


def test_the_signals_are_the_click_its_repetitions_and_the_others():
    names = lambda **changes: WorldConfig().changed(**changes).signal_names  # noqa: E731
    assert names() == ("click",)
    assert names(signals=2) == ("click", "copy")
    assert names(signals=3, regenerate=True) == ("click", "copy", "upvote", "regenerate")
    assert names(regenerate=True) == ("click", "regenerate")
    assert names(exposures=3, signals=2) == ("click", "click:2", "click:3", "copy")


@pytest.mark.parametrize(
    ("changes", "logged"),
    [
        ({}, True),
        ({"law": "rating"}, False),  # it reads the rating, whatever the salience says
        ({"salience": "features"}, False),
        ({"salience": "trait", "trait": "feature:0"}, False),
    ],
)
def test_context_is_logged_where_the_propensity_reads_it(changes, logged):
    assert WorldConfig().changed(**changes).logs_context is logged


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("confounding", (-1, 1), (-1.01, 1.01)),
        ("misclick", (0, 0.999), (-0.01, 1)),
        ("signals", (1, 3), (0, 4)),
        ("signal_dependence", (0, 0.999), (-0.01, 1)),
        ("exposures", (1, 10), (0, 11)),
        ("always_share", (0, 0.999), (-0.01, 1)),
        ("action_rate", (0.001, 0.999), (0, 1)),
        ("base_rate", (0.001, 0.999), (0, 1)),
        ("reward_scale", (0.001, 9), (0, -1)),
        ("prompt_difficulty", (0, 9), (-0.01,)),
        ("responses_per_prompt", (1, 99), (0,)),
        ("n_features", (2, 99), (1,)),
        ("n_context", (2, 99), (1,)),
        ("test_size", (100,), (99,)),
        ("default_size", (10,), (9,)),
    ],
)
def test_every_number_has_its_range(field, inside, outside):
    for value in inside:
        assert getattr(WorldConfig().changed(**{field: value}), field) == value
    for value in outside:
        with pytest.raises(ValidationError, match=field):
            WorldConfig().changed(**{field: value})


def test_unknown_fields_and_changes_in_place_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        WorldConfig().changed(biaslevel=1)
    with pytest.raises(ValidationError, match="frozen"):
        WorldConfig().name = "other"


def test_real_responses_are_read_by_these_defaults():
    assert RealResponses(path="a.csv").model_dump() == {
        **{"path": "a.csv", "features": None, "prompt_column": None, "text_column": None},
        **{"rating_column": None, "votes_column": None, "link": "auto", "slope": 1.5, "threshold": None},
    }


THREE = {"levels": (1, 2, 3), "shares": (0.2, 0.5, 0.3), "threshold": 2}


def test_the_good_share_is_of_the_levels_above_the_threshold():
    assert OrdinalRatings(**THREE).good_share == pytest.approx(0.3)
    assert OrdinalRatings(**{**THREE, "threshold": 1.5}).good_share == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"levels": (1, 2)}, "one share for each"),
        ({"levels": (1, 1, 3)}, "ascending order"),
        ({"levels": (2, 1, 3)}, "ascending order"),
        ({"shares": (0.0, 0.5, 0.5)}, "positive and sum to 1"),
        ({"shares": (0.2, 0.5, 0.2)}, "they sum to 0.9"),
        ({"shares": (0.2, 0.5, 0.4)}, "they sum to 1.1"),
        ({"threshold": 3}, "does not separate"),
        ({"threshold": 0.9}, "does not separate"),
    ],
)
def test_ratings_that_are_no_distribution_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        OrdinalRatings(**{**THREE, **changes})
    assert OrdinalRatings(**{**THREE, "threshold": 1}).good_share == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"confounding": 0.1}, "cannot have confounding"),
        ({"always_share": 0.1}, "cannot have always_share"),
        ({"exposures": 2}, "cannot have exposures"),
        ({"real": {"path": "a.csv"}}, "cannot have real"),
        ({"signals": 2}, "cannot have signals"),
        ({"regenerate": True}, "cannot have regenerate"),
        ({"misclick": 0.1}, "cannot have misclick"),
        ({"base_rate": 0.30001}, "share of ratings above τ, 0.3"),
        ({"law": "logit"}, "needs the rating law"),
    ],
)
def test_a_world_of_drawn_ratings_has_nothing_else(changes, words):
    plain = {"law": "rating", "ratings": THREE, "base_rate": 0.3}
    assert WorldConfig.model_validate(plain).capped
    with pytest.raises(ValidationError, match=words):
        WorldConfig.model_validate({**plain, **changes})
