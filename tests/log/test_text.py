"""Text features against TF-IDF and a singular value decomposition computed by hand."""

from collections import Counter
from itertools import pairwise
from math import log

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log import text
from simbench.log.rated_responses import load_responses
from simbench.log.text import text_features, words_and_characters

TEXTS = [
    "the cat sat on the mat the cat",
    "a Cat sat, alone!",
    "the dog sat on the log",
    "dog on mat",
    "cat on log",
    "cat on",
    "unique words",
    "the mat",
]


def tf_idf(texts):
    """Words of two letters or more and pairs of them, in two texts at least: (1 + log tf) · idf, length 1."""
    counts = []
    for one in texts:
        words = "".join(c if c.isalnum() else " " for c in one.lower()).split()
        words = [word for word in words if len(word) > 1]
        pairs = [" ".join(pair) for pair in pairwise(words)]
        counts.append(Counter(words + pairs))
    inside = Counter(term for count in counts for term in count)
    terms = sorted(term for term, number in inside.items() if number >= 2)
    idf = {term: log((1 + len(texts)) / (1 + inside[term])) + 1 for term in terms}
    rows = [[(1 + log(c[t])) * idf[t] if c[t] else 0.0 for t in terms] for c in counts]
    weights = np.array(rows)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True).clip(1e-300), terms


def assert_same_up_to_signs(found, weights):
    """The rows' inner products are those of the best approximation of that rank, largest direction first."""
    u, s, _ = np.linalg.svd(weights, full_matrices=False)
    d = found.shape[1]
    assert np.abs(found) == pytest.approx(np.abs(u[:, :d] * s[:d]), abs=2e-5)
    assert found @ found.T == pytest.approx((u[:, :d] * s[:d] ** 2) @ u[:, :d].T, abs=2e-5)


@pytest.mark.parametrize("dimensions", [1, 3, 5])
def test_features_are_the_leading_directions_of_tf_idf(dimensions):
    weights, terms = tf_idf(TEXTS)
    assert {"cat on", "the mat", "sat on"} <= set(terms) and "unique" not in terms
    found, said = text_features(np.array(TEXTS, dtype=object), dimensions)
    assert found.shape == (8, dimensions) and found.dtype == np.float32
    assert said == f"TF-IDF + SVD, {dimensions} dimensions (0 empty texts)"
    assert_same_up_to_signs(found, weights)


def test_there_are_fewer_directions_than_terms():
    _, terms = tf_idf(TEXTS)
    found, _ = text_features(np.array(TEXTS, dtype=object), 64)
    assert found.shape == (8, 8) and len(terms) == 12  # never more than rows
    found, _ = text_features(np.array(["one two", "two one", "one two"], dtype=object), 64)
    assert found.shape == (3, 2)  # of one, two, "one two"
    with pytest.raises(BadInput, match="share too few words"):
        text_features(np.array(["word"] * 3, dtype=object), 64)
    with pytest.raises(BadInput, match=r"no features can be made from the texts \(.*\): give --features"):
        text_features(np.array(["one", "two"], dtype=object), 64)


def test_what_is_no_text_is_empty_and_counted():
    """A text with a single letter or digit is not empty; one of signs is."""
    texts = np.array([*TEXTS, None, 7, float("nan"), "", "?! …", "x", "5"], dtype=object)
    found, said = text_features(texts, 2)
    assert "(5 empty texts)" in said and (found[-7:] == 0).all()
    assert_same_up_to_signs(found, tf_idf([t if isinstance(t, str) else "" for t in texts])[0])


def test_the_features_are_the_same_every_time():
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(60)])
    texts = np.array([" ".join(rng.choice(words, 12)) for _ in range(40)], dtype=object)
    np.random.seed(1)  # noqa: NPY002
    first = text_features(texts, 5)[0]
    np.random.seed(2)  # noqa: NPY002
    assert text_features(texts, 5)[0] == pytest.approx(first, abs=1e-7)


def test_the_commonest_20000_terms_are_kept(monkeypatch):
    shapes = []

    class Recording(text.TruncatedSVD):
        def fit_transform(self, X, y=None):
            shapes.append(X.shape)
            return super().fit_transform(X, y)

    monkeypatch.setattr(text, "TruncatedSVD", Recording)
    long = " ".join(f"w{i}" for i in range(10_001))  # and 10,000 pairs
    text_features(np.array([long, f"{long} w0", "w1"], dtype=object), 1)
    assert shapes == [(3, 20_000)]


def test_words_are_counted_in_the_rows_that_are_used(tmp_path):
    """Rows without a rating, and prompts that were not chosen, have no say in the features."""
    rows = [{"prompt": i // 2, "response": t, "rating": i} for i, t in enumerate(TEXTS)]
    rows[3]["rating"] = None
    pd.DataFrame(rows).to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for size, count in ((None, 7), (5, 5)):
        found = load_responses(tmp_path / "a.jsonl", text_dimensions=3, size=size, seed=2)
        weights, _ = tf_idf([TEXTS[int(row)] for row in found.rating])
        u, s, _ = np.linalg.svd(weights, full_matrices=False)
        expected = np.abs(u[:, :3] * s[:3])
        assert len(found.rating) == count
        assert np.abs(found.features) == pytest.approx(expected / np.sqrt(np.mean(expected**2)), abs=5e-5)
        assert found.description.endswith("; features TF-IDF + SVD, 3 dimensions (0 empty texts)")


def test_texts_without_spaces_are_read_by_characters_and_pairs_of_them():
    letters = "学天励数型注标高理很步成公气要我大器"
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list(letters), 12)) + "，谢谢" for _ in range(40)]
    found, said = text_features(np.array(texts, dtype=object), 8)
    assert (np.abs(found).sum(1) > 0).all() and np.linalg.matrix_rank(found) == 8
    assert said.endswith("; 40 texts without spaces between words, read by characters and pairs of them)")
    thai, said = text_features(np.array(["สวัสดีครับผม", "สวัสดีค่ะ", "ขอบคุณครับ", "ขอบคุณมาก"] * 3, dtype=object), 3)
    assert (np.abs(thai).sum(1) > 0).all() and "12 texts without spaces" in said


def test_terms_of_a_text_in_two_scripts():
    assert words_and_characters("Reward 奖励 is A model") == [
        *("奖", "励", "奖励"),
        *("reward", "is", "model", "reward is", "is model"),
    ]
    assert words_and_characters("カタ、ナ") == ["カ", "タ", "カタ", "ナ"]


@pytest.mark.parametrize(("unspaced", "by_character"), [(0, False), (1, False), (2, True)])
def test_words_are_the_terms_until_more_than_a_hundredth_of_the_texts_has_no_spaces(unspaced, by_character):
    """A few characters in a text with spaces change nothing either."""
    texts = [f"one two {number % 7} 学天" for number in range(100 - unspaced)] + ["学天励"] * unspaced
    found, said = text_features(np.array(texts, dtype=object), 3)
    assert ("read by characters" in said) == by_character
    assert (np.abs(found[100 - unspaced :]).sum(1) > 0).all() == by_character or not unspaced
