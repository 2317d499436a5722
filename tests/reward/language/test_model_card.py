"""The card of an exported model: what it was told, how a logit becomes a reward, what is believed."""

from types import SimpleNamespace

import pytest
import torch

from simbench.estimator.registry import find
from simbench.reward.language.model import link_of
from simbench.reward.language.model_card import UNEXAMINED, model_card

LOG = {
    "feedback": "clicked",
    "rows": 1234,
    "prompts": 567,
    "feedback_rate": 0.12345,
    "file": "log.parquet",
    "sha256": "0123456789abcdef" * 4,
}
ENCODER = {"model": "org/base", "revision": "abc", "pooling": "last", "max_tokens": 99, "lora": 0}
CARD = {
    "estimator": "implicitrm",
    "told": ["context", "class prior"],
    "encoder": ENCODER,
    "settings": {},
    "log": {**LOG, "texts": {"cut": 1002}},
    "held_out_loss": 0.43216,
    "link": {"formula": "sigmoid(s)", "c": None},
    "warning": None,
    "versions": {"torch": "2", "numpy": "1"},
}


def page(to="hf", diagnosis=None, causal=True, template=None, **changes) -> str:
    tokenizer = SimpleNamespace(chat_template=template)
    parts = SimpleNamespace(encoder=SimpleNamespace(causal=causal, tokenizer=tokenizer))
    return model_card({**CARD, **changes}, parts, to, diagnosis)


def test_the_page_says_what_the_model_was_told():
    said = page()
    assert (
        "Feedback `clicked` on 1,234 responses to 567 prompts, rate 0.123 (file `log.parquet`, SHA-256 "
        "`0123456789abcdef`). 1,002 texts were longer and cut. Besides: context, class prior.\n\n"
        "Loss on held-out *feedback*: 0.4322. No truth was seen."
    ) in said
    assert "Besides: nothing." in page(told=[])
    assert "were longer" not in page(log=LOG)
    assert "torch 2, numpy 1" in said


def test_the_page_says_what_the_model_is():
    kind = find("implicitrm")
    said = page()
    assert f"Estimator `implicitrm` of simbench ({kind.source}) on `org/base`, revision `abc`: " in said
    assert "the encoder was trained itself; pooling last, at most 99 tokens." in said
    assert f"It assumes: {kind.assumption}." in said and "base_model: org/base" in said
    adapted = page(encoder={**ENCODER, "lora": 8})
    assert "the encoder was trained by an adapter of rank 8, merged here" in adapted
    frozen = {key: value for key, value in CARD.items() if key not in ("settings", "encoder")}
    head = model_card(
        {**frozen, "features": {"encoder": ENCODER}},
        SimpleNamespace(encoder=SimpleNamespace(causal=True, tokenizer=SimpleNamespace(chat_template=None))),
        "hf",
        None,
    )
    assert "a head on frozen embeddings" in head


def test_a_local_base_is_named_by_its_folder_alone(tmp_path):
    (tmp_path / "base").mkdir()
    said = page(encoder={**ENCODER, "model": str(tmp_path / "base")})
    assert "on `base`" in said and "base_model" not in said and str(tmp_path) not in said


def test_the_page_says_how_a_logit_becomes_a_reward():
    assert "The reward is `sigmoid(s)` of the logit `s`. `config.simbench` has it too." in page()
    assert "`s`, `c = 0.25`. " in page(link={"formula": "sigmoid(s) / c", "c": 0.25})
    assert "The logit ranks responses; it is no probability." in page(link={"formula": None, "c": None})
    assert "no bias" not in page()
    assert "**`s` is the model's logit plus -1.5**" in page(shift=-1.5)


def test_the_page_says_how_it_is_loaded_and_padded():
    assert "trust_remote_code" not in page() and page("hf-code").count(", trust_remote_code=True") == 2
    assert "Text is written by prompt, blank line, response." in page()
    assert "Text is written by the chat template." in page(template="x")
    assert "Pad on the right" in page(causal=False)
    assert "Pad on the right" not in page() and "Pad on the right" not in page("hf-code", causal=False)


def test_the_page_holds_the_diagnosis_and_the_warning():
    assert UNEXAMINED in page()
    examined = page(diagnosis=" VERDICT: identified. \n")
    assert "```text\nVERDICT: identified.\n```" in examined and UNEXAMINED not in examined
    assert "Warning of the fit: beware" in page(warning="beware") and "Warning" not in page()


@pytest.mark.parametrize(
    ("name", "calibration", "link"),
    [
        ("naive", None, {"formula": "sigmoid(s)", "c": None}),
        ("elkan-noto", torch.tensor([[0.25]]), {"formula": find("elkan-noto").link_formula, "c": 0.25}),
        ("bpr", None, {"formula": None, "c": None}),
    ],
)
def test_a_link_is_a_formula_and_its_constant_where_there_is_a_probability(name, calibration, link):
    assert link_of(find(name)(), calibration) == link


def test_a_link_of_its_own_that_nobody_wrote_down_is_none():
    class Own(find("naive")):
        def link(self, reward_logit, calibration=None):
            return reward_logit

    assert link_of(Own(), None)["formula"] is None
