"""A world with some settings changed: parts, kinds of parts, and settings by their own names."""

import pytest
import yaml
from pydantic import ValidationError

from simbench.errors import BadInput
from simbench.study.file import study_from
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.channel import Channel
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS, described
from simbench.worlds.responses import RatedFile, RatingLink, Synthetic
from simbench.worlds.rewards import DrawnRatings, LinearReward, NetworkReward
from simbench.worlds.users import Users

LEVELS = {"levels": (1.0, 2.0), "shares": (0.4, 0.6), "threshold": 1.0}


def changed(preset="exclusive", /, **changes):
    return PRESETS[preset].changed(**changes)


def test_nothing_changed_is_the_same_world():
    for world in PRESETS.values():
        assert world.changed() == world


def test_a_whole_part_takes_the_place_of_another():
    start = changed(misclick=0.05, signals=2)
    assert start.changed(channel=Channel(exposures=2)).channel == Channel(exposures=2)  # nothing is kept
    assert start.changed(behaviour=Rating(capped=False)).behaviour == Rating(capped=False)
    assert start.changed(name="mine", default_size=50).default_size == 50
    assert start.changed(name="mine").model_dump() == {**start.model_dump(), "name": "mine"}


def test_settings_of_a_part_are_laid_over_its_own():
    start = changed(misclick=0.05, signals=2)
    assert start.changed(channel={"misclick": 0.1}).channel == Channel(misclick=0.1, signals=2)
    assert start.changed(behaviour={"confounding": 0.2}).behaviour == Logit(confounding=0.2)
    assert start.changed(responses={"n_features": 8}).responses == Synthetic(n_features=8)
    assert start.channel == Channel(misclick=0.05, signals=2)  # and the start is what it was


def test_another_kind_keeps_what_both_kinds_have():
    start = changed("shared", action_rate=0.4, base_rate=0.7, reward_scale=2.0, n_context=6)
    assert start.changed(behaviour="rating").behaviour == Rating(action_rate=0.4)
    assert start.changed(reward="mlp").reward == NetworkReward(base_rate=0.7, reward_scale=2.0)
    drawn = start.changed(reward={"kind": "ratings", **LEVELS}).reward
    assert drawn == DrawnRatings(**LEVELS, reward_scale=2.0)
    of_file = start.changed(responses={"kind": "file", "path": "a.csv"}, reward="link")
    assert of_file.responses == RatedFile(path="a.csv", n_context=6) and of_file.reward == RatingLink()
    back = start.changed(behaviour="rating").changed(behaviour="logit").behaviour
    assert back == Logit(action_rate=0.4, reads="context")  # what the other kind lacks is the usual again


def test_a_setting_goes_to_the_part_that_has_it():
    assert changed(misclick=0.1).channel == Channel(misclick=0.1)
    assert changed(confounding=0.1).behaviour == Logit(confounding=0.1)
    assert changed(base_rate=0.6).reward == LinearReward(base_rate=0.6)
    assert changed(test_size=200).responses == Synthetic(test_size=200)
    assert changed(careless=0.1).users == Users(careless=0.1)
    assert changed(careless=0.1, users=Users(activity=1.0)).users == Users(activity=1.0, careless=0.1)
    assert changed(users=Users()).changed(users=None).users is None
    # a loose setting goes to the part as it is after the change
    assert changed(capped=False, behaviour="rating").behaviour == Rating(capped=False)
    assert changed(slope=2.0, reward="link", responses={"kind": "file", "path": "a"}).reward.slope == 2.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"missclick": 0.1}, r"no part of this world has a setting 'missclick'\. Did you mean 'misclick'\?"),
        ({"capped": False}, r"'capped'\. .*There are: n_features,"),  # the logit law has none
        ({"behaviour": "rating", "confounding": 0.1}, "'confounding'"),
        ({"kind": "rating"}, "no part of this world has a setting 'kind'"),  # every part has its own
        (
            {"behaviour": {"reads": "feature"}},
            r"behaviour\.reads: .*'context', 'features' or 'trait'.*'feature'",
        ),
        ({"channel": {"misclik": 0.1}}, r"channel\.misclik: Extra inputs are not permitted, got 0\.1"),
        ({"channel": 3}, "channel: give its kind or its settings, got 3"),
        ({"behaviour": ["logit"]}, "behaviour: give its kind or its settings"),
        ({"reward": "mlpp"}, r"reward: .*'mlpp'.*'linear', 'mlp', 'ratings', 'link'"),
        ({"reward": "ratings"}, r"reward\.ratings\.levels: Field required"),
        ({"default_size": "many"}, "default_size: .*got 'many'"),
        ({"channel": None}, "channel: Input should be .*got None"),
    ],
    ids=str,
)
def test_what_is_not_possible_is_one_sentence(changes, words):
    with pytest.raises(BadInput, match=words) as error:
        changed(**changes)
    assert "\n" not in str(error.value)


def test_rated_responses_and_the_link_of_their_ratings_need_each_other():
    of_file = RatedFile(path="a.csv")
    for responses, reward, words in (
        (of_file, LinearReward(), "file responses need a reward of kind link"),
        (of_file, DrawnRatings(**LEVELS), "file responses need a reward of kind link"),
        (Synthetic(), RatingLink(), "synthetic responses need a reward of kind linear, mlp or ratings"),
    ):
        with pytest.raises(ValidationError, match=words):
            WorldConfig(responses=responses, reward=reward)
        with pytest.raises(BadInput, match=words):
            changed(responses=responses, reward=reward)
    assert WorldConfig(responses=of_file, reward=RatingLink()).responses == of_file


NESTED = """
worlds:
  - preset: exclusive
    channel: {misclick: .05}
    behaviour: {kind: rating}
  - preset: twin:helpsteer
    responses: {n_features: 16}
    action_rate: .4
  - name: mine
    reward: mlp
    behaviour: logit
    reads: features
    users: {pages_per_user: 3}
  - shared
  - name: read
    responses: {kind: file, path: rated.jsonl, trait: length}
    reward: {kind: link, slope: 2}
    behaviour: {reads: trait}
"""


def test_worlds_of_a_study_file_may_be_nested_or_flat():
    first, twin, mine, shared, read = study_from(yaml.safe_load(NESTED)).worlds
    assert first == WorldConfig(behaviour=Rating(), channel=Channel(misclick=0.05))
    of_twin = PRESETS["twin:helpsteer"]
    assert twin.reward == of_twin.reward and twin.behaviour == Rating(action_rate=0.4)
    assert twin.responses == Synthetic(n_features=16, responses_per_prompt=4)
    assert mine == WorldConfig(
        name="mine", reward=NetworkReward(), behaviour=Logit(reads="features"), users=Users(pages_per_user=3)
    )
    assert shared == PRESETS["shared"]
    assert read.responses == RatedFile(path="rated.jsonl", trait="length")
    assert read.reward == RatingLink(slope=2) and read.behaviour == Logit(reads="trait")
    with pytest.raises(BadInput, match="'salience'"):
        study_from({"worlds": [{"preset": "exclusive", "salience": "features"}]})


def test_a_world_is_told_by_its_preset_and_by_what_was_changed():
    plain = described(PRESETS["shared"])
    assert described(changed("shared", name="shared:answers")) == plain
    assert described(changed("shared", misclick=0.1, signals=2)) == f"{plain}, misclick 0.1, signals 2"
    assert described(changed("shared", behaviour="rating", capped=False)) == "behaviour rating, capped False"
    with_users = changed("shared", careless=0.1)
    assert described(with_users) == f"{plain}, users of 5 pages each, careless 0.1"
    mine = WorldConfig().changed(name="mine", reads="features", exposures=2)
    assert described(mine) == "as configured, reads features, exposures 2"
