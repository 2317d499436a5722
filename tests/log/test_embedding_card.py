"""The card of embeddings: one hash for one list of texts, whatever file they came from."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.embedding_card import card_path, check_same_texts, hash_of_texts, read_card
from simbench.log.rated_responses import load_responses
from simbench.log.source import open_table


@pytest.mark.parametrize(
    ("responses", "prompts", "digested"),
    [
        (["hi", "you"], None, b"2:hi3:you||"),
        (["hi"], ["a b"], b"2:hi|3:a b|"),
        (["é", "", "\ud800"], [None, float("nan"), 7], b"2:\xc3\xa90:3:\xed\xa0\x80|-1:-1:-1:|"),
        ([], None, b"||"),
    ],
)
def test_the_hash_is_of_the_texts_with_their_lengths_in_bytes(responses, prompts, digested):
    """What is no string counts as none, which differs from an empty one."""
    assert hash_of_texts(responses, prompts) == sha256(digested).hexdigest()
    frame = pd.DataFrame({"r": pd.Series(responses, dtype=object)})
    assert hash_of_texts(frame.r, prompts) == sha256(digested).hexdigest()


def test_a_card_lies_beside_its_file():
    assert card_path(Path("a/emb.v2.safetensors")) == Path("a/emb.v2.card.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"input": {}}', '{"input": {"sha256": 1}}'])
def test_a_damaged_card_is_named(text, tmp_path):
    (tmp_path / "x.card.json").write_text(text)
    with pytest.raises(
        BadInput, match=r"x.card.json is not a card of embeddings: delete it with the file it"
    ):
        read_card(tmp_path / "x.card.json")
    (tmp_path / "x.card.json").write_text(
        '{"input": {"sha256": "ab", "text_column": null, "prompt_column": null}, "more": 1}'
    )
    assert read_card(tmp_path / "x.card.json") == {
        "input": {"sha256": "ab", "text_column": None, "prompt_column": None},
        "more": 1,
    }


FRAME = pd.DataFrame(
    {
        "prompt": ["p", "p", "q", "q"],
        "response": ["a", "b", "c", None],
        "rating": [1, 2, 3, 4],
    }
)


def carded(folder, frame=FRAME, **columns):
    """Features of four responses and a card that says what they were made from."""
    np.save(folder / "x.npy", np.eye(4))
    named = {"text_column": "response", "prompt_column": "prompt", **columns}
    text, prompt = (None if name is None else frame.get(name) for name in named.values())
    digest = hash_of_texts([] if text is None else text, prompt)
    (folder / "x.card.json").write_text(json.dumps({"input": {**named, "sha256": digest}}))
    return folder / "x.npy"


@pytest.mark.parametrize("prompt", ["prompt", None])
def test_embeddings_of_the_same_texts_are_taken_and_of_others_refused(prompt, tmp_path):
    features, path = carded(tmp_path, prompt_column=prompt), tmp_path / "a.parquet"
    FRAME.to_parquet(path)
    assert load_responses(path, features=features).features.shape == (4, 4)
    swapped = FRAME.iloc[[1, 0, 2, 3]]
    for other in (swapped, FRAME.assign(response=["a", "b", "c", ""])):
        other.to_parquet(path)
        with pytest.raises(BadInput, match=r"x.npy was embedded from other texts .*a.parquet, or in another"):
            load_responses(path, features=features)
    asked_otherwise = FRAME.assign(prompt=["p", "p", "q", "r"])
    asked_otherwise.to_parquet(path)
    if prompt is None:
        load_responses(path, features=features)
    else:
        with pytest.raises(BadInput, match="run simbench embed on"):
            load_responses(path, features=features)


def test_where_nothing_can_be_compared_nothing_is_refused(tmp_path):
    features = carded(tmp_path, FRAME.assign(response="else"))
    with pytest.raises(BadInput, match="other texts"):
        check_same_texts(features, open_table(FRAME))
    check_same_texts(features, open_table(FRAME.drop(columns="response")))
    check_same_texts(features, open_table(FRAME.drop(columns="prompt")))
    carded(tmp_path, FRAME.assign(response="else"), text_column=None)
    check_same_texts(features, open_table(FRAME))
    (tmp_path / "x.card.json").unlink()
    check_same_texts(features, open_table(FRAME))
