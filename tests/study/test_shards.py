"""A shard is what was written under its key, or it is no result."""

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from simbench.errors import BadInput
from simbench.study import shards as module
from simbench.study.shards import DamagedShard, Shards

PREDICTIONS = np.random.default_rng(0).random((4, 30)).astype(np.float32)


@pytest.fixture
def shards(tmp_path):
    found = Shards(tmp_path)
    facts = {"knows": "nothing", "weights": {"largest_weight": [1.0, 2.0, 3.0, 4.0]}}
    found.write("abc", PREDICTIONS, facts)
    return found


def test_few_replicates_are_the_first_of_many(shards):
    predictions, facts = shards.read("abc", 3)
    assert np.array_equal(predictions, PREDICTIONS[:3]) and predictions.dtype == float
    assert facts["weights"] == {"largest_weight": [1.0, 2.0, 3.0]}
    assert np.array_equal(shards.read("abc")[0], PREDICTIONS)
    assert shards.has("abc", 4) and not shards.has("abc", 5) and not shards.has("ab")
    assert shards.finished("abc", 4).replicates == 4
    assert shards.finished("abc", 5) is None and shards.finished("ab", 1) is None
    with pytest.raises(BadInput, match=r"abc.safetensors holds 4 of 5 replicates: run the study to its end"):
        shards.read("abc", 5)


def flipped(path):
    """One bit of the last prediction."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def other_facts(path):
    content = path.read_bytes()
    assert content.count(b"nothing") == 1
    path.write_bytes(content.replace(b"nothing", b"truth!!"))


def written(path, predictions, facts):
    """A shard whose checksum is right, as another program might write it."""
    said = json.dumps(facts)
    checksum = module._checksum(predictions, "abc", said)
    save_file({"predictions": predictions}, path, {"key": "abc", "facts": said, "sha256": checksum})


def not_a_number(path):
    wrong = PREDICTIONS.copy()
    wrong[2, 7] = np.nan
    written(path, wrong, {})


def other_form(path):
    written(path, PREDICTIONS, {"weights": {"largest_weight": 2.5}})


def no_matrix(path):
    written(path, PREDICTIONS[0], {})


def no_checksum(path):
    save_file(load_file(path), path, {"key": "abc", "facts": "{}"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flipped, "its content does not match its checksum"),
        (other_facts, "its content does not match its checksum"),
        (not_a_number, "no matrix of finite numbers"),
        (no_matrix, "no matrix of finite numbers"),
        (other_form, "its weights are not those of 4 replicates"),
        (no_checksum, "no 'sha256'"),
    ],
)
def test_a_damaged_shard_is_named_and_no_result(damage, said, shards, tmp_path):
    damage(tmp_path / "abc.safetensors")
    for read in (shards.read, shards.has, shards.find):
        with pytest.raises(
            BadInput, match=rf"abc.safetensors is damaged \(.*{said}.*\): run the same command"
        ):
            read("abc")
    assert shards.sound("abc") is None
    with pytest.warns(
        DamagedShard, match=rf"abc.safetensors is damaged \(.*{said}.*\): its cell is computed"
    ):
        assert shards.finished("abc", 1) is None


def test_a_shard_under_the_name_of_another_cell_is_no_result(shards, tmp_path):
    (tmp_path / "abc.safetensors").rename(tmp_path / "def.safetensors")
    with pytest.raises(BadInput, match=r"def.safetensors is damaged \(it is that of the cell abc\)"):
        shards.read("def")


def test_the_checksum_is_of_key_shape_facts_and_values():
    said = b"abc (4, 30) float32 {} " + PREDICTIONS.tobytes()
    assert module._checksum(PREDICTIONS, "abc", "{}") == hashlib.sha256(said).hexdigest()
