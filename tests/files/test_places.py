"""A place is one thing on this disk and behind a URL: names, neighbours, fresh listings, whole files."""

import os
import re

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.files.write import write_whole


class Remembering(MemoryFileSystem):
    """A file system that lists a folder once, and says what it said until its cache is emptied."""

    protocol = "remembering"
    store: dict = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    known: dict = {}  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.removeprefix("remembering:"))

    def _once(self, question, path, **options):
        key = (question, path, *sorted(options.items()))
        if key not in self.known:
            try:
                self.known[key] = getattr(super(), question)(path, **options)
            except FileNotFoundError as error:
                self.known[key] = error
        if isinstance(self.known[key], Exception):
            raise self.known[key]
        return self.known[key]

    def ls(self, path, detail=True, **_):
        return self._once("ls", path, detail=detail)

    def exists(self, path, **_):
        return self._once("exists", path)

    def isfile(self, path):
        return self._once("isfile", path)

    def cat_file(self, path, **_):
        return self._once("cat_file", path)

    def invalidate_cache(self, path=None):
        self.known.clear()


class Bucket(MemoryFileSystem):
    """An object store: a put is atomic, there are no folders to make, and a listing may hold its own name."""

    protocol = ("s3", "s3a")
    store: dict = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    seen: list = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.removeprefix("s3:"))

    def ls(self, path, detail=True, **options):
        return [*reversed(super().ls(path, detail, **options)), path]

    def pipe_file(self, path, value, mode="overwrite", **options):
        self.seen.append(path)
        super().pipe_file(path, value, **options)

    def makedirs(self, path, exist_ok=False):
        raise PermissionError("no such thing as a folder")

    def mv(self, *_, **__):
        raise PermissionError("no such thing as a name")


@pytest.fixture(params=[Remembering, Bucket])
def system(request):
    kind = request.param
    name = kind.protocol if isinstance(kind.protocol, str) else kind.protocol[0]
    before = fsspec.registry.get(name)
    fsspec.register_implementation(name, kind, clobber=True)
    yield name
    kind.store.clear()
    kind.pseudo_dirs[:] = [""]
    kind.__dict__.get("known", kind.__dict__.get("seen")).clear()
    if before is not None:
        fsspec.register_implementation(name, before, clobber=True)


@pytest.mark.parametrize("system", [Remembering], indirect=True)
def test_what_another_process_writes_is_seen_although_listings_are_cached(system):
    folder, other = Location("remembering://host/shards"), Remembering.store
    file = folder / "a"
    assert folder.names() == [] and not file.exists() and not folder.exists()
    MemoryFileSystem.pipe_file(_like(other), "/host/shards/a", b"one")
    assert file.exists() and folder.exists() and folder.names() == ["a"]
    assert file.read_bytes() == b"one" and file.names() is None
    MemoryFileSystem.pipe_file(_like(other), "/host/shards/b", b"")
    MemoryFileSystem.pipe_file(_like(other), "/host/shards/a", b"two")
    assert folder.names() == ["a", "b"] and file.read_text() == "two"
    del other["/host/shards/a"]
    assert folder.names() == ["b"] and not file.exists()
    with pytest.raises(
        BadInput, match=r"remembering://host/shards/a cannot be read: FileNotFoundError: /host"
    ):
        file.read_bytes()


def _like(store):
    """The same files through a client of its own, with no cache: what another process has."""
    client = MemoryFileSystem(skip_instance_cache=True)
    client.store = store
    return client


@pytest.mark.parametrize("system", [Remembering], indirect=True)
def test_a_file_that_others_could_see_grow_is_written_beside_its_place_and_moved(system, monkeypatch):
    written, place = [], Location("remembering://host/deep/value")

    def pipe_file(self, path, value, **options):
        written.append(path)
        MemoryFileSystem.pipe_file(self, path, value, **options)

    monkeypatch.setattr(Remembering, "pipe_file", pipe_file)
    for content in ("old", "new"):
        write_whole(place, lambda to, text=content: to.write_text(text))
    assert Location("remembering://host/deep").names() == ["value"] and place.read_text() == "new"
    assert len(set(written)) == 2
    assert all(re.fullmatch(r"/host/deep/\.value\.[0-9a-f]{12}\.tmp", path) for path in written)


@pytest.mark.parametrize("system", [Bucket], indirect=True)
def test_an_object_store_is_written_by_one_put_and_its_folders_list_what_they_hold(system):
    place = Location("s3://bucket/study/")
    for name in ("c", "a", "b"):
        write_whole(place / "shards" / name, lambda to: to.write_bytes(b"content"))
    assert Bucket.seen == ["/bucket/study/shards/c", "/bucket/study/shards/a", "/bucket/study/shards/b"]
    assert (place / "shards").names() == ["a", "b", "c"] and (place / "shards" / "a").names() is None
    assert not place.is_private and place.local is None and place.name == "study"


def test_a_place_behind_a_url_keeps_its_url_and_its_file_system():
    place = Location("memory://bucket/study/")
    file = place / "shards" / "x.safetensors"
    assert [str(place), str(file)] == ["memory://bucket/study", "memory://bucket/study/shards/x.safetensors"]
    assert str(file.with_name("y")) == "memory://bucket/study/shards/y" and file.name == "x.safetensors"
    assert file.with_name("y").name == "y" and file.with_name("y").local is None
    copy = Location(file)
    assert str(copy) == str(file) and copy.local is None and copy.absolute() is copy
    try:
        write_whole(file.with_name("y"), lambda to: to.write_text("why"))
        assert (place / "shards" / "y").read_text() == "why" and (place / "shards").names() == ["y"]
        assert not file.exists() and place.is_private
    finally:
        fsspec.filesystem("memory").store.clear()
        fsspec.filesystem("memory").pseudo_dirs[:] = [""]


@pytest.mark.parametrize("prefix", ["", "file://", "local://"])
def test_a_place_on_this_disk_is_a_path(prefix, tmp_path):
    place = Location(f"{prefix}{tmp_path}/study")
    assert (
        place.local == tmp_path / "study" and str(place) == str(tmp_path / "study") and not place.is_private
    )
    assert place.names() == [] and not place.exists()
    for name in ("c", "a", "b"):
        (place / "deep" / name).write_whole(lambda to, name=name: to.write_text(name))
    inner = place / "deep"
    assert inner.names() == ["a", "b", "c"] and (inner / "a").names() is None and inner.exists()
    assert str(inner / "a") == str(tmp_path / "study/deep/a") == str((inner / "b").with_name("a"))
    assert (inner / "b").with_name("a").read_text() == "a" and (inner / "b").read_bytes() == b"b"
    with pytest.raises(BadInput, match=r"deep/d cannot be read: No such file or directory\."):
        (inner / "d").read_bytes()


def test_the_name_of_a_place_on_this_disk_is_that_of_its_path(tmp_path):
    assert str(Location(f"{tmp_path}/study/") / "a") == f"{tmp_path}/study/a"
    assert str(Location("study").with_name("a")) == "a"


def test_a_relative_place_becomes_absolute_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Location("out")
    fixed = place.absolute()
    monkeypatch.chdir("/")
    assert str(place) == "out" and str(fixed) == str(tmp_path / "out") and fixed.local == tmp_path / "out"


@pytest.mark.parametrize("where", ["folder", "memory://host"])
def test_a_failure_in_the_middle_leaves_the_old_file(where, tmp_path, monkeypatch):
    """The old content is there while the new one is written, and after half of it was."""
    monkeypatch.chdir(tmp_path)
    place = Location(f"{where}/value")
    place.write_whole(lambda to: to.write_text("old"))

    def breaks(to):
        to.write_text("ne")
        assert place.read_text() == "old"
        raise OSError("the cable")

    message = f"cannot write {re.escape(str(place))}: .*the cable. Nothing is half-written; "
    with pytest.raises(BadInput, match=message):
        place.write_whole(breaks)
    assert place.read_text() == "old" and Location(where).names() == ["value"]
    place.write_whole(lambda to: to.write_text("new"))
    assert place.read_text() == "new" and Location(where).names() == ["value"]
    fsspec.filesystem("memory").store.clear()


def test_two_who_write_one_file_at_once_do_not_meet(tmp_path):
    """The temporary files lie beside it, hidden, under names of their own; the last one to finish stands."""
    path, names = tmp_path / "value", []

    def outer(to):
        to.write_text("outer")
        write_whole(path, lambda inner: (inner.write_text("inner"), names.append(inner.name)))
        names.append(to.name)
        assert to.parent == tmp_path and path.read_text() == "inner" and len(os.listdir(tmp_path)) == 2

    write_whole(path, outer)
    assert path.read_text() == "outer" and os.listdir(tmp_path) == ["value"]
    assert len(set(names)) == 2 and all(re.fullmatch(r"\.value\.[0-9a-f]{12}\.tmp", name) for name in names)


@pytest.mark.parametrize("url", ["nowhere://a", "memory::nowhere://a", "nowhere::a"])
def test_an_unknown_protocol_is_named(url):
    with pytest.raises(
        BadInput, match=rf"^{url} cannot be used \(ValueError: Protocol not known: nowhere\)\.$"
    ):
        Location(url)


def test_a_path_that_only_looks_like_a_url_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Location(tmp_path / "a::b").local == tmp_path / "a::b"  # a Path is never a URL
    assert Location("a:b").local.name == "a:b"
