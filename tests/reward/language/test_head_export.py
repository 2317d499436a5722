"""The arithmetic of an export: whose head it is, where its bias goes, and the proof before writing."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from simbench.errors import BadInput
from simbench.log.source import open_table
from simbench.reward.language import export as module
from simbench.reward.language.embed import Texts, embed_texts, texts_of
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.export import Head, _place_bias, _prove, _revision, head_of, with_code
from simbench.reward.language.finetune import _embeddings
from simbench.reward.language.loading import hash_of_folder, is_causal
from simbench.reward.language.reward_networks import load_reward_model
from simbench.training.contract import Network

WEIGHT = np.array([3.0, 0.0, 4.0], np.float32)


def norm_and_score(bias_of_norm=True, bias_of_score=False):
    base = SimpleNamespace(norm=nn.LayerNorm(3, bias=bias_of_norm), config=SimpleNamespace(model_type="m"))
    score = nn.Linear(3, 1, bias=bias_of_score)
    with torch.no_grad():
        score.weight.copy_(torch.as_tensor(WEIGHT)[None])
    return score, base


@pytest.mark.parametrize("part", ["norm", "ln_f", "final_layer_norm", "decoder"])
def test_a_bias_goes_into_the_norm_before_the_classifier(part):
    score, base = norm_and_score()
    norm = base.norm
    if part == "decoder":
        base.decoder = SimpleNamespace(final_layer_norm=norm)
    elif part != "norm":
        setattr(base, part, norm)
    if part != "norm":
        del base.norm
    states = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
        before = score(norm(states))[:, 0]
        assert _place_bias(score, base, WEIGHT, 0.7, False) == 0.0
        assert torch.allclose(score(norm(states))[:, 0], before + 0.7, atol=1e-5)


def test_a_bias_goes_into_the_classifier_where_it_has_one():
    score, base = norm_and_score(bias_of_score=True)
    assert _place_bias(score, base, WEIGHT, 0.7, False) == 0.0
    assert score.bias.item() == pytest.approx(0.7) and not base.norm.bias.any()


def test_a_bias_without_a_place_is_refused_or_returned():
    score, base = norm_and_score(bias_of_norm=False)
    with pytest.raises(BadInput, match=r"has no bias, and the head's is 0\.7000"):
        _place_bias(score, base, WEIGHT, 0.7, False)
    assert _place_bias(score, base, WEIGHT, 0.7, True) == 0.7
    score, base = norm_and_score()
    assert _place_bias(score, base, 0 * WEIGHT, 0.7, True) == 0.7  # a norm cannot carry it


def test_the_head_is_the_rewards_own_row_of_the_kept_replicate():
    """A trunk with a propensity first: the reward is the second output."""
    layers = [np.arange(6.0).reshape(2, 3), np.array([[1.0, 2], [3, 4]])], [np.ones(2), np.array([5.0, 6])]
    asked = []
    stacked = SimpleNamespace(layers_of=lambda row: asked.append(row) or ([*layers[0]], [*layers[1]]))
    networks = {Network(("imputation",)): None, Network(("propensity", "reward")): stacked}
    described = {"mean": [1.0, 2.0, -1.0], "scale": [0.5, 1.0, 2.0]}
    made = {"model": "m", "revision": "1", "pooling": "mean", "max_tokens": 9, "normalised": False}
    card = {"features": {**described, "encoder": made}}
    head = head_of(SimpleNamespace(fitted=SimpleNamespace(networks=networks), row=7, card=card))
    assert asked == [7] and head.encoder == made and head.hidden == [2]
    x = np.array([0.3, -4.0, 2.5])
    on_standardised = layers[0][0] @ ((x - described["mean"]) * described["scale"]) + 1
    assert head.weights[0] @ x + head.biases[0] == pytest.approx(on_standardised, rel=1e-6)
    assert head.weights[1].tolist() == [[3, 4]] and head.biases[1].tolist() == [6]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pooling": "sum"}, r"encoder\.pooling must be"),
        ({"normalised": "no"}, r"encoder\.normalised must be"),
        ({"max_tokens": 10**30}, r"encoder\.max_tokens must be"),
        ({"revision": None}, r"encoder\.revision must be"),
    ],
)
def test_an_encoder_that_a_card_does_not_describe_is_refused(change, said):
    made = {"model": "m", "revision": "1", "pooling": "mean", "max_tokens": 9, "normalised": False}
    with pytest.raises(BadInput, match=f"how its features were embedded: {said}"):
        head_of(SimpleNamespace(card={"features": {"encoder": {**made, **change}}}))


def head_on(models, hidden=(4,), normalised=False) -> Head:
    rng = np.random.default_rng(0)
    sizes = [32, *hidden, 1]
    weights = [rng.standard_normal((b, a)).astype(np.float32) for a, b in pairwise(sizes)]
    biases = [rng.standard_normal(size).astype(np.float32) for size in sizes[1:]]
    encoder = TextEncoder.load(str(models["bert"]))
    return Head(weights, biases, {**encoder.describe(), "normalised": normalised})


@pytest.mark.parametrize(("hidden", "normalised"), [((4,), False), ((), True)])
def test_an_export_is_proved_to_be_the_head_before_it_is_written(hidden, normalised, models):
    head = head_on(models, hidden, normalised)
    parts = with_code(head)
    _prove(parts, head, 0.0)
    encoder = parts.encoder
    text = "the answer is right"
    with torch.inference_mode():
        value = encoder.embed(encoder.pad(encoder.tokenise([text]).ids))[0].double().numpy()
        found = parts.logits(encoder.pad(encoder.tokenise([text]).ids))[0].item()
    value = value / np.linalg.norm(value) if normalised else value
    for number, (weight, bias) in enumerate(zip(head.weights, head.biases, strict=True)):
        value = weight @ (np.maximum(value, 0) if number else value) + bias
    assert found == pytest.approx(value[0], abs=1e-4)
    off = [
        (head, 0.01),
        (replace(head, weights=[head.weights[0] * 1.01, *head.weights[1:]]), 0.0),
        (replace(head, biases=[*head.biases[:-1], head.biases[-1] + 0.01]), 0.0),
        (replace(head, encoder={**head.encoder, "normalised": not normalised}), 0.0),
        (replace(head, biases=[*head.biases[:-1], head.biases[-1] * np.float32("nan")]), 0.0),
    ]
    for other, shift in off:
        with pytest.raises(BadInput, match="exported logits would differ"):
            _prove(parts, other, shift)
    with torch.no_grad():
        parts.model.head[-1].bias -= 0.5
    _prove(parts, head, 0.5)  # simbench's logit less the exported one


def test_a_commit_is_asked_for_again_and_a_hash_is_not(models, tmp_path):
    assert _revision({"revision": "abc"}) == "abc" and _revision({"revision": "sha256:12"}) is None
    assert module.EPSILON == 2.0**-12
    for name, data in (("config.json", b"c"), ("a.safetensors", b"a"), ("notes.txt", b"n")):
        (tmp_path / name).write_bytes(data)
    first = hash_of_folder(tmp_path, None)
    assert first.startswith("sha256:") and len(first) == 23
    (tmp_path / "notes.txt").write_bytes(b"other")
    assert hash_of_folder(tmp_path, None) == first
    for name in ("config.json", "a.safetensors"):
        before = hash_of_folder(tmp_path, None)
        (tmp_path / name).write_bytes(b"other")
        assert hash_of_folder(tmp_path, None) != before
    (tmp_path / "m.gguf").write_bytes(b"g")
    alone = hash_of_folder(tmp_path, "m.gguf")
    (tmp_path / "config.json").write_bytes(b"again")
    assert hash_of_folder(tmp_path, "m.gguf") == alone != hash_of_folder(tmp_path, None)


@pytest.mark.parametrize(
    ("kind", "causal"), [("bert", False), ("llama", True), ("gpt2", True), ("t5", False)]
)
def test_causal_models_are_those_with_a_causal_head_alone(kind, causal):
    assert is_causal(SimpleNamespace(model_type=kind)) == causal
    if kind == "bert":
        assert is_causal(SimpleNamespace(model_type=kind, is_decoder=True))


def test_texts_are_read_from_the_columns_and_prompts_only_where_there_are_some():
    frame = pd.DataFrame({"question": ["q"], "response": ["r"], "other": ["o"]})
    usual = texts_of(open_table(frame), None, None)
    assert (usual.responses, usual.prompts) == (["r"], ["q"])
    assert usual.source["text_column"] == "response" and usual.source["prompt_column"] == "question"
    assert texts_of(open_table(frame), "other", "none").prompts is None
    named = texts_of(open_table(frame), "other", "response")
    assert (named.responses, named.prompts, named.source["rows"]) == (["o"], ["r"], 1)


def test_embeddings_are_in_the_order_of_the_texts(models, tmp_path):
    """Of one scale where an estimator reads them; of length 1 where that is asked."""
    words = ["right", "the answer is wrong and then a step", "kind word", "a"]
    encoder = TextEncoder.load(str(models["bert"]))
    with torch.inference_mode():
        own = [encoder.embed(encoder.pad(encoder.tokenise([text]).ids))[0].numpy() for text in words]
    own = np.stack(own).astype(float)
    parts = load_reward_model(str(models["bert"]))
    found = _embeddings(parts, parts.encoder.tokenise(words), batch_size=3)
    assert found == pytest.approx(own / np.sqrt((own**2).mean()), abs=1e-4)
    texts = Texts(words, None, {"sha256": "0"})
    out = tmp_path / "e.safetensors"
    card = embed_texts(texts, encoder, out, batch_size=2, normalise=True)
    from safetensors.numpy import load_file

    length = np.linalg.norm(own, axis=1, keepdims=True)
    assert load_file(out)["embeddings"] == pytest.approx(own / length, abs=1e-5)
    assert card["encoder"]["normalised"] and card["texts"]["rows"] == 4
