"""Fingerprints of files, folders and URLs: equal as long as the content is, and no longer."""

import hashlib
import os
from pathlib import Path

import fsspec
import pytest

from simbench.errors import BadInput
from simbench.files import fingerprint as module
from simbench.files.fingerprint import fingerprint, of_file


def test_a_file_is_its_sha256_whatever_its_name(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"content")
    expected = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    assert fingerprint(tmp_path / "a") == fingerprint(str(tmp_path / "b")) == expected
    assert fingerprint(f"file://{tmp_path / 'a'}") == expected


def test_a_file_that_is_replaced_at_the_same_size_and_time_shows(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before, times = fingerprint(path), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint(path) != before


def test_a_file_that_has_settled_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    found = path.stat()
    calls, later = [], max(found.st_mtime_ns, found.st_ctime_ns) / 1e9 + 1.1
    monkeypatch.setattr(module, "file_sha256", lambda path: calls.append(path) or "abc")
    monkeypatch.setattr(module.time, "time", lambda: later - 0.2)
    assert of_file(path) == of_file(path) == "abc" and len(calls) == 2  # too young to be remembered
    monkeypatch.setattr(module.time, "time", lambda: later)
    assert of_file(path) == of_file(path) == "abc" and len(calls) == 3
    os.utime(path, ns=(0, 0))
    assert of_file(path) == "abc" and len(calls) == 4


def test_a_folder_is_the_names_and_contents_of_its_files(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    before = fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "c.pyc").write_bytes(b"left by Python")
    assert fingerprint(tmp_path) == before
    (tmp_path / "deep" / "a").write_bytes(b"two")
    changed = fingerprint(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")
    assert len({before, changed, fingerprint(tmp_path)}) == 3


def test_what_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"nothing cannot be read: No such file or directory\.$"):
        fingerprint(tmp_path / "nothing")
    with pytest.raises(BadInput, match=r"memory://nowhere/at-all cannot be read \(FileNotFoundError"):
        fingerprint("memory://nowhere/at-all")


def test_a_url_is_what_its_backend_tells(monkeypatch):
    system = fsspec.filesystem("memory")
    system.pipe_file("/some/file", b"content")
    found = fingerprint("memory://some/file")
    assert found.startswith("stat:7 bytes, changed 2") and fingerprint("memory://some/file") == found
    monkeypatch.setattr(type(system), "info", lambda self, path: {"size": 7, "ETag": '"abc"'})
    assert fingerprint("memory://some/file") == "etag:abc"
    monkeypatch.setattr(type(system), "info", lambda self, path: {"size": 7})
    assert fingerprint("memory://some/file") == "stat:7 bytes, changed unknown"


def test_a_relative_path_is_of_the_working_folder_at_that_moment(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    found = []
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        found.append(fingerprint(Path("a")))
    assert found[0] != found[1]
