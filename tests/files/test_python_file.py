"""A user's Python file is run as a module, and one that fails leaves nothing behind."""

import sys

import pytest

from simbench.errors import BadInput
from simbench.files.python_file import module_of


def test_a_file_is_a_module_under_a_name_of_its_own(tmp_path):
    (tmp_path / "mine.py").write_text("value = __name__\n")
    module = module_of(tmp_path / "mine.py", "")
    assert module.value == "simbench_file_mine" and sys.modules[module.value] is module
    del sys.modules[module.value]


def test_a_file_that_fails_is_one_sentence_and_no_module(tmp_path):
    (tmp_path / "broken.py").write_text("raise KeyError('no such key')\n")
    with pytest.raises(BadInput, match=r"broken.py cannot be imported: KeyError: 'no such key'\.$"):
        module_of(tmp_path / "broken.py", "")
    assert "simbench_file_broken" not in sys.modules


def test_a_missing_file_says_what_is_wanted(tmp_path):
    with pytest.raises(BadInput, match=r"missing.py does not exist: give a file\.$"):
        module_of(tmp_path / "missing.py", "give a file")


def test_a_file_is_run_again_only_when_its_content_has_changed(tmp_path, capsys, monkeypatch):
    """Even within a second and at the same size, where compiled code beside it would pass for current."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "mine.py"
    path.write_text("print('ran')\nvalue = 1\n")
    first = module_of(path, "")
    assert module_of(path, "") is first and capsys.readouterr().out == "ran\n"
    path.write_text("print('ran')\nvalue = 2\n")
    assert module_of(path, "").value == 2 and capsys.readouterr().out == "ran\n"
    del sys.modules["simbench_file_mine"]
