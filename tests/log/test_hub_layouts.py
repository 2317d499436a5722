"""Rows, columns, revisions and splits of the hub's data sets, without a file and without a network."""

import huggingface_hub.constants as constants
import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log import hub
from simbench.log.hub import read_hub

datasets = pytest.importorskip("datasets", reason="needs the extra [hub]")


@pytest.fixture
def published(monkeypatch):
    """Put frames on a hub by name of split; returns what was asked of it."""
    asked = []

    def publish(reachable=True, **splits):
        def load_dataset(name, revision=None):
            offline = (constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
            asked.append((name, revision, offline, datasets.are_progress_bars_disabled()))
            for frame in splits.values():
                if isinstance(frame, Exception):
                    raise frame
            return datasets.DatasetDict(
                {name: datasets.Dataset.from_pandas(frame) for name, frame in splits.items()}
            )

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        monkeypatch.setattr(hub, "hub_reachable", lambda: reachable)
        return asked

    for place in (constants, datasets.config):
        monkeypatch.setattr(place, "HF_HUB_OFFLINE", False)
    return publish


def named(name):
    return pd.DataFrame({"question": [name], "answer": ["x"], "score": [1]})


@pytest.mark.parametrize(
    ("source", "asked", "split"),
    [
        ("hub:a/b", ("a/b", None), "train"),
        ("hub:a/b:test", ("a/b", None), "test"),
        ("hub:a/b@v1.0", ("a/b", "v1.0"), "train"),
        ("hub:a/b@v1.0:test", ("a/b", "v1.0"), "test"),
        ("hub:squad", ("squad", None), "train"),
        ("hub:a/b@:", ("a/b", None), "train"),
    ],
)
def test_owner_revision_and_split_are_parted(source, asked, split, published):
    seen = published(test=named("test"), train_prefs=named("train_prefs"), train=named("train"))
    assert read_hub(source).question.tolist() == [split]
    assert [call[:2] for call in seen] == [asked]


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["train", "train_prefs"], "train"),
        (["train_prefs", "train"], "train"),
        (["test_prefs", "train_prefs"], "train_prefs"),
        (["validation", "test"], "validation"),
    ],
)
def test_the_usual_split_is_taken_or_else_the_first(there, taken, published):
    published(**{name: named(name) for name in there})
    assert read_hub("hub:a/b").question.tolist() == [taken]
    with pytest.raises(BadInput, match=f"^a/b has no split 'dev'; it has: {', '.join(there)}\\.$"):
        read_hub("hub:a/b:dev")


@pytest.mark.parametrize("name", ["a@b:c", "plain"])
def test_a_folder_may_have_any_name_and_its_split_may_be_told(name, tmp_path, monkeypatch):
    folder = tmp_path / name
    folder.mkdir()
    assert hub._parse(f"hub:{folder}") == (str(folder), None, None)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub._parse(f"hub:~/{name}") == (str(folder), None, None)
    if name == "plain":
        assert hub._parse(f"hub:{folder}:test") == (str(folder), None, "test")
        assert hub._parse("hub:~/plain@x:test") == (str(folder), "x", "test")


@pytest.mark.parametrize(
    "source", ["hub:", "hub::test", "hub:@x", "hub:/no/such", "hub:~/no", "hub:a/b/c", "hub:.a"]
)
def test_what_is_no_name_is_refused(source):
    with pytest.raises(BadInput, match=f"^{source}: give hub:OWNER/DATASET, with @REVISION and :SPLIT where"):
        read_hub(source)


@pytest.mark.parametrize("reachable", [True, False])
def test_without_the_hub_only_the_cache_is_read_and_the_switch_is_set_back(reachable, published):
    asked = published(reachable, train=named("train"))
    assert len(read_hub("hub:a/b")) == 1
    asked = published(reachable, train=ConnectionError("no\nroute"))
    said = "cannot be loaded from the Hugging Face hub: no" if reachable else "is not on this machine and"
    with pytest.raises(BadInput, match=f"^data set a/b {said}"):
        read_hub("hub:a/b")
    assert [call[2] for call in asked] == [(not reachable, not reachable)] * 2
    assert (constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE) == (False, False)


def test_a_folder_needs_no_hub(tmp_path, published, monkeypatch):
    asked = published(train=named("train"))
    monkeypatch.setattr(hub, "hub_reachable", lambda: pytest.fail("the hub was asked"))
    assert len(read_hub(f"hub:{tmp_path}")) == 1 and asked[0][:3] == (str(tmp_path), None, (False, False))
    published(train=ValueError("no file.\nmore"))
    with pytest.raises(BadInput, match=r"^the folder .* cannot be read as a data set: no file\.$"):
        read_hub(f"hub:{tmp_path}")
    published(train=ValueError())
    with pytest.raises(BadInput, match=r"as a data set: ValueError\.$"):
        read_hub(f"hub:{tmp_path}")


@pytest.mark.parametrize(
    ("terminal", "off_before"), [(True, False), (False, False), (False, True), (True, True)]
)
def test_bars_are_shown_on_a_terminal_only(terminal, off_before, published, monkeypatch):
    asked = published(train=named("train"))
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    (datasets.disable_progress_bars if off_before else datasets.enable_progress_bars)()
    try:
        read_hub("hub:a/b")
        assert asked[0][3] is (off_before or not terminal)
        assert datasets.are_progress_bars_disabled() is off_before
    finally:
        datasets.enable_progress_bars()


HELPSTEER = pd.DataFrame(
    {
        "prompt": ["p", "p", "q", "q", "r", "r"],
        "response": list("abcdef"),
        "helpfulness": [0.0, 4.0, 4.5, -1.0, 3.0, None],
        "correctness": [1, 2, 3, 4, 0, 1],
        "coherence": [4, 3, 2, 1, 0, 4],
    }
)


def test_helpsteers_rating_is_helpfulness(published):
    published(train=HELPSTEER)
    found = read_hub("hub:a/b")
    assert found.columns.tolist() == ["prompt", "response", "rating", "group"]
    assert found.rating.fillna(-9).tolist() == [0, 4, -9, -9, 3, -9] and found.rating.dtype == float
    assert found.prompt.tolist() == found.group.tolist() == ["p", "p", "q", "q", "r", "r"]
    assert found.response.tolist() == list("abcdef")


ULTRAFEEDBACK = pd.DataFrame(
    {
        "prompt": ["p", "p", "q"],
        "chosen": [[{"content": "p", "role": "user"}, {"content": w, "role": "assistant"}] for w in "acd"],
        "rejected": [[{"content": "p", "role": "user"}, {"content": w, "role": "assistant"}] for w in "ABD"],
        "score_chosen": [9.0, 7.5, 3.0],
        "score_rejected": [2.0, 8.0, None],
    }
)


@pytest.mark.parametrize("with_id", [True, False])
def test_ultrafeedback_is_chosen_then_rejected_with_the_score_of_each(with_id, published):
    """Two lines of one prompt are two groups only where they have an id each."""
    published(train_prefs=ULTRAFEEDBACK.assign(prompt_id=["x", "y", "z"]) if with_id else ULTRAFEEDBACK)
    found = read_hub("hub:a/b")
    assert found.response.tolist() == ["a", "A", "c", "B", "d", "D"]
    assert found.rating.fillna(-9).tolist() == [9, 2, 7.5, 8, 3, -9]
    assert found.role.tolist() == ["chosen", "rejected"] * 3 and found.prompt.tolist() == list("ppppqq")
    assert found.group.tolist() == list("xxyyzz" if with_id else "ppppqq")
    assert found.index.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("talk", "response"),
    [
        ([{"content": "a"}, {"content": "b"}, {"content": "c"}], "c"),
        (np.array([{"content": "a"}, {"content": "b"}]), "b"),
        (({"content": "a"},), "a"),
        ([{"role": "user"}], None),
        ([], None),
        ("plain", "plain"),
        (None, None),
        (7, None),
    ],
)
def test_the_response_is_the_last_message(talk, response):
    assert hub._last_message(talk) == response


SAFERLHF = pd.DataFrame(
    {
        "prompt": ["p", "q", "p"],
        "response_0": ["a", "b", "c"],
        "response_1": ["A", "B", "C"],
        "response_0_severity_level": [0, 3, 1],
        "response_1_severity_level": [2.0, 4.0, -1.0],
        "is_response_0_safe": [True, False, False],
        "better_response_id": [1, 0, 0],
    }
)


def test_saferlhfs_rating_falls_with_the_severity(published):
    """Severe harm is the lowest rating; a level off the scale of 0 to 3 is none."""
    published(train=SAFERLHF)
    found = read_hub("hub:a/b")
    assert found.response.tolist() == ["a", "A", "b", "B", "c", "C"]
    assert found.rating.fillna(-9).tolist() == [3, 1, 0, -9, 2, -9]
    assert found.group.tolist() == found.prompt.tolist() == list("ppqqpp")


@pytest.mark.parametrize(
    ("frame", "column"),
    [
        (HELPSTEER, "helpfulness"),
        (ULTRAFEEDBACK, "score_rejected"),
        (SAFERLHF, "response_1_severity_level"),
    ],
)
def test_without_one_of_its_columns_a_layout_is_not_recognised(frame, column, published):
    published(train=frame)
    assert {"rating", "group"} <= set(read_hub("hub:a/b"))
    published(train=frame.drop(columns=column))
    assert read_hub("hub:a/b").columns.tolist() == frame.columns.drop(column).tolist()
