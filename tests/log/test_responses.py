"""Real responses: every format alike, every mistake named."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.special import expit

from simbench.errors import BadInput
from simbench.log.rated_responses import load_responses

ROWS = [
    {"prompt": f"p{i // 3}", "response": f"some answer {i % 5} words {i % 7}", "rating": i % 4}
    for i in range(30)
]
EMB = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float32)


@pytest.fixture
def emb(tmp_path):
    save_file({"embeddings": EMB}, tmp_path / "emb.safetensors")
    return tmp_path / "emb.safetensors"


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_format_reads_alike(tmp_path, emb):
    np.save(tmp_path / "emb.npy", EMB)
    jsonl(tmp_path / "a.jsonl", ROWS)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write((tmp_path / "a.jsonl").read_text())
    pd.DataFrame(ROWS).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame(ROWS).to_parquet(tmp_path / "a.parquet")
    first = load_responses(tmp_path / "a.jsonl", features=emb)
    for name in ("a.jsonl.gz", "a.csv", "a.parquet"):
        other = load_responses(tmp_path / name, features=tmp_path / "emb.npy")
        for field in ("features", "reward", "rating", "groups"):
            assert np.array_equal(getattr(first, field), getattr(other, field)), (name, field)
    rating = np.array([row["rating"] for row in ROWS], dtype=float)
    assert np.allclose(first.reward, expit(1.5 * (rating - rating.mean()) / rating.std()))
    assert np.mean(first.features**2) == pytest.approx(1, abs=1e-6)
    assert first.groups.tolist() == [i // 3 for i in range(30)]


def test_links(tmp_path, emb):
    voted = [{**row, "votes": [i % 3, 1, i % 2]} for i, row in enumerate(ROWS)]
    voted[4]["votes"] = [0, 0, 0]
    found = load_responses(jsonl(tmp_path / "v.jsonl", voted), features=emb)
    keep = [i for i in range(30) if i != 4]
    shares = [(1 + i % 2) / (i % 3 + 1 + i % 2) for i in keep]
    assert np.allclose(found.reward, shares) and "1 dropped for want of a rating" in found.description
    hard = load_responses(tmp_path / "v.jsonl", features=emb, link="threshold")
    assert hard.reward.tolist() == [float(i % 4 > 1) for i in range(30)]


def test_text_features_are_made_on_the_spot(tmp_path):
    rows = [{**row, "response": 7 if i == 2 else row["response"]} for i, row in enumerate(ROWS)]
    found = load_responses(jsonl(tmp_path / "t.jsonl", rows), text_dimensions=3)
    assert found.features.shape == (30, 3) and "(1 empty texts)" in found.description


def test_a_size_keeps_whole_prompts(tmp_path, emb):
    found = load_responses(jsonl(tmp_path / "a.jsonl", ROWS), features=emb, size=12)
    assert np.bincount(found.groups).tolist() == [3, 3, 3, 3]


def broken_nan(tmp_path):
    np.save(tmp_path / "n.npy", np.where(np.arange(180).reshape(30, 6) == 13, np.nan, 1.0))
    return {"features": tmp_path / "n.npy"}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (ROWS, {"rating_column": "stars"}, "no column 'stars'; it has: prompt, response, rating"),
        ([{"a": 1}], {}, "no column for the prompt.*--prompt-column"),
        (ROWS[:5], {"features": "emb"}, "there are 5 responses"),
        (ROWS, broken_nan, "row 2, column 1: not finite"),
        (
            [{**r, "votes": [1, -1]} for r in ROWS],
            {"features": "emb"},
            "row 0 .line 1., column 'votes'.*negative",
        ),
        ([{**r, "rating": 3} for r in ROWS], {"features": "emb"}, "every rating is 3"),
        (ROWS, {"features": "emb", "link": "cubic"}, "link must be"),
        ([], {}, "holds no responses"),
    ],
)
def test_mistakes_are_named(rows, options, message, tmp_path, emb):
    options = options(tmp_path) if callable(options) else options
    options = {k: emb if v == "emb" else v for k, v in options.items()}
    with pytest.raises(BadInput, match=message):
        load_responses(jsonl(tmp_path / "a.jsonl", rows), **options)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        load_responses(tmp_path / "no.jsonl")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(BadInput, match="must end in"):
        load_responses(tmp_path / "a.txt")
    (tmp_path / "b.jsonl").write_text('{"a": 1}\n{"a":\n')
    with pytest.raises(BadInput, match="line 2: not valid JSON"):
        load_responses(tmp_path / "b.jsonl")


@pytest.mark.parametrize(
    ("name", "n", "prompts"), [("caption_contest", 65_923, 13), ("alpacaeval2", 44_265, 805)]
)
def test_the_real_data_sets(name, n, prompts, shared_data):
    found = load_responses(
        shared_data / f"{name}.jsonl.gz", features=shared_data / f"{name}.minilm128.safetensors"
    )
    assert found.features.shape == (n, 128) and found.groups.max() + 1 == prompts
    assert 0 <= found.reward.min() < found.reward.max() <= 1
