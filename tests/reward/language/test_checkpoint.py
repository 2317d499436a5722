"""Checkpoints and saved models: what was written is what is read, of this run, and whole."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.reward.language.checkpoint import Checkpoints
from simbench.reward.language.model import LanguageReward, load_language_model
from simbench.reward.language.reward_networks import load_reward_model


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2,), value)}


def test_the_last_step_and_the_best_are_kept_apart(tmp_path):
    kept = Checkpoints(tmp_path / "c", "run")
    assert kept.read() is None
    kept.write(1, tensors(1), {"waited": 0})
    kept.write_best(2, tensors(2))
    kept.write(3, tensors(3), {"waited": 1})
    kept.write(4, tensors(4), {"waited": 2})
    files = sorted(file.name for file in (tmp_path / "c").iterdir())
    assert files == ["best-00000002.safetensors", "checkpoint.json", "step-00000004.safetensors"]
    again = Checkpoints(tmp_path / "c", "run")
    step, last, facts = again.read()
    assert (step, facts) == (4, {"waited": 2}) and torch.equal(last["weight"], tensors(4)["weight"])
    assert torch.equal(again.read_best()["weight"], tensors(2)["weight"])
    again.write_best(5, tensors(5))
    again.write(5, tensors(6), {})
    assert torch.equal(again.read_best()["weight"], tensors(5)["weight"])
    with pytest.raises(BadInput, match="another run"):
        Checkpoints(tmp_path / "c", "other").read()
    again.forget()
    assert not (tmp_path / "c").exists()


def test_changed_weights_are_damage(tmp_path):
    kept = Checkpoints(tmp_path / "c", "run")
    kept.write_best(1, tensors(1))
    kept.write(1, tensors(1), {})
    for file in (tmp_path / "c").glob("*.safetensors"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        kept.read()
    with pytest.raises(BadInput, match="damaged"):
        kept.read_best()


@pytest.fixture
def reward(models) -> LanguageReward:
    parts = load_reward_model(str(models["bert"]), max_tokens=50)
    torch.manual_seed(0)
    torch.nn.init.normal_(parts.model.classifier.weight, std=20)
    parts = replace(parts, model=parts.model.eval())
    card = {
        "estimator": "elkan-noto",
        "parameters": {"hidden": [3], "seed": 0},
        "told": [],
        "link": {"formula": "x", "c": 0.8},
        "encoder": {**parts.encoder.describe(), "pooling": "native", "parameters": 9, "lora": 0},
        **{"settings": {}, "columns": {}, "context": [], "history": [], "versions": {"torch": "2"}},
        **{"warning": None, "class_prior": None, "held_out_loss": 0.5, "run": "0" * 64},
        "steps": {"of_best": 1, "trained": 2, "planned": 3},
        "log": {
            **{"file": "log.csv", "sha256": "", "rows": 9, "prompts": 3, "feedback": "clicked"},
            **{"feedback_rate": 0.5, "texts": {"text_column": "a", "prompt_column": None, "cut": 0}},
        },
    }
    return LanguageReward(parts, find("elkan-noto")(), torch.full((1, 1), 0.8), card, {"0": torch.ones(2)})


def test_logits_are_each_texts_own_and_rewards_their_link(reward):
    words = ["right", "the answer is wrong and then a step", "kind word", "a short true word", "who"]
    tokens = reward.parts.encoder.tokenise(words)
    with torch.inference_mode():
        alone = [reward.parts.logits(reward.parts.encoder.pad([ids])).item() for ids in tokens.ids]
    assert np.diff(sorted(alone)).min() > 1e-3
    for size in (1, 2, 32):
        assert reward.logits(tokens, size) == pytest.approx(alone, abs=1e-4)
    linked = reward.estimator.link(torch.tensor([alone], dtype=torch.float64), torch.full((1, 1), 0.8))
    assert reward.predict_reward(tokens) == pytest.approx(linked[0].numpy(), abs=1e-4)


def test_a_saved_model_comes_back_and_another_is_refused(reward, tmp_path):
    reward.save(tmp_path)
    back = load_language_model(tmp_path)
    tokens = reward.parts.encoder.tokenise(["right", "the answer is wrong"])
    assert back.predict_reward(tokens) == pytest.approx(reward.predict_reward(tokens), abs=1e-7)
    assert back.card == reward.card and back.calibration.item() == 0.8
    assert back.parts.encoder.max_tokens == 50 and back.estimator.hidden == (3,)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "format": 2}))
    with pytest.raises(BadInput, match="is of format 2"):
        load_language_model(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({**card, "kind": "head"}))
    with pytest.raises(BadInput, match="no fine-tuned language model"):
        load_language_model(tmp_path)
    for field, message in (
        ("log", "its card log is missing"),
        ("encoder", "encoder"),
        ("steps", "steps"),
        ("sha256", "sha256"),
    ):
        (tmp_path / "card.json").write_text(json.dumps({k: v for k, v in card.items() if k != field}))
        with pytest.raises(BadInput, match=message):
            load_language_model(tmp_path)
    for change, message in (
        ({"encoder": {**card["encoder"], "max_tokens": -1}}, r"encoder\.max_tokens must be at least 8"),
        ({"encoder": {**card["encoder"], "pooling": "sum"}}, r"encoder\.pooling must be"),
        ({"link": {"formula": "x", "c": None}}, r"differ on link\.c"),
        ({"estimator": "os:system"}, "say --trust-code"),
        ({"sha256": {}}, r"damaged: auxiliary\.safetensors is not what its card says"),
    ):
        (tmp_path / "card.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(BadInput, match=message):
            load_language_model(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps(card))
    for name in ("auxiliary.safetensors", "reward/model.safetensors", "reward/config.json"):
        file = tmp_path / name
        before = file.read_bytes()
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(BadInput, match=f"damaged: {name}"):
            load_language_model(tmp_path)
        file.write_bytes(before)


def test_weights_that_are_not_finite_are_refused(reward, tmp_path):
    with torch.no_grad():
        reward.parts.model.classifier.bias.fill_(torch.nan)
    reward.save(tmp_path)
    with pytest.raises(BadInput, match="is damaged: it has weights that are not finite"):
        load_language_model(tmp_path)
