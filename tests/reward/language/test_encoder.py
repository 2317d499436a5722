"""An embedding is the text's own: not its batch's, not its padding's; and every odd text is marked."""

import numpy as np
import pytest
import torch

from simbench.errors import BadInput
from simbench.reward.language.batches import equal_width_batches, width_of
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.pooling import pool
from simbench.reward.language.tokens import render

RNG = np.random.default_rng(0)
WORDS = [*"abcdefgh", "user", "question", "quick", "brown", "fox", "answers", "never"]
RESPONSES = [" ".join(RNG.choice(WORDS, int(k))) for k in RNG.integers(1, 150, 9)]
PROMPTS = [" ".join(RNG.choice(WORDS, int(k))) for k in RNG.integers(1, 20, 9)]


def embedded(encoder, ids, order, size, side, each_width):
    """Embeddings in batches of ``size`` in this order, of texts of one width or of any."""
    out = np.empty((len(ids), encoder.hidden_size), dtype=np.float32)
    lengths = np.array([len(ids[row]) for row in order])
    batches = [(order[first : first + size], None) for first in range(0, len(order), size)]
    if each_width:
        batches = [(order[k], width) for k, width in equal_width_batches(lengths, size, encoder.max_tokens)]
    with torch.inference_mode():
        for rows, width in batches:
            out[rows] = encoder.embed(encoder.pad([ids[row] for row in rows], side, width)).numpy()
    return out


@pytest.mark.parametrize(
    ("weights", "pooling"), [("minilm", "mean"), ("llama", "mean"), ("llama", "cls"), ("llama", "last")]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-5), ("bf16", 3e-3)])  # 8 bits, of up to .2
def test_an_embedding_depends_on_its_text_alone(weights, dtype, tolerance, pooling, request):
    encoder = TextEncoder.load(request.getfixturevalue(weights), dtype=dtype, pooling=pooling)
    ids = encoder.tokenise(RESPONSES, PROMPTS).ids
    order = np.arange(len(ids))
    alone = embedded(encoder, ids, order, 1, "right", True)
    if not (encoder.causal and pooling == "cls"):  # a first token sees no other
        assert alone.std(0).mean() > 10 * tolerance  # the texts are told apart
    for size, side in ((1, "left"), (2, "right"), (7, "left"), (7, "right")):
        found = embedded(encoder, ids, RNG.permutation(order), size, side, True)
        assert np.abs(found - alone).max() <= tolerance, (size, side)
    if dtype == "fp32":
        mixed = embedded(encoder, ids, RNG.permutation(order), 7, "right", False)
        assert np.abs(mixed - alone).max() <= tolerance


def test_the_model_sees_one_batch_whichever_side_was_padded(llama, monkeypatch):
    encoder = TextEncoder.load(llama)
    ids, seen = encoder.tokenise(RESPONSES, PROMPTS).ids, []
    real = encoder.hidden
    monkeypatch.setattr(encoder, "hidden", lambda batch: seen.append(batch) or real(batch))
    with torch.inference_mode():
        left, right = (encoder.embed(encoder.pad(ids, side, 512)) for side in ("left", "right"))
    assert torch.equal(left, right) and set(seen[0]) == set(seen[1])
    wanted = encoder.pad(ids, "right", 512)
    assert all(torch.equal(batch["input_ids"], wanted["input_ids"]) for batch in seen)
    assert all(torch.equal(batch["attention_mask"], wanted["attention_mask"]) for batch in seen)


@pytest.mark.parametrize("weights", ["minilm", "llama"])
def test_left_padding_itself_is_read_right(weights, request):
    """As the model sees it, without the shift: what training and exported models do."""
    encoder = TextEncoder.load(request.getfixturevalue(weights))
    ids = encoder.tokenise(RESPONSES[:5], PROMPTS[:5]).ids
    with torch.inference_mode():
        for pooling in ("mean", "cls", "last"):
            encoder.pooling = pooling
            left, right = (encoder.pad(ids, side) for side in ("left", "right"))
            found = encoder.pool(encoder.hidden(left), left["attention_mask"])
            assert (found - encoder.embed(right)).abs().max() < 1e-5


def test_minilm_agrees_with_sentence_transformers(minilm):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    peer = sentence_transformers.SentenceTransformer(minilm, device="cpu")
    encoder = TextEncoder.load(minilm)
    assert (encoder.pooling, encoder.max_tokens) == ("mean", peer.max_seq_length)
    texts = [*RESPONSES[:3], "word " * 400, ""]
    with torch.inference_mode():
        mine = encoder.embed(encoder.pad(encoder.tokenise(texts).ids)).numpy()
    theirs = peer.encode(texts, normalize_embeddings=False)
    length = np.linalg.norm(mine, axis=1, keepdims=True)
    assert np.abs(mine / length - theirs / np.linalg.norm(theirs, axis=1, keepdims=True)).max() < 1e-5


def test_widths_hold_their_texts_and_stay_within_the_model():
    assert [width_of(n, 2000) for n in (1, 32, 33, 256, 257, 513, 1999)] == [32, 32, 64, 256, 320, 640, 2000]
    lengths = np.random.default_rng(1).integers(1, 500, 300)
    batches = list(equal_width_batches(lengths, 16, 500))
    assert sorted(np.concatenate([rows for rows, _ in batches])) == list(range(300))
    assert all(lengths[rows].max() <= width <= 500 and len(rows) <= 16 for rows, width in batches)
    assert sum(len(rows) * width for rows, width in batches) < 1.2 * lengths.sum()


def test_pooling_by_hand():
    hidden = torch.arange(2 * 4 * 1, dtype=torch.float32).reshape(2, 4, 1)
    hidden[0, 3] = float("nan")  # padding may hold anything
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]])
    assert pool(hidden, mask, "mean").flatten().tolist() == [1.0, 6.5]
    assert pool(hidden, mask, "cls").flatten().tolist() == [0.0, 6.0]
    assert pool(hidden, mask, "last").flatten().tolist() == [2.0, 7.0]


def test_gradients_reach_the_model_through_the_pooling(llama):
    encoder = TextEncoder.load(llama)
    encoder.embed(encoder.pad(encoder.tokenise(RESPONSES[:2]).ids, "left")).sum().backward()
    assert all(p.grad is not None for p in encoder.model.layers.parameters())


def test_chat_template_and_pooling_of_a_causal_model(llama):
    encoder = TextEncoder.load(llama)
    assert (encoder.pooling, encoder.causal, encoder.hidden_size) == ("last", True, 64)
    text, by_template = render(encoder.tokenizer, "yes", "really?")
    assert (text, by_template) == ("<|user|>really?</s><|assistant|>yes</s>", True)
    ids = encoder.tokenise(["yes"], ["really?"]).ids[0]
    assert encoder.tokenizer.decode(ids) == text
    assert render(encoder.tokenizer, "yes") == ("yes", False)


def test_odd_texts_are_marked_and_kept(minilm, llama):
    for path in (minilm, llama):
        tokens = TextEncoder.load(path).tokenise(["fine", " \n", "", None, 7, float("nan")])
        assert all(tokens.ids)
        assert tokens.empty.tolist() == [False, True, True, False, False, False]
        assert tokens.not_text.tolist() == [False, False, False, True, True, True]
        assert not tokens.cut.any()


@pytest.mark.parametrize("weights", ["minilm", "llama"])
def test_a_long_prompt_yields_to_the_response(weights, request):
    path = request.getfixturevalue(weights)
    answer, long = "yes, it does", "never " * 100
    rows = [("no", "ok"), (answer, "why " * 200 + "now"), (long, "why"), (long, "why " * 200)]
    responses, prompts = zip(*rows, strict=True)
    encoder = TextEncoder.load(path, max_tokens=64)
    tokens = encoder.tokenise(responses, prompts)
    assert tokens.cut.tolist() == [False, True, True, True]
    assert tokens.response_cut.tolist() == [False, False, True, True] and not tokens.lost.any()
    assert all(len(ids) == 64 for ids in tokens.ids[2:]) and 60 <= len(tokens.ids[1]) <= 64
    texts = [encoder.tokenizer.decode(ids) for ids in tokens.ids]
    assert answer in texts[1] and "now" in texts[1]  # the response whole, the prompt's end
    assert "why" in texts[2] and "never never" in texts[2]
    assert min(texts[3].count("why"), texts[3].count("never")) >= 6  # half each

    end = TextEncoder.load(path, max_tokens=64, truncation="end").tokenise(responses, prompts)
    assert end.lost.tolist() == [False, True, False, True]
    assert end.response_cut.tolist() == [False, True, True, True]
    assert all(len(ids) == 64 for ids in end.ids[1:])


def test_mistakes_are_one_sentence(minilm, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "bert"}')
    cases = [
        (dict(name=str(tmp_path / "no")), "does not exist"),
        (dict(name=str(tmp_path / "empty")), "holds no config.json"),
        (dict(name=str(tmp_path / "broken")), "cannot be loaded"),
        (dict(name=str(tmp_path / "empty" / "x.gguf")), "x.gguf does not exist"),
        (dict(name=minilm, pooling="max"), "pooling must be"),
        (dict(name=minilm, dtype="int8"), "dtype must be"),
        (dict(name=minilm, device="tpu"), "device must be"),
        (dict(name=minilm, truncation="start"), "truncation must be"),
        (dict(name=minilm, max_tokens=513), "from 8 to 512"),
    ]
    if not torch.cuda.is_available():
        cases.append((dict(name=minilm, device="cuda"), "no GPU"))
    for options, message in cases:
        with pytest.raises(BadInput, match=message):
            TextEncoder.load(**options)
    monkeypatch.setattr("simbench.reward.language.loading.hub_reachable", lambda: False)
    with pytest.raises(BadInput, match="hub cannot be reached"):
        TextEncoder.load("nobody/such-a-model")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(BadInput, match=r"pip install 'simbench-rm\[llm\]'"):
        TextEncoder.load(minilm)
