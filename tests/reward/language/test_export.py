"""Exported models: plain transformers gives simbench's logits; what has no plain form carries its code."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from simbench.cli.export import ExportOptions
from simbench.cli.export import export as export_command
from simbench.errors import BadInput
from simbench.log.source import open_table
from simbench.log.user_log import LogColumns
from simbench.reward.language.embed import embed_texts, texts_of
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.export import export
from simbench.reward.language.finetune import finetune, table_tokens
from simbench.reward.language.settings import Settings
from simbench.reward.model import fit_log, load_model

TOLERANCE = 1e-4


def plain_logits(folder: Path, frame: pd.DataFrame, batch: int, side: str, **options) -> np.ndarray:
    """With transformers alone, in batches of this size."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, **options).eval()
    assert model.config.num_labels == 1
    return logits_by(model, AutoTokenizer.from_pretrained(folder, **options), frame, batch, side)


def logits_by(model, tokenizer, frame: pd.DataFrame, batch: int, side: str) -> np.ndarray:
    """As TRL's GRPO does: the template, and no special tokens beside it."""
    turns = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        for prompt, response in zip(frame.prompt, frame.response, strict=True)
    ]
    written = [tokenizer.apply_chat_template(turn, tokenize=False) for turn in turns]
    found = []
    for start in range(0, len(written), batch):
        inputs = tokenizer(
            written[start : start + batch],
            return_tensors="pt",
            padding=True,
            padding_side=side,
            add_special_tokens=False,
        )
        with torch.inference_mode():
            found.append(model(**inputs).logits[:, 0])
    return torch.cat(found).double().numpy()


def few(texts: Path) -> pd.DataFrame:
    return pd.read_parquet(texts).iloc[:23]


@pytest.mark.parametrize(
    ("name", "sides"), [("llama", ("left", "right")), ("chat", ("left", "right")), ("bert", ("right",))]
)
def test_a_fine_tuned_model_is_read_by_plain_transformers(name, sides, texts, models, tmp_path):
    settings = Settings(model=str(models[name]), epochs=1, head_learning_rate=1e-2)
    known = {"context": ("activity",)}
    model = finetune(texts, LogColumns("clicked", "text", **known), "implicitrm", settings, tmp_path / "m")
    frame = few(texts)
    own = model.logits(table_tokens(model.parts, open_table(frame), model.card))
    export(tmp_path / "m", tmp_path / "hf", "hf")
    assert not list((tmp_path / "hf").glob("*.py"))
    for side in sides:
        for batch in (1, 2, 7):
            assert np.abs(plain_logits(tmp_path / "hf", frame, batch, side) - own).max() < TOLERANCE
    reported = pipeline("text-classification", model=str(tmp_path / "hf"))
    text = f"{frame.prompt[0]}\n\n{frame.response[0]}"
    if name != "chat":
        assert abs(reported(text)[0]["score"] - own[0]) < TOLERANCE
    assert reported(text)[0]["label"] == "reward"
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["simbench"]["link"] == {"formula": "sigmoid(s)", "c": None}
    assert config["pad_token_id"] is not None


def fitted_on(texts: Path, model: Path, folder: Path, pooling: str, normalise=False, **parameters) -> Path:
    """A head on the frozen embeddings of that model."""
    encoder = TextEncoder.load(str(model), pooling=pooling)
    features = folder / "emb.safetensors"
    embed_texts(texts_of(open_table(texts), None, None), encoder, features, batch_size=8, normalise=normalise)
    columns = LogColumns("clicked", str(features), context=("activity",), groups="prompt")
    fit_log(texts, columns, "implicitrm", epochs=4, **parameters).save(folder / "head")
    return folder / "head"


def own_logits(head: Path, rows: int) -> np.ndarray:
    fitted = load_model(head)
    from simbench.log.rated_responses import read_features

    features = read_features(head.parent / "emb.safetensors", 160)[:rows]
    reward = fitted.predict_reward(features)
    return np.log(reward) - np.log1p(-reward)


@pytest.mark.parametrize("name", ["llama", "chat"])  # the template ends with what is often the pad token
def test_a_linear_head_on_the_last_token_is_read_but_for_its_bias(name, texts, models, tmp_path):
    head = fitted_on(texts, models[name], tmp_path, "last", hidden=())
    with pytest.raises(BadInput, match=r"no bias.*--allow-shift.*hf-code"):
        export(head, tmp_path / "hf", "hf")
    assert not (tmp_path / "hf").exists()
    shift = export(head, tmp_path / "hf", "hf", allow_shift=True)
    own, frame = own_logits(head, 23), few(texts)
    assert abs(shift) > 10 * TOLERANCE
    for side in ("left", "right"):
        for batch in (1, 2, 7):
            assert np.abs(plain_logits(tmp_path / "hf", frame, batch, side) + shift - own).max() < TOLERANCE
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["simbench"]["shift"] == shift
    assert f"{shift:.8g}" in (tmp_path / "hf" / "README.md").read_text()


@pytest.mark.parametrize(("name", "pooling"), [("gpt2", "last"), ("bert", "cls")])
def test_a_bias_finds_its_place_in_the_norm_or_the_classifier(name, pooling, texts, models, tmp_path):
    head = fitted_on(texts, models[name], tmp_path, pooling, hidden=())
    assert export(head, tmp_path / "hf", "hf") == 0
    own, frame = own_logits(head, 23), few(texts)
    for batch in (1, 2, 7):
        assert np.abs(plain_logits(tmp_path / "hf", frame, batch, "right") - own).max() < TOLERANCE
    assert np.ptp(own) > 20 * TOLERANCE


@pytest.mark.parametrize(
    ("name", "pooling", "normalise", "message"),
    [
        ("llama", "last", False, "hidden layers"),
        ("bert", "mean", False, "mean-pooled"),
        ("bert", "cls", True, "length 1"),
    ],
)
def test_what_has_no_plain_form_says_so_and_carries_its_code(
    name, pooling, normalise, message, texts, models, tmp_path
):
    hidden = (8, 4) if message == "hidden layers" else ()
    head = fitted_on(texts, models[name], tmp_path, pooling, normalise, hidden=hidden)
    with pytest.raises(BadInput, match=message) as caught:
        export(head, tmp_path / "hf", "hf")
    assert "--to hf-code" in str(caught.value)
    export(head, tmp_path / "code", "hf-code")
    own, frame = own_logits(head, 23), few(texts)
    for side in ("left", "right"):
        for batch in (1, 2, 7):
            found = plain_logits(tmp_path / "code", frame, batch, side, trust_remote_code=True)
            assert np.abs(found - own).max() < TOLERANCE


def test_code_in_the_folder_needs_no_simbench(texts, models, tmp_path):
    head = fitted_on(texts, models["bert"], tmp_path, "mean", True, hidden=(8,))
    export(head, tmp_path / "code", "hf-code")
    few(texts).to_parquet(tmp_path / "few.parquet")
    program = (
        "import sys; sys.modules['simbench'] = None\n"
        "import pandas as pd, numpy as np, torch\n"
        "from transformers import AutoModelForSequenceClassification as A, AutoTokenizer as T\n"
        f"folder = {str(tmp_path / 'code')!r}\n"
        "m, t = A.from_pretrained(folder, trust_remote_code=True).eval(), T.from_pretrained(folder)\n"
        f"f = pd.read_parquet({str(tmp_path / 'few.parquet')!r})\n"
        "x = t((f.prompt + '\\n\\n' + f.response).tolist(), return_tensors='pt', padding=True)\n"
        f"np.save({str(tmp_path / 'found.npy')!r}, m(**x).logits[:, 0].detach().numpy())\n"
    )
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=tmp_path)
    assert np.abs(np.load(tmp_path / "found.npy") - own_logits(head, 23)).max() < TOLERANCE


def test_features_of_unknown_origin_and_a_changed_encoder_are_refused(texts, models, tmp_path):
    head = fitted_on(texts, models["bert"], tmp_path, "cls", hidden=())
    card = json.loads((head / "card.json").read_text())
    card["features"]["encoder"]["revision"] = "sha256:0000"
    (head / "card.json").write_text(json.dumps(card))
    with pytest.raises(BadInput, match="no longer the model"):
        export(head, tmp_path / "hf", "hf")
    card["features"]["encoder"] = None
    (head / "card.json").write_text(json.dumps(card))
    with pytest.raises(BadInput, match="unknown origin"):
        export(head, tmp_path / "hf", "hf")


def test_the_model_card_has_the_diagnosis_and_nothing_is_overwritten(texts, models, tmp_path, capsys):
    head = fitted_on(texts, models["bert"], tmp_path, "cls", hidden=())
    (tmp_path / "said.txt").write_text("verdict: NOT IDENTIFIED")
    said = ExportOptions(model=head, folder=tmp_path / "hf", diagnosis=tmp_path / "said.txt")
    export_command(said)
    page = (tmp_path / "hf" / "README.md").read_text()
    assert "verdict: NOT IDENTIFIED" in page and "Besides: context" in page and "sigmoid(s)" in page
    assert str(tmp_path) not in page
    with pytest.raises(BadInput, match="is there already"):
        export_command(replace(said, diagnosis=None))
    with pytest.raises(BadInput, match="does not exist"):
        export_command(replace(said, folder=tmp_path / "other", diagnosis=tmp_path / "no.txt"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.txt").write_text("x")
    with pytest.raises(BadInput, match="something else"):
        export_command(replace(said, folder=tmp_path / "thesis", diagnosis=None, force=True))


def test_minilm_with_its_real_weights(texts, minilm, tmp_path):
    head = fitted_on(texts, Path(minilm), tmp_path, "cls", hidden=())
    export(head, tmp_path / "hf", "hf")
    found = plain_logits(tmp_path / "hf", few(texts), 7, "right")
    assert np.abs(found - own_logits(head, 23)).max() < TOLERANCE


@pytest.mark.parametrize("name", ["llama", "chat", "gpt2", "bert"])
def test_with_its_code_a_model_cuts_pads_and_refuses_as_in_training(name, texts, models, tmp_path):
    """Texts of up to 25 tokens, of which it was trained to read 16."""
    settings = Settings(model=str(models[name]), epochs=1, head_learning_rate=1e-2, max_tokens=16)
    model = finetune(texts, LogColumns("clicked", "text"), "naive", settings, tmp_path / "m")
    frame = few(texts)
    tokens = table_tokens(model.parts, open_table(frame), model.card)
    assert 3 < tokens.cut.sum() < 23
    export(tmp_path / "m", tmp_path / "code", "hf-code")
    options = {"trust_remote_code": True}
    exported = AutoModelForSequenceClassification.from_pretrained(tmp_path / "code", **options).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "code")
    batch = exported.inputs_of(tokenizer, frame.response.tolist(), frame.prompt.tolist())
    assert [row[mask == 1].tolist() for row, mask in zip(*batch.values(), strict=True)] == tokens.ids
    own = model.logits(tokens)
    left = model.parts.encoder.pad(tokens.ids, "left", 70)  # wider than the encoder's 64 positions
    left.pop("position_ids", None)
    with torch.inference_mode():
        assert np.abs(exported(**batch).logits[:, 0].numpy() - own).max() < TOLERANCE
        assert np.abs(exported(**left).logits[:, 0].numpy() - own).max() < TOLERANCE
        longer = tokenizer(["the answer " * 10], return_tensors="pt")
        with pytest.raises(ValueError, match=r"a text has 2\d tokens and the model reads at most 16: cut it"):
            exported(**longer)
    assert "inputs_of" in (tmp_path / "code" / "README.md").read_text()


@pytest.mark.parametrize(("name", "padding"), [("llama", "either"), ("gpt2", "right"), ("bert", "right")])
def test_a_plain_model_says_where_it_must_be_padded(name, padding, texts, models, tmp_path, capsys):
    settings = Settings(model=str(models[name]), epochs=1, head_learning_rate=1e-2)
    finetune(texts, LogColumns("clicked", "text"), "naive", settings, tmp_path / "m")
    export_command(ExportOptions(model=tmp_path / "m", folder=tmp_path / "hf"))
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["simbench"]["padding"] == padding
    said = "pad texts on the right" in capsys.readouterr().err
    page = (tmp_path / "hf" / "README.md").read_text()
    assert said == ("Pad on the right" in page) == (padding == "right")
    left, right = (plain_logits(tmp_path / "hf", few(texts), 7, side) for side in ("left", "right"))
    assert (np.abs(left - right).max() > TOLERANCE) == (padding == "right")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.padding_side == "right" or padding == "either"
