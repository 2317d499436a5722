"""Where a file is written: at home, through a link, into a pipe; and nothing of a failure stays behind."""

import os
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.files.parquet import read_own_parquet
from simbench.files.write import write_json, write_whole


def test_a_path_may_begin_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Location("~/out").local == tmp_path / "out" == Location(Path("~/out")).local
    assert Location("a~/b").local == Path("a~/b")
    with pytest.raises(BadInput, match="there is no such home folder"):
        Location("~nobody-of-this-name/out")
    with pytest.raises(BadInput, match="NUL"):
        Location("a\0b")


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127])
def test_a_name_may_be_as_long_as_the_system_allows(name, tmp_path):
    write_whole(tmp_path / name, lambda to: to.write_text("value"))
    assert (tmp_path / name).read_text() == "value"
    for too_long in (f"{name}xx", f"{name}xx/y"):
        with pytest.raises(BadInput, match="File name too long"):
            write_whole(tmp_path / too_long, lambda to: to.write_text("value"))
    assert os.listdir(tmp_path) == [name]


def test_what_is_written_through_a_link_lies_where_it_leads(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, lambda to: to.write_text("new"))
    assert link.is_symlink() and target.read_text() == "new"


def test_a_pipe_stays_a_pipe(tmp_path):
    """So does a device: with /dev/null as a report, a machine would lose its own."""
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_whole(pipe, lambda to: to.write_text("value"))
    reader.join(10)
    assert pipe.is_fifo() and got == ["value"] and os.listdir(tmp_path) == ["pipe"]


def test_a_failure_leaves_no_folder_behind(tmp_path):
    def breaks(to):
        to.write_text("ne")
        raise OSError("the cable")

    (tmp_path / "here").mkdir()
    with pytest.raises(BadInput, match="the cable"):
        write_whole(tmp_path / "here" / "new" / "value", breaks)
    assert os.listdir(tmp_path / "here") == []
    write_whole(tmp_path / "here" / "new" / "value", lambda to: to.write_text("value"))
    assert (tmp_path / "here" / "new" / "value").read_text() == "value"


def test_a_name_that_looks_like_a_url_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_whole(Path("col:/table.parquet"), lambda to: pd.DataFrame({"a": [1]}).to_parquet(to))
    assert (tmp_path / "col:" / "table.parquet").is_file()


def test_json_is_utf_8_and_holds_any_name_of_a_file(tmp_path):
    path = tmp_path / "value.json"
    value = {"ρ": "é", "file": "latin\udce9"}
    write_json(path, value)
    assert "ρ".encode() in path.read_bytes()
    assert read_mapping(path, "write it again") == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1]", "it holds no JSON object"),
        (b'{"a": ', "Expecting value"),
        (b'{"a": "\xe9"}', "invalid"),
        (b'{"a": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b'{"a": ' + b"[" * 100_000, "recursion"),
    ],
)
def test_damaged_json_is_one_sentence(content, said, tmp_path):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=f"value.json is damaged \\(.*{said}.*\\): write it again.$"):
        read_mapping(path, "write it again")


def test_a_damaged_table_of_ours_is_one_sentence(tmp_path):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}).to_parquet(path)
    where, content = Location(path), path.read_bytes()
    assert list(read_own_parquet(where, "again", ["a", "b"], ["a"]).a) == [1.0, 2.0]
    with pytest.raises(BadInput, match="has no column 'c': is it another table"):
        read_own_parquet(where, "again", ["a", "c"])
    with pytest.raises(BadInput, match="holds no numbers in the column 'b'"):
        read_own_parquet(where, "again", (), ["b"])
    for damaged in (content[:-10], content[:20], b"", b"a,b\n1,2\n"):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"table.parquet cannot be read .*: again.$"):
            read_own_parquet(where, "again")


@pytest.mark.parametrize("other", [b"x", {"a": 1}, [1.0], pd.Timestamp("2024-01-01")])
def test_a_table_of_something_else_is_named(other, tmp_path):
    path = tmp_path / "table.parquet"
    good = pd.DataFrame({"a": [1.0, None], "b": ["x", None], "c": [True, False]})
    good.to_parquet(path)
    assert len(read_own_parquet(Location(path), "again")) == 2
    good.assign(d=[other, other]).to_parquet(path)
    with pytest.raises(BadInput, match="holds no numbers or texts in the column 'd': again"):
        read_own_parquet(Location(path), "again")


def test_a_table_that_is_not_what_it_says_of_itself_is_one_sentence(tmp_path):
    path = tmp_path / "table.parquet"
    said_to_be_texts = pa.Table.from_pandas(pd.DataFrame({"b": ["x", "y"]}))
    pq.write_table(said_to_be_texts.set_column(0, "b", pa.array([[1.0], [2.0]])), path)
    with pytest.raises(BadInput, match=r"(Unsupported cast.*\)|in the column 'b'): again\.$"):
        read_own_parquet(Location(path), "again")
