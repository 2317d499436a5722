"""Results behind a URL: the same study, whole files, resume, and one sentence when something is wrong."""

import sys

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.write import write_json
from simbench.study.config import StudyConfig
from simbench.study.run import run
from simbench.study.shards import DamagedShard, Shards
from simbench.study.table import read_table
from simbench.worlds.presets import PRESETS

WORLD = PRESETS["exclusive"].changed(test_size=100)
STUDY = StudyConfig(
    worlds=(WORLD,), sizes=(100,), replicates=2, estimators=("sklearn:GaussianNB", "sklearn:BernoulliNB")
)


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


class Growing(MemoryFileSystem):
    """A file system on which readers see a file grow, and on which a connection may break."""

    protocol = "growing"
    store: dict = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    breaks = False
    seen: list = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.removeprefix("growing:"))

    def pipe_file(self, path, value, mode="overwrite", **options):
        self.seen.append(path)
        half = value[: len(value) // 2] if Growing.breaks else value
        super().pipe_file(path, half, **options)
        if Growing.breaks:
            raise ConnectionError("the connection broke")


@pytest.fixture
def growing(monkeypatch):
    fsspec.register_implementation("growing", Growing, clobber=True)
    monkeypatch.setattr(Growing, "seen", [])
    yield Growing
    Growing.breaks = False
    Growing.store.clear()


def test_a_study_behind_a_url_is_the_study_of_a_folder_and_resumes(memory, tmp_path):
    here = run(STUDY, tmp_path / "out")
    run(STUDY, "memory://bucket/out")
    same = {"check_exact": True}
    there = read_table("memory://bucket/out")
    pd.testing.assert_frame_equal(here.drop(columns="seconds"), there.drop(columns="seconds"), **same)
    tables = sorted(memory.ls("/bucket/out", detail=False))[:2]
    assert tables == ["/bucket/out/draws.parquet", "/bucket/out/results.parquet"]
    shards = memory.ls("/bucket/out/shards", detail=True)
    assert len(shards) == 2
    memory.rm(shards[0]["name"])
    run(STUDY, "memory://bucket/out")
    again = {info["name"]: info["created"] for info in memory.ls("/bucket/out/shards", detail=True)}
    assert len(again) == 2 and again[shards[1]["name"]] == shards[1]["created"]
    other = STUDY.model_copy(update={"seed": 1})
    with pytest.raises(BadInput, match="out holds a study with seed 0, and this one has seed 1"):
        run(other, "memory://bucket/out")
    memory.pipe("/bucket/other/file", b"")
    with pytest.raises(BadInput, match="exists and holds no study"):
        run(STUDY, "memory://bucket/other")


def test_a_file_url_is_a_folder(tmp_path):
    run(STUDY, f"file://{tmp_path}/out")
    assert len(list((tmp_path / "out" / "shards").iterdir())) == 2
    assert len(read_table(f"file://{tmp_path}/out")) == len(read_table(tmp_path / "out"))


def test_figures_are_read_from_and_written_to_a_url(memory):
    from simbench.cli.figure import FigureOptions, figure

    run(STUDY, "memory://bucket/out")
    figure(FigureOptions(name="bias-variance", folder="memory://bucket/out"))
    assert memory.cat("/bucket/out/bias-variance.png").startswith(b"\x89PNG")
    assert memory.cat("/bucket/out/bias-variance.pdf").startswith(b"%PDF")


def test_a_file_gets_its_name_when_it_is_whole(growing):
    place = Location("growing://host/deep/value.json")
    write_json(place, "old")
    growing.breaks = True
    with pytest.raises(BadInput, match=r"cannot write growing://.*ConnectionError: the connection broke"):
        write_json(place, "new value")
    growing.breaks = False
    assert place.read_text() == '"old"' and growing.seen[-1].endswith(".tmp")


def test_a_damaged_shard_behind_a_url_is_named_and_computed_again(memory):
    run(STUDY, "memory://bucket/out")
    shard = memory.ls("/bucket/out/shards", detail=False)[0]
    memory.pipe(shard, memory.cat(shard)[:100])
    with pytest.warns(DamagedShard, match=r"memory://bucket/out/shards/.*is damaged .*computed again"):
        run(STUDY, "memory://bucket/out")
    assert len(memory.cat(shard)) > 100


def test_what_cannot_be_used_is_one_sentence(monkeypatch, memory):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    fsspec.registry.pop("s3", None) if "s3" in fsspec.registry else None
    with pytest.raises(BadInput, match=r"package for 's3' is missing \(Install s3fs"):
        Location("s3://bucket/out")
    with pytest.raises(BadInput, match="Protocol not known: nowhere"):
        Location("nowhere://bucket")
    with pytest.raises(BadInput, match="finish the study first"):
        read_table("memory://nothing")
    with pytest.raises(BadInput, match=r"memory://nothing/x.safetensors cannot be read"):
        Shards(Location("memory://nothing")).read("x")
