"""A fitted reward on disk: what its card says, which row it is, and what is refused on the way back."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from simbench.errors import BadInput
from simbench.estimator.registry import configured, find
from simbench.log.user_log import LogColumns, read_log
from simbench.reward.model import (
    RewardModel,
    encoder_of,
    fit_log,
    is_language_folder,
    load_model,
)
from simbench.training.contract import Network
from simbench.training.restarts import Restarts

COLUMNS = LogColumns("clicked", "col:f_", ("age", "device"), "prompt", labels="label")
FEATURES = np.random.default_rng(5).standard_normal((11, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((90, 3))
    frame = pd.DataFrame(x, columns=["f_0", "f_1", "f_2"]).assign(
        clicked=(rng.random(90) < 0.3).astype(int),
        age=rng.standard_normal(90),
        device=rng.choice(["tv", "desk"], 90),
        prompt=np.arange(90) // 4,
        label=np.where(np.arange(90) % 10 == 0, 1.0, np.nan),
    )
    where = tmp_path_factory.mktemp("log") / "log.parquet"
    frame.to_parquet(where)
    return where


@pytest.fixture(scope="module")
def fitted(path) -> RewardModel:
    return fit_log(path, COLUMNS, "implicitrm", epochs=2, hidden=(4,), seed=3, restarts=3)


def test_the_card_says_what_was_fitted_on_what(fitted, path):
    card, user = fitted.card, read_log(path, COLUMNS)
    frame = pd.read_parquet(path)
    assert card["estimator"] == "implicitrm" and card["told"] == ["context", "labels"]
    assert card["parameters"] == {**find("implicitrm")().get_params(), **TOLD_PARAMETERS}
    assert card["features"] == {
        **{"source": "col:f_", "columns": ["f_0", "f_1", "f_2"], "left_out": []},
        **{"width": 3, "encoder": None},
        **{"mean": user.standard.mean.tolist(), "scale": user.standard.scale.tolist()},
    }
    assert card["context"] == [column.model_dump() for column in user.context]
    assert [column["name"] for column in card["context"]] == ["age", "device"]
    assert card["networks"] == [
        {"heads": ["reward"], "inputs": "features", "width": 3},
        {"heads": ["propensity"], "inputs": "context", "width": 3},
    ]
    assert card["log"] == {
        "file": "log.parquet",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": 90,
        "prompts": 23,
        "feedback": "clicked",
        "feedback_rate": pytest.approx(frame.clicked.mean()),
    }
    assert set(card["versions"]) == {"simbench", "python", "torch", "numpy"}


TOLD_PARAMETERS = {"epochs": 2, "hidden": [4], "seed": 3, "restarts": 3}


def test_the_row_and_its_loss_are_those_of_the_kept_restart(path, monkeypatch):
    """The third of four: each restart has a loss, epochs and rewards of its own."""
    user = read_log(path, COLUMNS)
    direct = find("implicitrm")(epochs=3, restarts=4).fit_replicates(user.log)
    assert isinstance(direct, Restarts)
    third = replace(
        direct, near=np.array([[False, False, True, False]]), held_out_loss=np.array([[1, 1, 0, 1]])
    )
    third.model.held_out_loss[:] = [0.4, 0.3, 0.2, 0.1]
    third.model.epochs[:] = [4, 3, 2, 1]
    monkeypatch.setattr(find("implicitrm"), "fit_replicates", lambda self, log: third)
    fitted = fit_log(path, COLUMNS, "implicitrm", epochs=3, restarts=4)
    assert (fitted.row, fitted.card["row"], fitted.card["epochs"]) == (2, 2, 2)
    assert fitted.card["held_out_loss"] == pytest.approx(0.2)
    assert fitted.card["warning"] is third.warning
    expected = direct.model.predict(user.standard.apply(FEATURES))[2]
    assert fitted.predict_reward(FEATURES) == pytest.approx(expected)


def test_a_fit_that_is_cut_short_says_so_in_its_card(path):
    cut = fit_log(path, COLUMNS, "implicitrm", epochs=1).card
    assert cut["epochs"] == 1 and cut["warning"].startswith("the best epoch was the last of the 1 that were")
    whole = fit_log(path, COLUMNS, "implicitrm", epochs=200, patience=2).card
    assert whole["epochs"] < 200 and whole["warning"] is None


def test_a_warning_of_the_fit_stands_in_the_card(path, monkeypatch):
    direct = find("implicitrm")(epochs=1, restarts=2).fit_replicates(read_log(path, COLUMNS).log)
    apart = replace(
        direct, near=np.array([[True, True]]), rewards=np.array([[[0.1, 0.2, 0.3], [0.7, 0.9, 0.8]]])
    )
    monkeypatch.setattr(find("implicitrm"), "fit_replicates", lambda self, log: apart)
    assert "not identified" in fit_log(path, COLUMNS, "implicitrm", restarts=2).card["warning"]


def test_raw_features_are_standardised_before_they_are_read(fitted):
    described = {name: np.array(fitted.card["features"][name]) for name in ("mean", "scale")}
    scaled = ((FEATURES - described["mean"]) * described["scale"]).astype(np.float32)
    assert fitted.predict_reward(FEATURES) == pytest.approx(fitted.fitted.predict(scaled)[fitted.row])
    for wrong in (FEATURES[:, :2], FEATURES[0]):
        with pytest.raises(BadInput, match=r"reads 3 features, got an array of shape"):
            fitted.predict_reward(wrong)


def test_a_loaded_model_is_the_saved_one(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.row == fitted.row and loaded.card == json.loads(json.dumps(fitted.card))
    assert loaded.predict_reward(FEATURES) == pytest.approx(fitted.predict_reward(FEATURES), abs=1e-12)
    z = FEATURES[:5]
    assert loaded.fitted.predict_propensity(z)[fitted.row] == pytest.approx(
        fitted.fitted.predict_propensity(z)[fitted.row], abs=1e-12
    )
    weights = (tmp_path / "model.safetensors").read_bytes()
    written = json.loads((tmp_path / "card.json").read_text())
    assert written["weights_sha256"] == hashlib.sha256(weights).hexdigest()


def test_a_calibration_is_kept_with_the_weights(path, tmp_path):
    fitted = fit_log(path, replace(COLUMNS, labels=None), "elkan-noto", epochs=2)
    assert fitted.card["told"] == [] and fitted.card["context"] == []  # it reads no context
    assert fitted.fitted.calibration is not None
    fitted.save(tmp_path)
    loaded = load_model(tmp_path)
    assert torch.allclose(loaded.fitted.calibration, fitted.fitted.calibration)
    assert loaded.predict_reward(FEATURES) == pytest.approx(fitted.predict_reward(FEATURES), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "is of format 1, this simbench reads 2"),
        ({"weights_sha256": "0" * 64}, "weights and card differ"),
        ({"weights_sha256": None}, "its card weights_sha256 must be a valid string"),
        ({"kind": "language"}, "reads text and no features"),
    ],
)
def test_a_card_of_something_else_is_refused(change, message, fitted, tmp_path):
    fitted.save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(BadInput, match=message):
        load_model(tmp_path)


def test_a_folder_is_a_language_models_where_its_card_says_so(tmp_path):
    assert not is_language_folder(tmp_path)
    for text, answer in (
        ('{"kind": "language"}', True),
        ('{"kind": "head"}', False),
        ("{}", False),
        ("[]", False),
    ):
        (tmp_path / "card.json").write_text(text)
        assert is_language_folder(tmp_path) == answer


def test_the_encoder_is_that_of_the_card_beside_the_features(tmp_path):
    features = tmp_path / "e.safetensors"
    assert encoder_of(str(features)) is None
    (tmp_path / "e.card.json").write_text(
        '{"input": {"sha256": "0", "text_column": null, "prompt_column": null}, "encoder": {"model": "m"}}'
    )
    assert encoder_of(str(features)) == {"model": "m"} and encoder_of("col:e") is None
    (tmp_path / "e.card.json").write_text(
        '{"input": {"sha256": "0", "text_column": null, "prompt_column": null}}'
    )
    with pytest.raises(BadInput, match="does not say which encoder made the embeddings"):
        encoder_of(str(features))


def test_an_unknown_parameter_and_what_has_no_weights_are_refused(path):
    assert configured("naive", {"hidden": (3,)}).hidden == (3,)
    with pytest.raises(BadInput, match="'naive' does not take these parameters"):
        configured("naive", {"width": 3})
    with pytest.raises(BadInput, match="oracle needs the truth"):
        fit_log(path, COLUMNS, "oracle")
    with pytest.raises(BadInput, match="not a network, whose weights can be saved"):
        fit_log(path, replace(COLUMNS, labels=None), "sklearn:LogisticRegression")
    with pytest.raises(BadInput, match="naive does not read the labels"):
        fit_log(path, COLUMNS, "naive")


def test_a_network_reads_context_only_where_there_is_some(path):
    bare = fit_log(path, replace(COLUMNS, context=()), "implicitrm", epochs=1)
    assert [network["width"] for network in bare.card["networks"]] == [3, 3]
    assert bare.card["told"] == ["labels"] and bare.card["context"] == []
    one = fit_log(path, replace(COLUMNS, context=("age",)), "implicitrm", epochs=1)
    assert [network["width"] for network in one.card["networks"]] == [3, 1]
    assert Network(("propensity",), "context") in one.fitted.networks
