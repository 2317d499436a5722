"""Results on disk: whole or not at all, and one sentence when the disk is full."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from simbench.cli import main
from simbench.errors import BadInput
from simbench.files.write import write_json, write_whole
from simbench.study.shards import Shards
from simbench.study.table import read_table

RUN = [
    "run",
    "--worlds",
    "1",
    "--size",
    "100",
    "--replicates",
    "2",
    "--estimators",
    "sklearn:GaussianNB,sklearn:BernoulliNB",
]
UNUSABLE = {
    errno.ENOSPC: "No space left on device",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EROFS: "Read-only file system",
    errno.EACCES: "Permission denied",
    errno.EIO: "Input/output error",
}


def fails(code):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    return fail


def files(folder):
    """Every file, the hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("code", UNUSABLE)
@pytest.mark.parametrize("step", ["mkdir", "write", "rename"])
def test_a_disk_that_cannot_be_written_leaves_the_old_file(step, code, tmp_path, monkeypatch):
    path = tmp_path / "deep" / "value.json"
    if step != "mkdir":
        write_json(path, "old")
    with monkeypatch.context() as broken:
        if step == "mkdir":
            broken.setattr(Path, "mkdir", fails(code))
        elif step == "write":
            broken.setattr(Path, "write_text", fails(code))
        else:
            broken.setattr(os, "replace", fails(code))
        with pytest.raises(BadInput, match=f"cannot write .*value.json: {UNUSABLE[code]}"):
            write_json(path, "new")
    assert files(tmp_path) == ([] if step == "mkdir" else ["deep/value.json"])
    assert step == "mkdir" or json.loads(path.read_text()) == "old"


def test_a_disk_that_fills_up_midway_leaves_no_half(tmp_path):
    """Half of the bytes are written before the error comes."""

    def write(to):
        to.write_bytes(b"half")
        fails(errno.ENOSPC)()

    with pytest.raises(BadInput, match="make room and run the same command again"):
        write_whole(tmp_path / "shard", write)
    assert files(tmp_path) == []


def test_an_error_that_is_not_the_disks_is_not_hidden(tmp_path):
    def write(to):
        to.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "shard", write)
    assert files(tmp_path) == []


def test_a_shard_is_read_back_and_a_truncated_one_is_named(tmp_path):
    shards = Shards(tmp_path / "shards")
    predictions = np.random.default_rng(0).random((3, 50))
    shards.write("abc", predictions, {"knows": "α"})
    read, facts = shards.read("abc")
    assert np.array_equal(read, predictions.astype(np.float32)) and read.dtype == float
    assert facts == {"knows": "α"} and shards.has("abc") and not shards.has("b")
    whole = shards.path("abc").read_bytes()
    for length in (0, 4, 60, len(whole) - 1):
        shards.path("abc").local.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"abc.safetensors is damaged .*: run the same command again"):
            shards.read("abc")


def command(*arguments):
    """Exit code of the command line, run here so that the disk can be broken."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def full_after(writes):
    """A disk with room for so many files: then renaming, the last step of each, fails."""
    left, replace = [writes], os.replace

    def rename(source, target):
        if left[0] == 0:
            fails(errno.ENOSPC)()
        left[0] -= 1
        replace(source, target)

    return rename


@pytest.mark.parametrize("room", range(5))
def test_a_full_disk_is_one_sentence_and_code_2_and_the_run_resumes(room, tmp_path, monkeypatch, capsys):
    """The files in turn: study.json, a shard a cell, results.parquet, draws.parquet."""
    out = tmp_path / "out"
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full_after(room))
        assert command(*RUN, "--out", out) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("simbench: cannot write ") and "No space left on device" in last
    assert last.endswith("make room and run the same command again.")
    there = files(tmp_path)
    assert len(there) == room and not any(name.endswith(".tmp") for name in there)
    assert not (out / "draws.parquet").exists() and (out / "study.json").exists() == (room > 0)
    before = {path: path.stat().st_mtime_ns for path in out.glob("shards/*")}
    assert command(*RUN, "--out", out) == 0
    assert before.items() <= {p: p.stat().st_mtime_ns for p in out.glob("shards/*")}.items()
    assert (read_table(out).status == "ok").all() and len(files(out)) == 5


def test_an_output_folder_that_cannot_be_made_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert command(*RUN, "--out", tmp_path / "file" / "out") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Not a directory" in said and "choose another folder" in said
    assert files(tmp_path) == ["file"]


@pytest.mark.parametrize("full", ["table", "figure"])
def test_parquet_and_pictures_are_whole_or_absent(full, tmp_path, monkeypatch, capsys):
    """The library's own writing fails, not only the rename."""
    import pyarrow.parquet
    from matplotlib.figure import Figure

    out = tmp_path / "out"
    if full == "table":
        monkeypatch.setattr(pyarrow.parquet, "write_table", fails(errno.ENOSPC))
    else:
        command(*RUN, "--out", out)
        monkeypatch.setattr(Figure, "savefig", fails(errno.ENOSPC))
    before = files(tmp_path)
    again = [*RUN, "--out"] if full == "table" else ["figure", "bias-variance"]
    assert command(*again, out) == 2
    assert "No space left on device" in capsys.readouterr().err.splitlines()[-1]
    after = [name for name in files(tmp_path) if "shards" not in name]
    assert after == (["out/study.json"] if full == "table" else [n for n in before if "shards" not in n])


def test_predictions_that_lie_transposed_in_memory_come_back_as_they_are(tmp_path):
    shards, predictions = Shards(tmp_path), np.arange(6.0).reshape(3, 2).T
    shards.write("key", predictions, {})
    assert np.array_equal(shards.read("key")[0], predictions)


def test_a_shard_keeps_float32_of_every_prediction_and_reads_float64(tmp_path):
    """The file itself, as the format's own library reads it, and what comes back."""
    shards, predictions = Shards(tmp_path / "shards"), np.array([[0.1, 1 / 3, 1e-12], [1.0, 0.7, 2.0**-20]])
    shards.write("key", predictions, {"count": 3, "words": ["ε", None]})
    assert files(tmp_path) == ["shards/key.safetensors"] and not shards.has("kex")
    (name, stored), *more = load_file(tmp_path / "shards" / "key.safetensors").items()
    assert name == "predictions" and not more and stored.dtype == np.float32 and stored.shape == (2, 3)
    read, facts = shards.read("key")
    assert read.dtype == np.float64 and facts == {"count": 3, "words": ["ε", None]}
    for found in (read, stored):
        assert found == pytest.approx(predictions, rel=2.0**-24, abs=0)
    shards.write("key", 1 - predictions, {})
    assert shards.read("key")[0] == pytest.approx(1 - predictions, rel=2.0**-24) and len(files(tmp_path)) == 1


def test_a_shard_without_facts_is_damaged(tmp_path):
    shards = Shards(tmp_path)
    for tensors, facts in (({"predictions": np.zeros(2)}, None), ({"other": np.zeros(2)}, {"facts": "{}"})):
        save_file(tensors, tmp_path / "key.safetensors", facts)
        with pytest.raises(BadInput, match=r"key.safetensors is damaged \(no '.*'\): run the same"):
            shards.read("key")


def test_json_is_written_as_people_read_it(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"name": "α", "rows": [1]})
    assert (tmp_path / "a" / "b.json").read_text() == '{\n  "name": "α",\n  "rows": [\n    1\n  ]\n}'


@pytest.mark.parametrize("code", UNUSABLE)
def test_half_a_file_never_takes_the_old_ones_place(code, tmp_path):
    """Room is made where there is none; elsewhere another folder is chosen."""
    (tmp_path / "value").write_text("old")

    def write(to):
        to.write_text("ne")
        fails(code)()

    is_full = code in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room and run the same command again" if is_full else "choose another folder"
    with pytest.raises(BadInput, match=rf"value: {UNUSABLE[code]}. Nothing is half-written; {remedy}\.$"):
        write_whole(tmp_path / "value", write)
    assert files(tmp_path) == ["value"] and (tmp_path / "value").read_text() == "old"
