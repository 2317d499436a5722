"""Worlds as values: what they are by default, what the presets are, and what is refused."""

import pytest
from pydantic import ValidationError

from simbench.errors import BadInput
from simbench.worlds.config import PARTS, WorldConfig
from simbench.worlds.presets import DESCRIPTIONS, PRESETS
from simbench.worlds.responses import RatedFile, RatingLink
from simbench.worlds.rewards import DrawnRatings
from simbench.worlds.users import Users

RESPONSES = {
    **{"kind": "synthetic", "n_features": 32, "n_context": 4, "responses_per_prompt": 5, "test_size": 5000},
    "trait": None,
}
REWARD = {"kind": "linear", "base_rate": 0.5, "reward_scale": 1.5, "prompt_difficulty": 0.75}
LOGIT = {"kind": "logit", "action_rate": 0.3, "reads": "context", "confounding": 0.0}
RATING = {"kind": "rating", "action_rate": 0.3, "capped": True}
CHANNEL = {
    **{"misclick": 0.0, "signals": 1, "regenerate": False, "signal_dependence": 0.0, "exposures": 1},
    "always_share": 0.0,
}
ORDER = {"ranked": 0.0, "shuffled": 0.0}
PAGE = {"kind": "page", "action_rate": 0.3}
DEFAULTS = {
    **{"name": "exclusive", "responses": RESPONSES, "reward": REWARD, "behaviour": LOGIT},
    **{"order": ORDER, "channel": CHANNEL, "users": None, "default_size": 10_000},
}
SHARED = {**LOGIT, "reads": "features"}
WITH_USERS = WorldConfig(users=Users())

# What each preset has of its own; the twins stand in test_twins.
OWN = {
    "exclusive": {},
    "shared": {"behaviour": SHARED},
    "confounded": {"behaviour": {**LOGIT, "confounding": 0.5}},
    "rating": {"behaviour": RATING},
    "misclick": {"channel": {**CHANNEL, "misclick": 0.05}},
    "always": {"behaviour": SHARED, "channel": {**CHANNEL, "always_share": 0.05}},
    "signals": {"behaviour": SHARED, "channel": {**CHANNEL, "signals": 2}},
    "copyable": {
        "responses": {**RESPONSES, "trait": "feature:29", "responses_per_prompt": 32},
        "behaviour": {**LOGIT, "reads": "trait"},
    },
    "page": {"behaviour": PAGE},
    "ranked": {"behaviour": PAGE, "order": {**ORDER, "ranked": 0.8}},
    "cascade": {"behaviour": {**PAGE, "kind": "cascade"}},
    "regenerate": {
        "behaviour": {**PAGE, "kind": "regenerate", "patience": 0.8, "curiosity": 0.0, "reads": "context"}
    },
    "users": {"users": {"pages_per_user": 5, "activity": 0.7, "leniency": 0.7, "careless": 0.05}},
}


def test_defaults_are_what_they_were():
    assert WorldConfig().model_dump() == DEFAULTS


def test_presets_are_what_they_were():
    assert [name for name in PRESETS if not name.startswith("twin:")] == list(OWN)
    for name, own in OWN.items():
        assert PRESETS[name].model_dump() == {**DEFAULTS, "name": name, **own}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_reads_back_from_its_json(name):
    found = WorldConfig.model_validate_json(PRESETS[name].model_dump_json())
    assert found == PRESETS[name]
    assert type(found.behaviour) is type(PRESETS[name].behaviour)


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
        ({"behaviour": "rating"}, False),
        ({"reads": "features"}, False),
        ({"reads": "trait", "trait": "feature:0"}, False),
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
        ("ranked", (0, 1), (-0.01, 1.01)),
        ("shuffled", (0, 1), (-0.01, 1.01)),
        ("pages_per_user", (1, 99), (0,)),
        ("activity", (0, 9), (-0.01,)),
        ("leniency", (0, 9), (-0.01,)),
        ("careless", (0, 0.999), (-0.01, 1)),
    ],
)
def test_every_number_has_its_range(field, inside, outside):
    for value in inside:
        described = WorldConfig().changed(**{field: value}).model_dump()
        settings = {name: own for part in PARTS for name, own in (described[part] or {}).items()}
        assert {**described, **settings}[field] == value
    for value in outside:
        with pytest.raises(BadInput, match=rf"{field}: Input should be .*, got {value}"):
            WorldConfig().changed(**{field: value})


def test_unknown_fields_and_changes_in_place_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        WorldConfig(biaslevel=1)
    with pytest.raises(ValidationError, match="frozen"):
        WorldConfig().name = "other"
    for part in PARTS:
        assert type(getattr(WITH_USERS, part)).model_config["frozen"]
        with pytest.raises(BadInput, match=rf"{part}.*\.biaslevel: Extra inputs are not permitted, got 1"):
            WorldConfig().changed(**{part: {"biaslevel": 1}})


def test_rated_responses_are_read_by_these_defaults():
    assert RatedFile(path="a.csv").model_dump() == {
        **{"kind": "file", "path": "a.csv", "features": None, "prompt_column": None, "text_column": None},
        **{"rating_column": None, "votes_column": None, "encoding": None, "separator": None},
        **{"n_context": 4, "trait": None},
    }
    assert RatingLink().model_dump() == {"kind": "link", "link": "auto", "slope": 1.5, "threshold": None}


THREE = {"levels": (1, 2, 3), "shares": (0.2, 0.5, 0.3), "threshold": 2}


def test_the_base_rate_is_of_the_levels_above_the_threshold():
    assert DrawnRatings(**THREE).base_rate == pytest.approx(0.3)
    assert DrawnRatings(**{**THREE, "threshold": 1.5}).base_rate == pytest.approx(0.8)


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
        DrawnRatings(**{**THREE, **changes})
    assert DrawnRatings(**{**THREE, "threshold": 1}).base_rate == pytest.approx(0.8)
