"""A study is read from a file, a name or a mapping, and what is given is laid over it."""

import pytest

from simbench.errors import BadInput
from simbench.study import library
from simbench.study.config import StudyConfig
from simbench.study.file import Overrides, study_from
from simbench.study.names import everyone
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.presets import PRESETS
from simbench.worlds.responses import RatedFile, RatingLink


def test_nothing_given_is_the_default_study():
    assert study_from() == StudyConfig(draws=5, replicates=8)


def test_file_name_and_mapping_are_the_same_study(tmp_path):
    path = library.folder() / "variance.yaml"
    copy = tmp_path / "mine.yaml"
    copy.write_text(path.read_text())
    config = study_from("variance")
    assert config == study_from(path) == study_from(str(copy)) and config.replicates == 50
    settings = {"replicates": 3, "worlds": ["shared", {"preset": "exclusive", "misclick": 0.1}]}
    first, second = study_from(settings).worlds
    assert first == PRESETS["shared"] and second.channel.misclick == 0.1
    assert settings == {"replicates": 3, "worlds": ["shared", {"preset": "exclusive", "misclick": 0.1}]}


def test_overrides_win_over_the_source():
    source = {"replicates": 3, "seed": 5, "estimators": ["naive"], "downstream": {"kls": [0.5]}}
    over = Overrides(
        worlds=["shared"],
        bias_levels=[1.0, 2.0],
        sizes=[400],
        replicates=7,
        more_estimators=["ips", "naive"],
        grant="none",
        memory_budget="1GiB",
        downstream=True,
        misclick=0.2,
        n_features=7,
        trait="feature:3",
    )
    config = study_from(source, over)
    assert (config.replicates, config.seed, config.sizes, config.bias_levels) == (7, 5, (400,), (1.0, 2.0))
    assert config.estimators == ("naive", "ips") and config.grant == () and config.memory_budget == 1 << 30
    assert config.downstream is not None and config.downstream.kls == (0.5,)
    (world,) = config.worlds
    assert (world.name, world.channel.misclick, world.responses.n_features) == ("shared", 0.2, 7)
    assert world.responses.trait == "feature:3" and world.behaviour == Logit(reads="trait")


def test_all_stands_for_every_installed_estimator():
    for config in (study_from(None, Overrides(estimators=["all"])), study_from({"estimators": ["all"]})):
        assert config.estimators == tuple(everyone()) and "sklearn:LogisticRegression" in config.estimators
    assert study_from(None, Overrides(more_estimators=["ome-ips"])).estimators == (
        *StudyConfig().estimators,
        "ome-ips",
    )


def test_real_responses_name_the_world():
    over = Overrides(real={"path": "folder/captions.jsonl.gz", "slope": 2.0})
    (world,) = study_from(None, over).worlds
    assert world.name == "exclusive:captions" and world.reward == RatingLink(slope=2.0)
    assert world.responses == RatedFile(path="folder/captions.jsonl.gz")


@pytest.mark.parametrize(
    ("source", "over", "message"),
    [
        ("varance", {}, "there is no study 'varance'. Did you mean 'variance'\\? See: simbench list studies"),
        ("folder/varance", {}, "cannot be read"),
        ("varance.yaml", {}, "cannot be read"),
        ({"replicats": 3}, {}, "replicats: Extra inputs"),
        ({}, {"worlds": ["exclusiv"]}, "Did you mean 'exclusive'"),
        ({}, {"real": {"path": "x", "link": "chain"}}, "link"),
        ({}, {"misclick": 2.0}, "misclick: .*got 2.0"),
    ],
)
def test_what_is_wrong_is_one_sentence(source, over, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=message):
        study_from(source, Overrides(**over))


def test_a_file_that_holds_no_mapping_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(BadInput, match="must hold a mapping"):
        study_from(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(BadInput, match="not valid YAML"):
        study_from(tmp_path / "broken.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 2024-99-99", "seed: Input should be a valid integer"),
        ("seed: true", "seed: must be a number, not true or false"),
        ("replicates: yes", "replicates: must be a number, not true or false"),
        ("worlds: 5", "worlds must be a list of names or settings, such as .exclusive., got 5"),
        ("worlds: exclusive", "worlds must be a list of names or settings"),
        ("worlds: []", "worlds must be a list of names or settings"),
        ("worlds: [5]", "worlds: each is a name, or settings such as .*, got 5"),
        ("worlds: [{5: 1}]", "worlds: each is a name, or settings such as"),
        ("worlds: [{preset: 5}]", "worlds: preset is the name of a world, got 5"),
        ("estimators: naive", "estimators must be a list of names, such as .*, got 'naive'"),
        ("estimators: [5]", "estimators must be a list of names"),
        ("estimators: []", "estimators: .*at least 1 item"),
        ("bias_levels: []", "bias_levels: .*at least 1 item"),
        ("protocols: []", "protocols: .*at least 1 item"),
        ("replicates: 1000000000000", "replicates: Input should be less than or equal to 1000000"),
        ("margin: .inf", "margin: Input should be less than or equal to 1"),
        ("downstream: {kls: [0]}", "downstream.kls.0: Input should be greater than or equal to"),
        ("? 5\n: 3", "must hold a mapping of study settings"),
    ],
)
def test_a_setting_of_the_wrong_type_is_named(text, message, tmp_path):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(BadInput, match=message):
        study_from(tmp_path / "study.yaml")
