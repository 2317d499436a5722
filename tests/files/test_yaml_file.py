"""Files of settings that people write: read as plain values, or refused in one sentence."""

import re

import pytest

from simbench.errors import BadInput
from simbench.files import yaml_file
from simbench.files.yaml_file import read_yaml


def test_plain_values_come_back(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: [1, 2.5, yes, ~, text]\nb: &b {c: 2024-01-31}\nd: {<<: *b, e: 1}\n")
    shared = {"c": "2024-01-31"}
    assert read_yaml(path) == {"a": [1, 2.5, True, None, "text"], "b": shared, "d": {**shared, "e": 1}}
    path.write_bytes("a: é".encode("utf-16"))
    assert read_yaml(path) == {"a": "é"}


LAUGHS = "".join(f"a{k}: &a{k} [{','.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is not valid YAML: expected the node content, but found '<stream end>', in line 1, col"),
        (b"a: 1\nb: 2\na: 3\n", "'a' stands a second time, in line 3"),
        (b"a: {b: 1, b: 2}", "'b' stands a second time, in line 1"),
        (b"a: \xe9\n", "character 4 is none of UTF-8"),
        (b"a: \0\n", "character 4 is none of UTF-8, or a control character"),
        (b"a: " + b"9" * 5000, "holds a value that cannot be read: Exceeds the limit"),
        (b"a: !!timestamp 2024-99-99", "holds a value that cannot be read: month must be in"),
        (b"a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (b"[" * 3000, "it is nested more than 50 deep"),
        (b"[" * 60 + b"]" * 60, "nests them 50 deep"),
        (b"a: &a [*a]", "nests them 50 deep"),
        (b"a0: &a0 [1]\n" + LAUGHS.encode(), "holds more than 100,000 values"),
    ],
)
def test_what_is_no_file_of_settings_is_one_sentence(content, message, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_of_megabytes_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml_file, "MOST_BYTES", 10)
    (tmp_path / "a.yaml").write_text("a: 12345678")
    with pytest.raises(BadInput, match="is it a file of settings"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
