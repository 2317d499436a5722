"""``simbench fit`` and ``score``: columns by name, and a file that stays what it was but for a column."""

import json

import fsspec
import numpy as np
import pandas as pd
import pytest

N = 60
RNG = np.random.default_rng(0)
VALUES = RNG.standard_normal((N, 12)).astype(np.float32)
FRAME = pd.DataFrame({f"emb_{number}": VALUES[:, number] for number in range(12)}).assign(
    clicked=(RNG.random(N) < 0.4).astype(int),
    prompt=[f"q{row // 2}" for row in range(N)],
    response=[f"answer {row}" for row in range(N)],
)
FAST = ["--estimator", "naive", "--parameter", "epochs=1", "--parameter", "hidden=(4,)"]


@pytest.fixture
def fit(simbench, tmp_path):
    """Fit a table on the command line; returns what was said on stderr."""

    def run(frame, *options, features="col:emb_", name="log.parquet", code=0):
        path = tmp_path / name
        if isinstance(frame, pd.DataFrame):
            frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
        else:
            path.write_bytes(frame)
        where = ["--features", features, "--out", tmp_path / "m", "--force"]
        return simbench("fit", path, *where, *FAST, *options, code=code)[1]

    return run


@pytest.fixture
def score(simbench, tmp_path, fit):
    fit(FRAME)

    def run(path, *options, out="out.parquet", code=0):
        return simbench("score", tmp_path / "m", path, "--out", tmp_path / out, *options, code=code)[1]

    return run


def card(tmp_path):
    return json.loads((tmp_path / "m" / "card.json").read_text())


def test_rewards_do_not_depend_on_the_order_of_the_columns(score, tmp_path):
    by_text = FRAME[sorted(FRAME.columns)]  # emb_0, emb_1, emb_10, emb_11, emb_2, ...
    FRAME.to_parquet(tmp_path / "a.parquet")
    by_text.to_parquet(tmp_path / "b.parquet")
    score(tmp_path / "a.parquet", out="a.out.parquet")
    score(tmp_path / "b.parquet", "--features", "col:emb_", out="b.out.parquet")
    first, second = (pd.read_parquet(tmp_path / f"{name}.out.parquet").reward for name in "ab")
    assert first.equals(second) and first.std() > 0
    assert card(tmp_path)["features"]["columns"] == [f"emb_{number}" for number in range(12)]


def test_missing_and_further_columns_are_named(score, tmp_path):
    FRAME.drop(columns=["emb_3", "emb_11"]).to_parquet(tmp_path / "few.parquet")
    said = score(tmp_path / "few.parquet", code=2)
    assert "few.parquet lacks 2 columns that the model was fitted on: 'emb_3', 'emb_11'." in said
    FRAME.assign(emb_12=1.0).to_parquet(tmp_path / "more.parquet")
    said = score(tmp_path / "more.parquet", code=2)
    assert "1 column of features that the model was not fitted on: 'emb_12'" in said
    FRAME.rename(columns=lambda name: name.replace("emb_", "v")).to_parquet(tmp_path / "v.parquet")
    assert "lacks 12 columns" in score(tmp_path / "v.parquet", code=2)
    score(tmp_path / "v.parquet", "--features", "col:v")
    assert not (tmp_path / "out.csv").exists()


def test_a_file_keeps_every_byte_of_its_cells(score, tmp_path):
    odd = FRAME.astype(str).assign(
        id=[f"{row:05d}" for row in range(N)],
        word=["NA", "None", "1e5", '"9007199254740993"'] * (N // 4),
    )
    odd.to_csv(tmp_path / "a.csv", index=False, sep=";")
    score(tmp_path / "a.csv", out="out.csv")
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("a.csv", "out.csv"))
    assert [line.rpartition(";")[0] for line in after] == before
    assert after[0].endswith(";reward") and 0 < float(after[1].rpartition(";")[2]) < 1


def test_the_input_and_a_column_that_is_there_are_not_written_over(score, tmp_path):
    FRAME.assign(reward=0.5).to_parquet(tmp_path / "out.parquet")
    before = (tmp_path / "out.parquet").read_bytes()
    said = score(tmp_path / "out.parquet", "--column", "r", code=2)
    assert "out.parquet is what the responses are read from: choose another --out." in said
    assert (tmp_path / "out.parquet").read_bytes() == before
    said = score(tmp_path / "out.parquet", out="b.parquet", code=2)
    assert "has a column 'reward' already: name the new one with --column." in said
    score(tmp_path / "out.parquet", "--column", "r", out="b.parquet")
    found = pd.read_parquet(tmp_path / "b.parquet")
    assert list(found)[-2:] == ["reward", "r"] and (found.reward == 0.5).all()


def test_urls_are_read_and_written(score, simbench, tmp_path):
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    system = fsspec.filesystem("memory")
    system.pipe("/score/a.csv", (tmp_path / "a.csv").read_bytes())
    try:
        score("memory://score/a.csv", out="a.out.csv")
        simbench("score", tmp_path / "m", "memory://score/a.csv", "--out", "memory://score/b.csv")
        assert system.cat("/score/b.csv") == (tmp_path / "a.out.csv").read_bytes()
        where = ["--features", "col:emb_", "--out", tmp_path / "m2", *FAST]
        simbench("fit", "memory://score/a.csv", *where)
        same = ["score", tmp_path / "m", "memory://score/a.csv", "--out", "memory://score/a.csv"]
        assert "is what the responses are read from" in simbench(*same, code=2)[1]
    finally:
        system.rm("/score", recursive=True)


def test_what_begins_as_the_features_and_is_none_is_said(fit, tmp_path):
    leak = FRAME.rename(columns=lambda name: name.replace("emb_", "c"))
    said = fit(leak, features="col:c")
    assert "not read as features, since no number follows 'col:c' in their names: clicked." in said
    assert card(tmp_path)["features"]["left_out"] == ["clicked"] and card(tmp_path)["features"]["width"] == 12
    for flag in ("labels", "propensity", "always-acts", "groups", "signals"):
        said = fit(FRAME, f"--{flag}", "emb_3", code=2)
        assert "column 'emb_3' is " in said and "and cannot be a feature" in said
    assert "column 'emb_3' is the feedback" in fit(FRAME, "--feedback", "emb_3", code=2)


def test_a_cell_that_is_no_number_is_named(fit):
    dirty = FRAME.astype({"emb_0": str})
    dirty.loc[3, "emb_0"] = "-"
    said = fit(dirty, name="dirty.csv", code=2)
    assert "dirty.csv, row 3 (line 5), column 'emb_0': a feature must be a finite number, got '-'." in said


def test_a_column_of_lists_is_read_by_its_name(fit, simbench, tmp_path):
    lists = FRAME.drop(columns=[f"emb_{number}" for number in range(12)]).assign(embedding=list(VALUES))
    fit(lists, features="col:embedding")
    assert card(tmp_path)["features"]["columns"] == ["embedding"]
    simbench("score", tmp_path / "m", tmp_path / "log.parquet", "--out", tmp_path / "out.parquet")
    by_lists = pd.read_parquet(tmp_path / "out.parquet").reward
    fit(FRAME)
    simbench("score", tmp_path / "m", tmp_path / "log.parquet", "--out", tmp_path / "out2.parquet")
    assert by_lists.equals(pd.read_parquet(tmp_path / "out2.parquet").reward)


def test_encodings_and_separators_are_named_or_recognised(fit):
    content = FRAME.assign(response="é").to_csv(index=False, sep="|").encode("latin-1")
    assert "line 2: byte 0xe9 is not UTF-8 text: name its encoding" in fit(content, name="a.csv", code=2)
    fit(content, "--encoding", "latin-1", name="a.csv")
    fit(content.decode("latin-1").encode("utf-16"), name="a.csv")
    fit(content.replace(b"|", b"~"), "--encoding", "latin-1", "--separator", "~", name="a.csv")
    assert "there is no encoding 'klingon'" in fit(content, "--encoding", "klingon", name="a.csv", code=2)


def test_a_context_is_read_as_asked(fit, tmp_path):
    times = pd.date_range("2026-01-01", periods=N, freq="7h").astype(str)
    region = np.where(np.arange(N) % 3 == 0, None, "NA")
    told = FRAME.assign(time=times, region=region, code=[f"{row % 2:03d}" for row in range(N)])
    options = ["--context", "time:hour,time:weekday,region:missing,code"]
    fit(told, *options, "--estimator", "implicitrm", "--parameter", "restarts=1", name="log.csv")
    columns = {column["name"]: column for column in card(tmp_path)["context"]}
    assert columns["time:hour"]["levels"] == [f"{hour:02d}" for hour in range(24)]
    assert len(columns["time:weekday"]["levels"]) == 7
    assert columns["region:missing"]["levels"] == ["(missing)", "NA"]
    assert columns["code"]["levels"] == ["000", "001"]
    assert "column 'region': the value is missing" in fit(told, "--context", "region", name="log.csv", code=2)
