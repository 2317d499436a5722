"""simbench embed: one matrix in file order, a card, shards that survive a kill -9, and no mixed file."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from simbench.cli import main
from simbench.errors import BadInput
from simbench.log.embedding_card import card_path
from simbench.log.rated_responses import load_responses, read_features
from simbench.log.source import open_table
from simbench.reward.language import embed as module
from simbench.reward.language.encoder import TextEncoder

RNG = np.random.default_rng(3)
ROWS = [
    {"prompt": f"question {i // 3}", "response": "ab " * int(k), "rating": i % 4}
    for i, k in enumerate(RNG.integers(1, 40, 90))
]
ODD = [{"prompt": "q", "response": text, "rating": 1} for text in ("", None, 7, "word " * 600)]


@pytest.fixture
def responses(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS + ODD))
    return path


def embed(*arguments, code=0) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["embed", *map(str, arguments)])
    assert stop.value.code == code


def test_rows_are_each_texts_own_embedding_in_file_order(responses, llama, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "SHARD_ROWS", 40)
    out = tmp_path / "e.safetensors"
    embed(responses, "--model", llama, "--out", out, "--batch-size", 7, "--max-tokens", 256)
    found = load_file(out)["embeddings"]
    encoder = TextEncoder.load(llama, max_tokens=256)
    rows = ROWS + ODD
    ids = encoder.tokenise([r["response"] for r in rows], [r["prompt"] for r in rows]).ids
    with torch.inference_mode():
        one_by_one = np.concatenate([encoder.embed(encoder.pad([text])).numpy() for text in ids])
    assert found.dtype == np.float32 and np.abs(found - one_by_one).max() < 1e-5
    assert np.array_equal(read_features(out, len(rows)), found)
    card = json.loads(card_path(out).read_text())
    counts = {name: card["texts"][name] for name in ("cut", "response_cut", "lost", "empty", "not_text")}
    assert counts == {"cut": 1, "response_cut": 1, "lost": 0, "empty": 1, "not_text": 2}
    assert card["texts"]["rows"] == 94 and card["texts"]["tokens"] == sum(map(len, ids))
    assert card["encoder"]["pooling"] == "last" and card["encoder"]["chat_template"]
    assert card["input"]["prompt_column"] == "prompt" and set(card["versions"]) > {"torch", "transformers"}
    said = capsys.readouterr()
    assert "94 embeddings of 64 numbers" in said.out and "texts/s" in said.err
    assert "1 of 94 responses (1.1%) were longer than 256 tokens" in said.err
    assert "2 of 94 responses (2.1%) were no text" in said.err
    assert not list(tmp_path.glob("*.parts")) and not list(tmp_path.glob(".*"))


def test_a_killed_run_goes_on_where_it_was(llama, tmp_path):
    path = tmp_path / "many.jsonl"
    texts = [{"response": f"{i} " + "question " * int(k)} for i, k in enumerate(RNG.integers(5, 30, 2500))]
    path.write_text("".join(json.dumps(row) + "\n" for row in texts))
    out, parts = tmp_path / "e.safetensors", tmp_path / "e.safetensors.parts"
    command = [path, "--model", llama, "--out", out, "--batch-size", "4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "simbench", "embed", *map(str, command)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not list(parts.glob("rows-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not out.exists()
    shards = sorted(parts.glob("rows-*"))
    assert 1 <= len(shards) < 3
    kept = {shard: shard.stat().st_mtime_ns for shard in shards}
    (parts / "rows-0000002048.safetensors").write_bytes(b"half of a shard")

    advanced = []

    def progress(total, done):
        advanced.append(done)
        return lambda count: advanced.append(count)

    encoder = TextEncoder.load(llama)
    columns = module.texts_of(open_table(path), None, None)
    real = module._assemble
    try:
        seen = {}
        module._assemble = lambda *a: seen.update({s: s.stat().st_mtime_ns for s in kept}) or real(*a)
        module.embed_texts(columns, encoder, out, batch_size=64, progress=progress)
    finally:
        module._assemble = real
    assert seen == kept and advanced[0] == 1024 * len(shards) and sum(advanced) == 2500
    found, rows = load_file(out)["embeddings"], RNG.choice(2500, 50, replace=False)
    ids = encoder.tokenise([columns.responses[row] for row in rows]).ids
    with torch.inference_mode():
        assert np.abs(found[rows] - encoder.embed(encoder.pad(ids)).numpy()).max() < 1e-5


def test_another_model_or_input_is_refused(responses, llama, minilm, tmp_path, capsys, monkeypatch):
    out = tmp_path / "e.safetensors"
    embed(responses, "--model", llama, "--out", out)
    before = out.read_bytes()
    embed(responses, "--model", llama, "--out", out)  # the same again: nothing to do
    assert "all done before" in capsys.readouterr().out
    cases = [
        ([responses, "--model", llama, "--pooling", "mean"], "was made with pooling last, not mean"),
        ([responses, "--model", llama, "--prompt-column", "none"], "was made with other texts"),
        ([responses, "--model", llama, "--dtype", "bf16"], "dtype float32, not bfloat16"),
        ([responses, "--model", minilm], "was made with model"),
    ]
    for arguments, message in cases:
        embed(*arguments, "--out", out, code=2)
        assert message in capsys.readouterr().err and out.read_bytes() == before
    embed(responses, "--model", llama, "--out", out, "--pooling", "mean", "--force")
    assert out.read_bytes() != before

    # so is what a killed run left
    half = tmp_path / "h.safetensors"
    monkeypatch.setattr(module, "_assemble", lambda *a: sys.exit(9))
    embed(responses, "--model", llama, "--out", half, code=9)
    embed(responses, "--model", llama, "--out", half, "--max-tokens", 64, code=2)
    assert "h.safetensors.parts was made with max_tokens 512, not 64" in capsys.readouterr().err

    alone = tmp_path / "n.safetensors"
    alone.write_bytes(b"mine")
    embed(responses, "--model", llama, "--out", alone, code=2)
    assert "without a card" in capsys.readouterr().err and alone.read_bytes() == b"mine"
    embed(responses, "--model", llama, "--out", tmp_path / "e.npy", code=2)
    embed(responses, "--model", llama, "--out", alone, "--text-column", "answer", code=2)
    assert "no column 'answer'" in capsys.readouterr().err


def test_embeddings_of_other_texts_are_refused_by_the_study(responses, llama, tmp_path):
    out = tmp_path / "e.safetensors"
    embed(responses, "--model", llama, "--out", out)
    frame = open_table(responses).frame
    assert load_responses(responses, features=out).features.shape == (94, 64)
    shuffled = tmp_path / "b.jsonl"
    shuffled.write_text("".join(json.dumps(row) + "\n" for row in ODD + ROWS))
    with pytest.raises(BadInput, match="embedded from other texts"):
        load_responses(shuffled, features=out)
    bare = tmp_path / "bare.jsonl"  # ratings alone: nothing to compare
    frame[["prompt", "rating"]].to_json(bare, orient="records", lines=True)
    assert len(load_responses(bare, features=out).rating) == 94
    card_path(out).write_text("{}")
    with pytest.raises(BadInput, match="not a card of embeddings"):
        load_responses(responses, features=out)


def test_what_is_not_finite_is_named(responses, llama, tmp_path, monkeypatch):
    encoder = TextEncoder.load(llama)
    texts = module.texts_of(open_table(pd.DataFrame(ROWS)), None, None)
    monkeypatch.setattr(encoder, "pool", lambda hidden, mask: hidden[:, 0].float() / 0.0)
    with pytest.raises(BadInput, match="embedding of row 0 is not finite"):
        module.embed_texts(texts, encoder, tmp_path / "e.safetensors", batch_size=8)


def test_normalised_embeddings_have_length_1(responses, minilm, tmp_path):
    out = tmp_path / "e.safetensors"
    short = tmp_path / "short.csv"
    pd.DataFrame(ROWS[:4]).to_csv(short, index=False)
    embed(short, "--model", minilm, "--out", out, "--normalise")
    found = load_file(out)["embeddings"]
    assert found.shape == (4, 384) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
