"""Which rows, columns, prompts, traits and features of a file are read."""

import gzip
import json
from math import ceil

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log import rated_responses as responses
from simbench.log.rated_responses import load_responses, read_features, usual_column
from simbench.log.source import open_table


@pytest.fixture
def load(tmp_path):
    """Load a frame; every row its own one-hot feature, unless features are given."""

    def loaded(frame, features=None, **options):
        np.save(tmp_path / "x.npy", np.eye(len(frame)) if features is None else features)
        frame.to_parquet(tmp_path / "a.parquet")
        return load_responses(tmp_path / "a.parquet", features=tmp_path / "x.npy", **options)

    return loaded


def kept_rows(found) -> list[int]:
    """Which rows of the file these are: their features are one-hot."""
    return np.argmax(found.features, axis=1).tolist()


def rows_of(prompts, **columns) -> pd.DataFrame:
    return pd.DataFrame({"prompt": prompts, "rating": np.arange(len(prompts)) % 7.0, **columns})


def test_lines_are_read_as_they_stand_and_blank_ones_count(tmp_path):
    """The number of a broken line is the one that an editor shows."""
    lines = ['{"a": 1, "b": "é"}', "", "  ", '{"b": "x", "c": null}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write("\n".join(lines))
    for name in ("a.jsonl", "a.jsonl.gz"):
        frame = open_table(tmp_path / name).frame
        assert frame.columns.tolist() == ["a", "b", "c"] and frame.b.tolist() == ["é", "x"]
        assert frame.a.isna().tolist() == [False, True]
    for broken, said in (("{", "not valid JSON"), ("[1]", "must be a JSON object, one response a line")):
        (tmp_path / "b.jsonl").write_text("\n".join([*lines, broken]))
        with pytest.raises(BadInput, match=f"b.jsonl, line 5: {said}"):
            open_table(tmp_path / "b.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "is empty"),
        (
            "a.csv",
            b"a,b\n1,2\n3,4,5\n",
            r"row 1: has 3 cells, the first line 2 \(the separator read is the comma\)\.$",
        ),
        ("a.csv", b"a,b\n", "holds no responses"),
        ("a.csv", b"\xff\n", "line 1: byte 0xff is not UTF-8 text: name its encoding"),
        ("a.parquet", b"", r"cannot be read: Parquet file size is 0 bytes; write it again\.$"),
        ("a.parquet", b"PAR1 half a file", r"cannot be read: .* not a parquet file; write it again\.$"),
        ("a.jsonl", b"\n", "holds no responses"),
        ("a.jsonl", b"\xff\xfe\n", "line 1: byte 0x0a is not utf-16-le text: name another --encoding"),
        ("a.jsonl.gz", b"{}", "cannot be read: it is not compressed by gzip"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}', mtime=0)[:-9], "cannot be read: it ends too early"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 9, "cannot be read: it is damaged"),
    ],
)
def test_a_damaged_file_is_one_sentence(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=f"{name},? {said}"):
        open_table(tmp_path / name)


def test_the_first_usual_column_is_taken_unless_one_is_named():
    usual = {
        "prompt": (responses.PROMPTS, ["group", "prompt_id", "prompt", "question", "instruction"]),
        "text": (responses.TEXTS, ["response", "text", "completion", "answer"]),
        "rating": (responses.RATINGS, ["rating", "score", "helpfulness"]),
        "votes": (responses.VOTES, ["votes", "uniform"]),
    }
    for what, (names, expected) in usual.items():
        for first in range(len(expected)):
            frame = pd.DataFrame({name: [name] for name in [*reversed(expected[first:]), "other"]})
            assert usual_column(open_table(frame), None, names, what) == expected[first]
            assert usual_column(open_table(frame), "other", names, what) == "other"
        with pytest.raises(
            BadInput, match=rf"^the table has no column 'no'; it has: other\. Name .*--{what}-column\.$"
        ):
            usual_column(open_table(frame[["other"]]), "no", names, what)
        with pytest.raises(BadInput, match=rf"^the table has no column for the {what}; it has: other\."):
            usual_column(open_table(frame[["other"]]), None, names, what)


def test_prompts_are_numbered_in_the_order_in_which_they_first_stand(load):
    """Those left without a response have no number."""
    frame = rows_of(["z", "b", "z", "a", "b", "c"])
    frame.loc[[1, 4], "rating"] = np.nan
    found = load(frame)
    assert found.groups.tolist() == [0, 0, 1, 2] and found.groups.dtype == np.int64
    assert (
        kept_rows(found) == [0, 2, 3, 5] and "4 of 6 responses to 3 prompts, 2 dropped" in found.description
    )
    named = load(frame.assign(who=[1, 1, 1, 1, 1, 2]), prompt_column="who")
    assert named.groups.tolist() == [0, 0, 0, 1]


SIZES = [3, 1, 4, 1, 5, 2, 3, 6]  # responses of eight prompts


@pytest.mark.parametrize("size", [1, 2, 7, 11, 20, 24, 25])
@pytest.mark.parametrize("seed", range(4))
def test_a_size_keeps_whole_prompts_until_it_is_reached(size, seed, load):
    """Of the rows that have a rating: one prompt has none, and counts for nothing."""
    prompts = np.repeat(np.arange(9), [*SIZES, 4])
    frame = rows_of(np.random.default_rng(0).permutation(prompts))
    frame.loc[(frame.prompt == 8) | (frame.index == 5), "rating"] = np.nan
    found = load(frame, size=size, seed=seed)
    rows, usable = kept_rows(found), frame[frame.rating.notna()]
    numbered = [prompt for prompt in dict.fromkeys(frame.prompt) if prompt != 8]  # as they first stand
    total, expected = 0, []
    for number in np.random.default_rng([seed, 7]).permutation(8):
        if total < size:
            expected += usable.index[usable.prompt == numbered[number]].tolist()
            total = len(expected)
    assert rows == sorted(expected) and len(rows) >= min(size, 24)
    assert found.rating.tolist() == frame.rating[rows].tolist()
    assert found.groups.max() + 1 == frame.prompt[rows].nunique()


def test_a_size_that_all_rows_fit_keeps_them_all(load):
    frame = rows_of(np.arange(12) // 3)
    frame.loc[5, "rating"] = np.nan
    for size in (None, 11, 12, 100):
        assert kept_rows(load(frame, size=size)) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    kept = [tuple(kept_rows(load(rows_of(np.arange(60) // 3), size=7, seed=seed))) for seed in range(5)]
    assert len(set(kept)) > 1 and all(len(rows) == 3 * ceil(7 / 3) for rows in kept)


@pytest.mark.parametrize(("counts", "kept"), [((100, 100), 100), ((101, 101), 7), ((150, 49), 150)])
def test_of_prompts_with_over_100_responses_on_average_rows_are_kept(counts, kept, load):
    n = sum(counts)
    frame = rows_of(np.repeat([0, 1], counts))
    found = load(frame, size=7)
    assert len(found.rating) == kept
    if kept == 7:
        rows = np.sort(np.random.default_rng([0, 7]).permutation(n)[:7]).tolist()
        assert kept_rows(found) == rows and len(set(rows)) == 7
        assert kept_rows(load(frame, size=7, seed=1)) != rows


@pytest.mark.parametrize("factor", [1e-3, 1.0, 40.0])
def test_features_are_scaled_by_one_factor_to_mean_square_one(factor, load, monkeypatch):
    raw = factor * np.random.default_rng(0).standard_normal((12, 3)) * np.array([1, 5, 0.1])
    frame = rows_of(np.arange(12) // 2)
    frame.loc[[0, 7], "rating"] = np.nan
    rows = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    expected = raw[rows] / np.sqrt(np.mean(raw[rows] ** 2))  # of the rows that are used
    found = load(frame, raw)
    assert found.features.dtype == np.float32 and found.features == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(responses, "IN_MEMORY", 0)
    monkeypatch.setattr("simbench.files.matrix.IN_MEMORY", 0)
    on_disk = load(frame, raw).features
    assert not isinstance(on_disk, np.ndarray) and on_disk[:] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_features_that_are_all_zero_are_refused(most, load, monkeypatch):
    """In memory and on disk: scaled, they would be NaN."""
    monkeypatch.setattr(responses, "IN_MEMORY", most)
    monkeypatch.setattr("simbench.files.matrix.IN_MEMORY", most)
    with pytest.raises(BadInput, match="every feature of the chosen rows is 0"):
        load(rows_of([0, 0, 1]), np.zeros((3, 2)))


def test_features_are_kept_on_disk_above_a_size_and_checked_once(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.ones((10, 3), dtype=np.float16))
    for most, in_memory in ((119, False), (120, True)):  # 10 · 3 · 4 bytes as float32
        monkeypatch.setattr(responses, "IN_MEMORY", most)
        found = read_features(tmp_path / "x.npy", 10)
        assert isinstance(found, np.ndarray) is in_memory
        assert np.array_equal(np.asarray(found), np.ones((10, 3))) and (in_memory or found.is_checked)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.npy", "no.npy does not exist: give the features"),
        ("x.txt", r"x.txt must end in .safetensors or .npy"),
        ("x.npy", r"x.npy has shape \(3, 2\), but there are 4 responses: one row each"),
        ("long.npy", r"long.npy has shape \(5, 2\), but there are 4 responses: one row each"),
        ("flat.npy", r"flat.npy has shape \(4,\): it must be a matrix"),
        ("nan.npy", r"nan.npy, row 3, column 1: not finite"),
    ],
)
def test_features_that_cannot_be_used_are_named(name, message, tmp_path):
    (tmp_path / "x.txt").write_text("")
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    np.save(tmp_path / "long.npy", np.zeros((5, 2)))
    np.save(tmp_path / "flat.npy", np.zeros(4))
    np.save(tmp_path / "nan.npy", np.where(np.arange(8).reshape(4, 2) == 7, np.inf, 0.0))
    with pytest.raises(BadInput, match=message):
        read_features(tmp_path / name, 4)


def test_the_trait_is_that_of_the_rows_that_are_kept(load):
    frame = rows_of(
        ["a", "a", "b", "b"],
        response=["one", None, "éé", ""],
        other=["x", "yy", "", "zzz"],
        age=["3", 4, 1, 0],
    ).astype({"age": str})
    frame.loc[0, "rating"] = np.nan
    assert load(frame, trait="length").trait.tolist() == [0, 2, 0]
    assert load(frame, trait="length", text_column="other").trait.tolist() == [2, 0, 3]
    found = load(frame, trait="age").trait
    assert found.tolist() == [4, 1, 0] and found.dtype == float and load(frame).trait is None
    with pytest.raises(BadInput, match=r"a.parquet has no column 'size' to take the trait from"):
        load(frame, trait="size")
    for value in ("inf", "old", ""):
        with pytest.raises(BadInput, match=r"a.parquet, row 2, column 'age': must be a finite number"):
            load(frame.assign(age=["3", "4", value, "x"]), trait="age")


def test_texts_are_taken_from_the_named_column(tmp_path):
    texts = ["one two three", "two three four", "three four", "one two", "four", "one three"]
    frame = rows_of(list("aabbcc"), response="none", answer=texts)
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")))
    found = load_responses(tmp_path / "a.jsonl", text_column="answer", text_dimensions=2)
    assert found.features.shape == (6, 2) and np.mean(found.features**2) == pytest.approx(1, rel=1e-5)
    assert found.features.std() > 0.1
    with pytest.raises(BadInput, match="share too few words"):
        load_responses(tmp_path / "a.jsonl")


def lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def said(role, content):
    return [{"role": role, "content": content}]


def test_chat_messages_are_prompts_and_responses(tmp_path):
    """They give what the same texts give."""
    texts = ["one two three", "two three four", "three four", "one two", "four", "one three"]
    rows = [{"prompt": f"p{row // 2}", "response": text, "rating": row} for row, text in enumerate(texts)]
    chat = [
        {**row, "prompt": said("user", row["prompt"]), "response": said("assistant", row["response"])}
        for row in rows
    ]
    plain = load_responses(lines(tmp_path / "a.jsonl", rows), trait="length")
    found = load_responses(lines(tmp_path / "b.jsonl", chat), trait="length")
    assert np.array_equal(found.features, plain.features) and found.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.trait.tolist() == plain.trait.tolist() == [len(text) for text in texts]


def test_a_missing_prompt_is_an_error(tmp_path):
    rows = [{"prompt": p, "response": "a b", "rating": n} for n, p in enumerate(("p", None))]
    with pytest.raises(BadInput, match=r"a\.jsonl, row 1 \(line 2\), column 'prompt': the value is missing"):
        load_responses(lines(tmp_path / "a.jsonl", rows))


@pytest.mark.parametrize(
    "votes",
    [None, "[1,2", "many", [1, None], ["a", 1], [[1], [2]], [], 3, {"a": 1}, [1, float("inf")], ["1", 2]],
)
def test_votes_that_are_no_counts_are_named(votes, tmp_path):
    rows = [{"prompt": "p", "response": "a b", "votes": cell} for cell in ([1, 2], votes)]
    with pytest.raises(
        BadInput, match=r"row 1 .line 2., column 'votes': must be the counts of votes by level, such as"
    ):
        load_responses(lines(tmp_path / "a.jsonl", rows))


def test_a_frame_in_memory_is_read_as_a_file_is(tmp_path):
    frame = rows_of(list("aabb"), response=["one two", "two three", "one three", "two"])
    frame.to_parquet(tmp_path / "a.parquet")
    found, known = load_responses(frame), load_responses(tmp_path / "a.parquet")
    assert np.array_equal(found.features, known.features) and found.groups.tolist() == [0, 0, 1, 1]
    assert found.description.startswith("the table: 4 of 4 responses")
