"""The checksum of a file is that of its bytes."""

import hashlib

from simbench.files.checksum import file_sha256


def test_it_is_the_sha256_of_the_bytes(tmp_path):
    empty, large = tmp_path / "empty", tmp_path / "large"
    empty.write_bytes(b"")
    large.write_bytes(b"reward\n" * 100_000)
    assert file_sha256(empty) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert file_sha256(large) == hashlib.sha256(b"reward\n" * 100_000).hexdigest()
