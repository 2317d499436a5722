"""A slow encoder that is stopped in the middle of a shard: what is minutes old is not computed again."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from simbench.reward.language import embed as module
from simbench.reward.language import unfinished
from simbench.reward.language.tokens import Tokens

SOURCE = {"file": "log.csv", "rows": 50, "text_column": "response", "prompt_column": None, "sha256": "0"}
TEXTS = module.Texts(["a" * (1 + 7 * row % 90) for row in range(50)], None, SOURCE)
BATCH_SECONDS = 25.0  # so three batches are over a minute


@dataclass
class Slow:
    """Stands in for an encoder: its clock jumps with every batch, and it stops after some."""

    stops_after: int = 100
    hidden_size: int = 2
    max_tokens: int = 100
    dtype: torch.dtype = torch.float32
    clock: float = 0.0
    batches: list[list[int]] = field(default_factory=list)

    def describe(self):
        return {"name": "slow"}

    def tokenise(self, responses, prompts):
        none = np.zeros(len(responses), dtype=bool)
        return Tokens([[len(text)] * len(text) for text in responses], none, none, none, none, none)

    def pad(self, ids, width):
        return [len(text) for text in ids]

    def embed(self, lengths):
        if len(self.batches) == self.stops_after:
            raise KeyboardInterrupt
        self.batches.append(lengths)
        self.clock += BATCH_SECONDS
        return torch.tensor([[length, -length] for length in lengths], dtype=torch.float32)


def embedded(encoder, out, monkeypatch, told=None):
    monkeypatch.setattr(unfinished.time, "monotonic", lambda: encoder.clock)
    observe = module.silent if told is None else lambda total, done: told.append((total, done)) or told.append
    try:
        module.embed_texts(TEXTS, encoder, out, batch_size=4, normalise=True, progress=observe)
    except KeyboardInterrupt:
        return None
    return load_file(out)["embeddings"]


def test_a_shard_that_was_stopped_goes_on_within_a_minute_of_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 30)
    whole = embedded(Slow(), tmp_path / "whole.safetensors", monkeypatch)
    out, first, second, told = tmp_path / "e.safetensors", Slow(stops_after=5), Slow(), []
    assert embedded(first, out, monkeypatch) is None
    parts = tmp_path / "e.safetensors.parts"
    assert [path.name for path in parts.glob("*.safetensors")] == ["begun-0000000000.safetensors"]
    found = embedded(second, out, monkeypatch, told)
    assert np.array_equal(found, whole) and not parts.exists()
    done = sum(map(len, first.batches[:3]))  # what came after is less than a minute old
    assert told[0] == (50, done) and sum(told[1:]) == 50 - done == sum(map(len, second.batches))


def test_unfinished_work_is_removed_when_its_shard_is_finished(tmp_path, monkeypatch):
    left, real = [], module._assemble
    monkeypatch.setattr(
        module, "_assemble", lambda parts, *a: left.extend(parts.iterdir()) or real(parts, *a)
    )
    embedded(Slow(), tmp_path / "e.safetensors", monkeypatch)
    assert sorted(path.name for path in left) == ["plan.json", "rows-0000000000.safetensors"]


def test_what_a_power_cut_damaged_is_computed_again(tmp_path, monkeypatch):
    whole = embedded(Slow(), tmp_path / "whole.safetensors", monkeypatch)
    out = tmp_path / "e.safetensors"
    embedded(Slow(stops_after=5), out, monkeypatch)
    (begun,) = (tmp_path / "e.safetensors.parts").glob("begun-*")
    begun.write_bytes(begun.read_bytes()[:-8])
    again = Slow()
    assert np.array_equal(embedded(again, out, monkeypatch), whole)
    assert sum(map(len, again.batches)) == 50


@pytest.mark.parametrize(("seconds", "writes"), [(59.0, 0), (60.0, 1)])
def test_a_file_is_written_when_a_minute_has_passed(seconds, writes, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(unfinished.time, "monotonic", lambda: clock[0])
    part = unfinished.Unfinished(tmp_path / "part", 3, 2)
    clock[0] = seconds
    part.add(np.array([2, 0]), np.ones((2, 2), dtype=np.float32))
    assert unfinished.rows_done(tmp_path / "part") == 2 * writes
    assert part.matrix.tolist() == [[1, 1], [0, 0], [1, 1]] and part.done.tolist() == [True, False, True]
    part.forget()
    assert not list(tmp_path.iterdir())
