"""A study that ended lists its files with their hashes: whatever is changed or taken away is found."""

import json
import shutil

import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.study.config import StudyConfig, cells_of
from simbench.study.hashes import FILE, _own, verified_hashes
from simbench.study.run import run

SMALL = StudyConfig(
    sizes=(60,),
    replicates=2,
    estimators=("oracle", "naive", "implicitrm-prior"),
    grant=(),
    parameters={name: {"epochs": 2} for name in ("oracle", "naive")},
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("hashed") / "out"
    run(SMALL, out)
    return out


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def test_a_study_lists_its_files_and_its_cells_when_it_ends(finished):
    found = verified_hashes(finished)
    assert [cell["key"] for cell in found["cells"]] == [cell.key for cell in cells_of(SMALL)]
    assert found["cells"][0]["parameters"] == {"epochs": 2} and found["cells"][0]["code"] == {}
    shards = {f"shards/{path.name}" for path in (finished / "shards").iterdir()}
    assert len(shards) == 2  # implicitrm-prior was not told the prior
    assert found["files"].keys() == {"study.json", "results.parquet", "draws.parquet"} | shards


def test_what_other_commands_leave_in_the_folder_changes_nothing(folder):
    (folder / "report.html").write_text("a page")
    assert verified_hashes(folder)


@pytest.mark.parametrize("name", ["study.json", "draws.parquet", "shard"])
def test_a_file_that_was_changed_or_is_missing_is_found(folder, name):
    path = next((folder / "shards").iterdir()) if name == "shard" else folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"{path.name} is not the file that hashes.json lists"):
        verified_hashes(folder)
    path.unlink()
    with pytest.raises(BadInput, match=rf"{path.name} is missing"):
        verified_hashes(folder)


def test_a_better_number_in_the_table_is_found(folder):
    path = folder / "results.parquet"
    table = pd.read_parquet(path)
    table.loc[table.metric == "mse", "value"] /= 2
    table.to_parquet(path)
    with pytest.raises(BadInput, match=r"results\.parquet is not the file"):
        verified_hashes(folder)


def test_hashes_that_were_edited_are_found(folder):
    said = json.loads((folder / FILE).read_text())
    said["cells"][1]["estimator"] = "mine"
    (folder / FILE).write_text(json.dumps(said))
    with pytest.raises(BadInput, match="does not match its own hash"):
        verified_hashes(folder)


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"files": 1, "cells": [], "sha256": "", "simbench": ""}'])
def test_hashes_that_are_none_are_one_sentence(folder, text):
    (folder / FILE).write_text(text)
    with pytest.raises(BadInput, match=r"hashes\.json is damaged"):
        verified_hashes(folder)
    (folder / FILE).unlink()
    with pytest.raises(BadInput, match=r"holds no hashes\.json"):
        verified_hashes(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "shards/../../secret"])
def test_no_other_file_is_read(folder, name):
    """Not even one whose hash is right."""
    said = json.loads((folder / FILE).read_text())
    said["files"][name] = "0" * 64
    del said["sha256"]
    (folder / FILE).write_text(json.dumps({**said, "sha256": _own(said)}))
    with pytest.raises(BadInput, match="as no study does"):
        verified_hashes(folder)


def test_a_table_that_is_not_listed_is_found(folder):
    said = json.loads((folder / FILE).read_text())
    del said["files"]["draws.parquet"], said["sha256"]
    (folder / FILE).write_text(json.dumps({**said, "sha256": _own(said)}))
    with pytest.raises(BadInput, match="does not list every table"):
        verified_hashes(folder)


def test_the_same_command_again_mends_them_and_computes_nothing(folder):
    before = (folder / FILE).read_bytes()
    (folder / FILE).unlink()
    shards = {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    run(SMALL, folder)
    assert (folder / FILE).read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()} == shards


def test_behind_a_url_it_is_the_same(finished):
    where = Location("memory://hashed")
    run(SMALL, where)
    there = verified_hashes(where)
    assert there["cells"] == verified_hashes(finished)["cells"]
    (where / "draws.parquet").write_whole(lambda path: path.write_bytes(b"another"))
    with pytest.raises(BadInput, match="so it was changed"):
        verified_hashes(where)
    where.remove()
