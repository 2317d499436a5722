"""Broken model cards and weights: each is one sentence, and none is read as something else."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load, save

from simbench.errors import BadInput
from simbench.log.user_log import LogColumns
from simbench.reward.model import fit_log, load_model

COLUMNS = LogColumns("clicked", "col:f_", ("age", "device"), "prompt")
CODE = "raise SystemExit('the card ran code')\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with a network on features, one on context, and three fits; and one with a calibration."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.standard_normal((90, 3)), columns=["f_0", "f_1", "f_2"]).assign(
        clicked=(rng.random(90) < 0.3).astype(int),
        age=rng.standard_normal(90),
        device=rng.choice(["tv", "desk", "pad"], 90),
        prompt=np.arange(90) // 4,
    )
    where = tmp_path_factory.mktemp("models")
    small = {"epochs": 2, "hidden": (4,)}
    fit_log(frame, COLUMNS, "implicitrm", restarts=3, **small).save(where / "two")
    fit_log(frame, COLUMNS, "elkan-noto", **small).save(where / "calibrated")
    return where


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved / "two", tmp_path / "m")


def changed(folder, change, path=()):
    """Write the card with some fields changed; a change to None of a missing field removes it."""
    card = json.loads((folder / "card.json").read_text())
    part = card
    for key in path:
        part = part[key]
    for name, value in change.items():
        if value is ...:
            del part[name]
        else:
            part[name] = value
    (folder / "card.json").write_text(json.dumps(card))


def refused(folder, message):
    with pytest.raises(BadInput, match=message) as caught:
        load_model(folder)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 500 and str(folder) in said


NETWORK = {"heads": ["reward"], "inputs": "features", "width": 3}


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ((), {"row": -1}, "its card row must be at least 0"),
        ((), {"row": 64}, "row 64 of 64 fits is not there"),
        ((), {"row": 10**30}, "its card row must be"),
        ((), {"row": "0"}, "row must be a valid integer"),
        ((), {"row": True}, "row must be a valid integer"),
        ((), {"row": ...}, "its card row is missing"),
        ((), {"format": 1}, "is of format 1, this simbench reads 2"),
        ((), {"format": 10**30}, "is of format 1000"),
        ((), {"format": "2"}, "format must be a valid integer"),
        ((), {"estimator": "nowhere"}, "names the estimator 'nowhere', which no installed package"),
        ((), {"estimator": 3}, "estimator must be a valid string"),
        ((), {"estimator": ""}, "estimator must|String should"),
        ((), {"parameters": {"width": 3}}, "has no parameter 'width'"),
        ((), {"parameters": {"hidden": 5}}, "hidden must be a tuple"),
        ((), {"parameters": {"hidden": [4], "lr": float("nan")}}, "lr must be a finite number"),
        ((), {"parameters": []}, "parameters must be an object"),
        ((), {"parameters": {"hidden": [8]}}, r"'network\.0' has shape"),
        ((), {"networks": []}, "networks"),
        ((), {"networks": [NETWORK]}, r"the tensor 'network\.1' is not known"),
        ((), {"networks": [NETWORK] * 2}, "no head twice"),
        ((), {"networks": [{**NETWORK, "heads": ["propensity"]}]}, "one network with a reward"),
        ((), {"networks": [{**NETWORK, "heads": ["thing"]}]}, r"networks\.0\.heads\.0"),
        ((), {"networks": [{**NETWORK, "inputs": "truth"}]}, r"networks\.0\.inputs must be"),
        ((), {"networks": [{**NETWORK, "width": 4}]}, "reads a matrix of another width"),
        ((), {"networks": [{**NETWORK, "width": 2}]}, "reads a matrix of another width"),
        ((), {"networks": {"0": NETWORK}}, "networks must be a valid"),
        ((), {"context": []}, "reads a matrix of another width"),
        ((), {"context": [{"name": "age"}]}, r"context\.0\.kind is missing"),
        ((), {"features": None}, "features must be an object"),
        (("features",), {"width": 4}, "as many means and scales"),
        (("features",), {"width": 1e308}, r"features\.width must be"),
        (("features",), {"mean": [0, 0]}, "as many means and scales"),
        (("features",), {"scale": [1, 1, 0]}, r"features\.scale\.2 must be greater than 0"),
        (("features",), {"scale": [1, 1, float("inf")]}, r"features\.scale\.2 must be a finite number"),
        (("features",), {"mean": [float("nan")] * 3}, r"features\.mean\.0 must be a finite number"),
        (("features",), {"columns": ["f_0", "f_1"]}, "as many columns"),
        (("features",), {"scale": 1.0}, r"features\.scale must be a valid"),
        (("log",), {"rows": -3}, r"log\.rows must be"),
        (("log",), {"feedback_rate": 2.0}, r"log\.feedback_rate must be less than 1"),
        ((), {"epochs": 0}, "epochs must be at least 1"),
        ((), {"held_out_loss": float("nan")}, "held_out_loss must be a finite number"),
        ((), {"surprise": 1}, "surprise is no field of a card"),
        ((), {"weights_sha256": "0" * 64}, "weights and card differ"),
        ((), {"weights_sha256": "none"}, "weights_sha256"),
        ((), {"versions": {"torch": 2}}, r"versions\.torch must be a valid string"),
    ],
)
def test_a_field_that_cannot_be_is_named(path, change, message, folder):
    load_model(folder)
    changed(folder, change, path)
    refused(folder, message)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"{}", b"[1, 2]", b"null", b"\xff\xfe{}"),
        *(b'{"row": ' * 3 + b"0", b"[" * 100_000, b"7" * 5000),
    ],
)
def test_a_card_that_is_none_is_refused(content, folder):
    (folder / "card.json").write_bytes(content)
    refused(folder, "is damaged: its card")


def rewritten(folder, tensors):
    """Other weights, with the hash that they have."""
    content = save(tensors)
    (folder / "model.safetensors").write_bytes(content)
    changed(folder, {"weights_sha256": hashlib.sha256(content).hexdigest()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | {"network.0": t["network.0"].fill_(torch.nan)}, "'network.0' holds values"),
        (lambda t: t | {"network.0": t["network.0"].fill_(torch.inf)}, "not finite"),
        (lambda t: t | {"network.0": t["network.0"].double()}, "has shape .* of float64"),
        (lambda t: t | {"network.0": t["network.0"][:, :-1].contiguous()}, "'network.0' has shape"),
        (lambda t: t | {"network.0": t["network.0"][0].clone()}, "'network.0' has shape"),
        (lambda t: t | {"network.0": t["network.0"][:0].clone()}, "'network.0' has shape"),
        (lambda t: t | {"network.0": torch.cat([t["network.0"]] * 2)}, "fits is not there"),
        (lambda t: {"network.0": t["network.0"]}, "'network.1' is missing"),
        (lambda t: t | {"extra": torch.zeros(1)}, "'extra' is not known"),
        (lambda t: t | {"calibration": torch.zeros(1, 1)}, "'calibration' is not known"),
        (lambda t: {"network.0": t["network.1"], "network.1": t["network.0"]}, "has shape"),
    ],
)
def test_weights_that_are_not_those_of_the_card_are_refused(change, message, folder):
    rewritten(folder, change(load((folder / "model.safetensors").read_bytes())))
    refused(folder, message)


def test_files_that_are_truncated_missing_or_swapped_are_refused(saved, folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for broken in (whole[:-7], b"", whole[:-1] + b"\0", (saved / "calibrated" / weights.name).read_bytes()):
        weights.write_bytes(broken)
        refused(folder, "cannot be read|weights and card differ")
    changed(folder, {"weights_sha256": hashlib.sha256(b"junk").hexdigest()})
    weights.write_bytes(b"junk")
    refused(folder, "the weights in .* cannot be read")
    weights.unlink()
    refused(folder, "the weights in .* cannot be read")
    shutil.rmtree(folder)
    refused(folder, "holds no model")


def test_a_calibration_is_finite_and_there(saved, tmp_path):
    folder = shutil.copytree(saved / "calibrated", tmp_path / "m")
    tensors = load((folder / "model.safetensors").read_bytes())
    load_model(folder)
    for own, message in (
        (torch.full((1, 1), torch.nan, dtype=torch.float64), "'calibration' holds values that are not"),
        (torch.ones(1, 1), "'calibration' has shape"),
        (None, "'calibration' is missing"),
    ):
        rest = {"network.0": tensors["network.0"]}
        rewritten(folder, rest if own is None else rest | {"calibration": own})
        refused(folder, message)


def test_a_card_cannot_import_code_unless_it_is_trusted(folder, tmp_path):
    """Neither a file nor a module that is not a plug-in; with trust, what it names is imported."""
    (tmp_path / "mine.py").write_text(CODE)
    for name in (f"{tmp_path}/mine.py:Mine", "simbench_estimators.naive:Naive", "os:system"):
        changed(folder, {"estimator": name})
        refused(folder, "which no installed package registers: .* or say --trust-code")
    with pytest.raises((BadInput, SystemExit), match=r"the card ran code|cannot be imported"):
        changed(folder, {"estimator": f"{tmp_path}/mine.py:Mine"})
        load_model(folder, trust_code=True)
    changed(folder, {"estimator": "simbench_estimators.implicitrm:ImplicitRM"})
    assert load_model(folder, trust_code=True).predict_reward(np.zeros((1, 3), np.float32)).shape == (1,)


def test_a_model_that_was_fitted_on_a_gpu_is_read_without_one(folder):
    card = json.loads((folder / "card.json").read_text())
    changed(folder, {"parameters": {**card["parameters"], "device": "cuda:7"}})
    load_model(folder)
