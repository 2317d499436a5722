"""``simbench simulate``: a log as a practitioner would have it, and its truth apart from it."""

import json

import numpy as np
import pandas as pd
import pytest

from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

SMALL = ["--size", 300, "--features-dim", 6]
READ = {
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".jsonl": lambda path: pd.read_json(path, lines=True),
}


@pytest.mark.parametrize("suffix", READ)
def test_log_and_truth_are_what_the_world_draws(suffix, simbench, tmp_path):
    out = tmp_path / f"log{suffix}"
    where = ["--world", "exclusive", "--bias-level", 2, "--seed", 3, "--replicate", 4]
    simbench("simulate", *where, *SMALL, "--out", out)
    world = build(PRESETS["exclusive"].changed(n_features=6), 2.0, 300, 3)
    log, truth = world.draw(range(4, 5))
    found, true = READ[suffix](out), READ[suffix](tmp_path / f"log.truth{suffix}")
    assert list(found)[:7] == [
        *("response_id", "prompt_id", "clicked"),
        *("user_activity", "position", "session_1", "session_2"),
    ]
    assert list(found)[7:] == [f"emb_{number}" for number in range(6)]
    np.testing.assert_array_equal(found.prompt_id, log.groups)
    np.testing.assert_array_equal(found.clicked, log.feedback[0])
    np.testing.assert_allclose(found.filter(like="emb_"), log.features, rtol=1e-6)
    assert log.context is not None
    np.testing.assert_allclose(found[["user_activity", "position"]], log.context[:, :2], rtol=1e-6)
    assert list(true) == ["response_id", "true_reward", "propensity", "preference"]
    np.testing.assert_array_equal(true.response_id, found.response_id)
    np.testing.assert_allclose(true.true_reward, truth.reward, rtol=1e-9)
    np.testing.assert_allclose(true.propensity, truth.propensity, rtol=1e-9)
    np.testing.assert_array_equal(true.preference, truth.preference[0])


@pytest.mark.parametrize(
    ("world", "more", "signals", "truths"),
    [
        ("shared", [], ["clicked"], []),
        ("signals", ["--signals", 3, "--regenerate"], ["clicked", "copied", "upvoted", "regenerated"], []),
        ("always", [], ["clicked"], ["always_acts"]),
        ("twin:helpsteer", [], ["clicked"], ["propensity_of_good"]),
    ],
)
def test_a_log_holds_what_the_world_logs_and_nothing_of_the_truth(
    world, more, signals, truths, simbench, tmp_path
):
    level = 0.5 if world.startswith("twin:") else 2
    simbench(
        "simulate", "--world", world, "--bias-level", level, *more, *SMALL, "--out", tmp_path / "l.parquet"
    )
    log, true = pd.read_parquet(tmp_path / "l.parquet"), pd.read_parquet(tmp_path / "l.truth.parquet")
    embeddings = [f"emb_{number}" for number in range(6)]
    assert list(log) == ["response_id", "prompt_id", *signals, *embeddings]
    assert list(true) == ["response_id", "true_reward", "propensity", "preference", *truths]
    for secret in true.drop(columns="response_id"):
        for column in log:
            assert abs(np.corrcoef(log[column], true[secret].astype(float))[0, 1]) < 0.95, (column, secret)
    assert "true_reward" not in json.dumps([str(value) for value in log.attrs])


def test_fit_works_on_what_it_writes_as_it_says(simbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, said = simbench("simulate", "--bias-level", 3, *SMALL, "--out", "log.parquet")
    command = said.split("fit it with: simbench ")[1].split()
    assert command[:5] == ["fit", "log.parquet", "--features", "col:emb_", "--context"]
    simbench(*command, "--parameter", "epochs=3")
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert card["log"]["rows"] == 300 and card["log"]["prompts"] == 60 and card["told"] == ["context"]
    assert card["features"]["width"] == 6
    assert [c["name"] for c in card["context"]] == ["user_activity", "position", "session_1", "session_2"]
    simbench("simulate", "--world", "shared", *SMALL, "--out", "other.csv")
    simbench("score", "model", "other.csv", "--features", "col:emb_", "--out", "scored.parquet")
    assert pd.read_parquet("scored.parquet").reward.between(0, 1).all()


def test_nothing_is_replaced_unasked_and_both_files_are_written_or_none(simbench, tmp_path):
    log, truth = tmp_path / "log.csv", tmp_path / "secret.csv"
    simbench("simulate", *SMALL, "--out", log, "--truth", truth)
    before = log.read_bytes()
    _, said = simbench("simulate", *SMALL, "--seed", 1, "--out", log, "--truth", truth, code=2)
    assert "is there already" in said and log.read_bytes() == before
    log.unlink()
    _, said = simbench("simulate", *SMALL, "--out", log, "--truth", truth, code=2)
    assert "secret.csv is there already" in said and not log.exists()
    simbench("simulate", *SMALL, "--seed", 1, "--out", log, "--truth", truth, "--force")
    assert log.read_bytes() != before
    (tmp_path / "file").write_text("")
    _, said = simbench(
        "simulate", *SMALL, "--out", tmp_path / "new.csv", "--truth", tmp_path / "file" / "t.csv", code=2
    )
    assert "cannot write" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "log.csv", "secret.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "log.txt"], "must end in .parquet, .csv, .tsv, .jsonl"),
        (["--out", "a.csv", "--truth", "a.csv"], "both the log and its truth"),
        (["--out", "a.csv", "--world", "exclusiv"], "Did you mean 'exclusive'?"),
        (["--out", "a.csv", "--base-rate", "2"], "base_rate"),
        (["--out", "a.csv", "--slope", "2"], "give it with --responses"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    arguments, message, simbench, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    _, said = simbench("simulate", *arguments, code=2)
    assert message in said and said.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_real_responses_can_be_clicked_on(simbench, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((200, 4)).astype(np.float32))
    rows = [{"prompt": f"p{row // 4}", "response": f"r{row}", "rating": float(row % 5)} for row in range(200)]
    pd.DataFrame(rows).to_csv(tmp_path / "rated.csv", index=False)
    files = ["--responses", tmp_path / "rated.csv", "--features", tmp_path / "x.npy"]
    simbench("simulate", *files, "--size", 160, "--out", tmp_path / "log.parquet")
    log = pd.read_parquet(tmp_path / "log.parquet")
    assert log.prompt_id.nunique() == 40 and "emb_3" in log and "rating" not in log
