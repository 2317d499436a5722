"""The user's own log: what is read, what is refused, and that a saved model is the fitted one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from simbench.cli import main
from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.log.user_log import LogColumns, read_log
from simbench.reward.model import fit_log, load_model
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

CONTEXT = ("activity", "position", "device")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    world = build(PRESETS["exclusive"].changed(n_features=6), 1.0, 600, 0)
    log, truth = world.draw(range(1))
    assert log.context is not None
    table = pd.DataFrame(log.features, columns=[f"emb_{i}" for i in range(6)])
    return table.assign(
        prompt=log.groups,
        clicked=log.feedback[0].astype(int),
        activity=log.context[:, 0],
        position=log.context[:, 1],
        device=np.where(log.context[:, 2] > 0, "phone", "desk"),
        alpha=truth.propensity,
        label=np.where(np.arange(log.n_rows) % 9 == 0, truth.preference[0], np.nan),
    )


@pytest.fixture
def path(frame, tmp_path) -> Path:
    frame.to_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


COLUMNS = LogColumns("clicked", "col:emb_", CONTEXT, "prompt")


def test_every_format_is_the_same_log(frame, tmp_path):
    frame.to_parquet(tmp_path / "log.parquet")
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_json(tmp_path / "log.jsonl", orient="records", lines=True, double_precision=15)
    frame.to_json(tmp_path / "log.jsonl.gz", orient="records", lines=True, double_precision=15)
    save_file(
        {"embeddings": np.ascontiguousarray(frame.filter(like="emb_"), np.float32)},
        tmp_path / "emb.safetensors",
    )
    columns = LogColumns("clicked", "col:emb_", CONTEXT, "prompt", labels="label", propensity="alpha")
    first = read_log(tmp_path / "log.parquet", columns).log
    assert first.context is not None and first.context.shape == (len(frame), 4)  # two levels of device
    assert first.labels is not None and np.isfinite(first.labels).sum() == np.isfinite(frame.label).sum()
    for name in ("log.csv", "log.jsonl", "log.jsonl.gz"):
        other = read_log(tmp_path / name, columns).log
        for field in ("features", "context", "propensity", "labels", "feedback", "groups"):
            same = np.allclose(getattr(first, field), getattr(other, field), equal_nan=True, atol=1e-6)
            assert same, (name, field)
    by_file = LogColumns("clicked", str(tmp_path / "emb.safetensors"), CONTEXT, "prompt")
    assert np.array_equal(read_log(tmp_path / "log.parquet", by_file).log.features, first.features)


def test_true_and_yes_are_clicks(frame, tmp_path):
    words = frame.assign(clicked=np.where(frame.clicked == 1, "Yes", "no"), truth=frame.clicked == 1)
    words.to_csv(tmp_path / "log.csv", index=False)
    for column in ("clicked", "truth"):
        log = read_log(tmp_path / "log.csv", LogColumns(column, "col:emb_")).log
        assert np.array_equal(log.feedback[0], frame.clicked)
        assert len(np.unique(log.groups)) == len(frame)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("implicitrm", {}),
        ("implicitrm", {"labels": "label", "class_prior": 0.4}),
        ("naive-sqrt", {}),
        ("vpu", {}),
        ("pusb", {"class_prior": 0.4}),
        ("elkan-noto", {}),
        ("dr", {"propensity": "alpha"}),
        ("bpr", {}),
    ],
)
def test_a_loaded_model_predicts_the_very_same(name, columns, frame, path, tmp_path):
    columns = LogColumns("clicked", "col:emb_", CONTEXT, "prompt", **columns)
    model = fit_log(path, columns, name, epochs=3)
    model.save(tmp_path / "model")
    features = frame.filter(like="emb_").to_numpy(np.float32)
    reward = model.predict_reward(features)
    assert np.array_equal(load_model(tmp_path / "model").predict_reward(features), reward)
    direct = find(name)(epochs=3).fit_replicates(read_log(path, columns).log)
    assert np.array_equal(direct.predict(model.standard.apply(features))[0], reward)
    assert not list((tmp_path / "model").glob("*.tmp"))


def test_the_kept_restart_is_the_one_that_is_saved(frame, path, tmp_path):
    model = fit_log(path, COLUMNS, "implicitrm", epochs=4, restarts=3)
    model.save(tmp_path / "model")
    features = frame.filter(like="emb_").to_numpy(np.float32)
    direct = find("implicitrm")(epochs=4, restarts=3).fit_replicates(read_log(path, COLUMNS).log)
    expected = direct.predict(model.standard.apply(features))[0]
    assert np.array_equal(load_model(tmp_path / "model").predict_reward(features), expected)


def test_a_damaged_model_is_refused(path, tmp_path, frame):
    fit_log(path, COLUMNS, "naive", epochs=1).save(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        load_model(tmp_path / "model")
    with pytest.raises(BadInput, match="no model"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "columns", "message"),
    [
        ({}, {"feedback": "clickd"}, "Did you mean 'clicked'"),
        ({"clicked": 3}, {}, "row 0, column 'clicked': must be 0 or 1, got"),
        ({"clicked": 0}, {}, "all zero"),
        ({"activity": np.nan}, {}, "row 0, column 'activity': the value is missing"),
        ({"emb_2": np.inf}, {}, "row 0, column 'emb_2'"),
        ({"alpha": 0.0}, {"propensity": "alpha"}, "row 0, column 'alpha': must lie in"),
        ({}, {"features": "col:nothing"}, "no columns of numbers"),
        ({}, {"negative_signals": ("label",)}, "not among the signals"),
        ({"device": [f"d{i}" for i in range(600)]}, {}, "at most 50 levels"),
    ],
)
def test_bad_input_is_one_sentence(changes, columns, message, frame, tmp_path):
    frame.assign(**changes).to_parquet(tmp_path / "log.parquet")
    known = {"feedback": "clicked", "features": "col:emb_", "context": CONTEXT, **columns}
    with pytest.raises(BadInput, match=message) as caught:
        read_log(tmp_path / "log.parquet", LogColumns(**known))
    assert "\n" not in str(caught.value)


def test_from_log_to_scores_on_the_command_line(path, tmp_path, frame, capsys):
    def simbench(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        said = capsys.readouterr()
        assert stopped.value.code == code, said.err
        return said.out + said.err

    out = str(tmp_path / "model")
    known = ["--features", "col:emb_", "--groups", "prompt", "--context", "activity,position"]
    told = simbench("fit", str(path), *known, "--out", out, "--parameter", "epochs=3")
    assert "told context" in told
    assert "holds a model already" in simbench("fit", str(path), *known, "--out", out, code=2)
    rewards = str(tmp_path / "rewards.csv")
    simbench("score", out, str(path), "--features", "col:emb_", "--out", rewards)
    scored = pd.read_csv(rewards)
    expected = load_model(out).predict_reward(frame.filter(like="emb_").to_numpy(np.float32))
    assert np.allclose(scored.reward, expected) and list(scored.columns[:-1]) == list(frame.columns)
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert card["told"] == ["context"] and card["log"]["rows"] == len(frame)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--estimator", "sklearn:LogisticRegression"], "not a network, whose weights can be saved"),
        (["--estimator", "oracle"], "needs the truth"),
        (["--estimator", "ips"], "must be told the propensity"),
        (["--parameter", "epoch=3"], "does not take these parameters"),
        (["--parameter", "epochs"], "NAME=VALUE"),
    ],
)
def test_what_cannot_be_fitted_leaves_nothing_behind(arguments, message, path, tmp_path, capsys):
    out = tmp_path / "model"
    with pytest.raises(SystemExit) as stopped:
        main(["fit", str(path), "--features", "col:emb_", "--out", str(out), *arguments])
    assert stopped.value.code == 2 and message in capsys.readouterr().err and not out.exists()


def test_scores_need_the_width_of_the_fit(path, tmp_path, capsys):
    fit_log(path, COLUMNS, "naive", epochs=1).save(tmp_path / "model")
    with pytest.raises(SystemExit):
        out = str(tmp_path / "r.csv")
        main(["score", str(tmp_path / "model"), str(path), "--features", "col:alpha", "--out", out])
    assert (
        "lacks 6 columns that the model was fitted on: 'alpha0'" in capsys.readouterr().err
        and not (tmp_path / "r.csv").exists()
    )
