"""Texts in several encodings: recognised by their mark, or named; anything else is one sentence."""

import codecs
import gzip

import pytest

from simbench.errors import BadInput
from simbench.files.tables.read import read_table
from simbench.files.tables.text import decoded

TEXT = "a,b\né,學\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_marks_of_byte_order_say_the_encoding(mark, encoding, tmp_path):
    content = mark + TEXT.encode(encoding)
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.jsonl").write_bytes(mark + '{"a": "é", "b": "學"}\n'.encode(encoding))
    for name in ("a.csv", "a.csv.gz", "a.jsonl"):
        frame = read_table(tmp_path / name).frame
        assert frame.to_dict("records") == [{"a": "é", "b": "學"}], name
    again = decoded(content, "a", None)
    assert again.encoded(again.utf8) == content  # so that it can be written as it was


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "UTF8", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_an_encoding_may_be_named(name):
    text = "a,b\né,1\n"
    assert decoded(text.encode(name), "a", name).utf8.decode() == text
    without_mark = text.encode({"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name))
    found = decoded(without_mark, "a", name)
    assert found.utf8.decode() == text and found.encoded(found.utf8) == without_mark


def test_in_the_encoding_that_is_named_the_bytes_of_a_mark_are_letters():
    assert decoded(codecs.BOM_UTF8 + b"a", "x", "latin-1").utf8.decode() == "ï»¿a"


def test_what_is_not_utf8_asks_for_its_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes("a,b\n1,2\ncafé,3\n".encode("latin-1"))
    with pytest.raises(
        BadInput,
        match=r"a\.csv, line 3: byte 0xe9 is not UTF-8 text: name its encoding, such as --encoding latin",
    ):
        read_table(tmp_path / "a.csv")
    assert read_table(tmp_path / "a.csv", encoding="latin-1").frame.a.tolist() == ["1", "café"]
    with pytest.raises(BadInput, match=r"line 3: byte 0xe9 is not ascii text: name another --encoding"):
        read_table(tmp_path / "a.csv", encoding="ascii")
    (tmp_path / "b.csv").write_bytes(codecs.BOM_UTF16_LE + b"a")
    with pytest.raises(BadInput, match="is not utf-16-le text: name another --encoding"):
        read_table(tmp_path / "b.csv")


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "", "a\0b"])
def test_an_encoding_that_there_is_not(name):
    if name:
        with pytest.raises(BadInput, match="there is no encoding"):
            decoded(b"a", "x", name)
    else:
        assert decoded(b"a", "x", name).encoding == "utf-8"


def test_typed_files_have_no_encoding(tmp_path):
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    for option in ({"encoding": "utf-8"}, {"separator": ","}):
        with pytest.raises(
            BadInput, match=r"a\.parquet is no text file: leave out --encoding and --separator"
        ):
            read_table(tmp_path / "a.parquet", **option)
    (tmp_path / "a.jsonl").write_text('{"a": 1}')
    with pytest.raises(BadInput, match="holds JSON, whose separators are fixed"):
        read_table(tmp_path / "a.jsonl", separator=";")


@pytest.mark.parametrize("name", ["a.txt", "a.xlsx", "a.parquet.gz", "a", "a.gz"])
def test_files_of_other_kinds_are_refused_by_name(name, tmp_path):
    (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(BadInput, match=r"must end in \.parquet, \.csv, \.tsv, \.jsonl"):
        read_table(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"a\.csv does not exist"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(BadInput, match="must be a file, a data frame or an Arrow table, got int"):
        read_table(3)
