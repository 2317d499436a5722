"""A table with one more column: everything else is what the file held, byte for byte where it can be."""

import codecs
import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simbench.errors import BadInput
from simbench.files.tables.read import read_table
from simbench.files.tables.write import check_output, write_frame, write_with_column

ADDED = np.array([0.1, 1e-12, 2 / 3])


def added(tmp_path, content, name="a.csv", out=None, column="reward", **options):
    """What stands in the file that is written."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    to = tmp_path / (out or f"out-{name}")
    write_with_column(read_table(tmp_path / name, **options), column, ADDED, to)
    return to.read_bytes()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "end"])
def test_cells_of_separated_text_keep_their_bytes(end, last, tmp_path):
    rows = ["id,v,t", '00000,1e5,"NA"', ',"",None', f'9007199254740993,"x{end}y, ""z""",-0.10']
    lines = [rows[0], rows[1], "", rows[2], rows[3]]
    expected = [f"{rows[0]},reward", f"{rows[1]},0.1", "", f"{rows[2]},1e-12", f"{rows[3]},{2 / 3!r}"]
    after = end if last else ""
    assert added(tmp_path, end.join(lines) + after) == (end.join(expected) + after).encode()


@pytest.mark.parametrize(
    ("mark", "encoding"), [(b"", "latin-1"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF8, "utf-8")]
)
def test_the_encoding_and_the_separator_stay(mark, encoding, tmp_path):
    content = mark + "é;b\n1;2\n3;4\n5;6\n".encode(encoding)
    expected = mark + f"é;b;reward\n1;2;0.1\n3;4;1e-12\n5;6;{2 / 3!r}\n".encode(encoding)
    assert added(tmp_path, content, encoding=None if mark else encoding) == expected


def test_a_compressed_file_stays_compressed(tmp_path):
    content = gzip.compress(b"a\n1\n2\n3\n")
    assert gzip.decompress(added(tmp_path, content, "a.csv.gz")).startswith(b"a,reward\n1,0.1\n")


def test_marks_that_are_letters_are_written_anew_with_the_same_cells(tmp_path):
    content = 'a,b\n5" screen,1\n6",\n7",3\n'
    (tmp_path / "out.csv").write_bytes(added(tmp_path, content))
    frame = read_table(tmp_path / "out.csv").frame
    assert frame.a.tolist() == ['5" screen', '6"', '7"'] and frame.reward.tolist()[:2] == ["0.1", "1e-12"]
    assert frame.b.isna().tolist() == [False, True, False]


def test_lines_of_json_keep_what_they_say(tmp_path):
    lines = ['{"id": 9007199254740993, "z": 1e5, "a": "é \\u00e9"}', "", ' {"id":null } ', "{ }"]
    found = added(tmp_path, "\r\n".join(lines), "a.jsonl").decode().split("\r\n")
    assert found == [
        '{"id": 9007199254740993, "z": 1e5, "a": "é \\u00e9", "reward": 0.1}',
        "",
        ' {"id":null, "reward": 1e-12} ',
        f'{{"reward": {2 / 3!r}}}',
    ]
    assert [json.loads(line) for line in found if line.strip()]


def test_parquet_keeps_types_index_and_time_zones(tmp_path):
    frame = pd.DataFrame(
        {
            "id": pd.array([9007199254740993, None, 1], dtype="Int64"),
            "when": pd.to_datetime(["2026-01-31 23:30"] * 3).tz_localize("Asia/Tokyo"),
            "kind": pd.Categorical(["a", "b", "a"]),
            "half": np.array([1, 2, 3], np.float16),
            "v": [[1.0], [2.0], [3.0]],
        },
        index=pd.Index(["x", "y", "z"], name="response_id"),
    )
    frame.to_parquet(tmp_path / "a.parquet")
    write_with_column(read_table(tmp_path / "a.parquet"), "reward", ADDED, tmp_path / "b.parquet")
    found, before = pd.read_parquet(tmp_path / "b.parquet"), pd.read_parquet(tmp_path / "a.parquet")
    assert found.columns.tolist() == [*frame.columns, "reward"]
    assert found.reward.tolist() == ADDED.tolist()
    pd.testing.assert_frame_equal(found.drop(columns="reward"), before)
    assert [field for field in pq.read_schema(tmp_path / "b.parquet") if field.name != "reward"] == list(
        pq.read_schema(tmp_path / "a.parquet")
    )


def test_from_text_to_a_typed_file_cells_are_numbers_only_if_written_exactly_so(tmp_path):
    content = (
        "i,j,f,g,code,e,t,big\n1,,0.5,1,00123,1e5,NA,9007199254740993\n2,7,1e-12,0.25,2,1.0,x,1\n"
        "-3,8,,2,3,1.50,,2\n"
    )
    (tmp_path / "b.parquet").write_bytes(added(tmp_path, content, out="out.parquet"))
    schema = pq.read_schema(tmp_path / "b.parquet")
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    text = {"string", "large_string"}
    assert (kinds["i"], kinds["j"], kinds["f"], kinds["g"], kinds["big"]) == (
        *("int64", "int64", "double", "double", "int64"),
    )
    assert {kinds["code"], kinds["e"], kinds["t"]} <= text
    table = pq.read_table(tmp_path / "b.parquet").to_pydict()
    assert table["code"] == ["00123", "2", "3"] and table["e"] == ["1e5", "1.0", "1.50"]
    assert table["t"] == ["NA", "x", None] and table["big"][0] == 9007199254740993
    rows = [json.loads(line) for line in added(tmp_path, content, out="out.jsonl").decode().splitlines()]
    assert rows[0] == {
        **{"i": 1, "j": None, "f": 0.5, "g": 1.0, "code": "00123", "e": "1e5", "t": "NA"},
        **{"big": 9007199254740993, "reward": 0.1},
    }


def test_from_a_typed_file_to_text(tmp_path):
    table = pa.table(
        {
            "id": pa.array([9007199254740993, None, 1]),
            "t": pa.array(["NA", None, "é"]),
            "x": pa.array([1e-12, 0.1, None]),
            "half": pa.array([0.1, 0.5, 1], pa.float32()),
            "ok": pa.array([True, False, None]),
            "v": pa.array([[1.5, None], [], None]),
            "when": pa.array([pd.Timestamp("2026-01-31 23:30", tz="Asia/Tokyo")] * 3),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    opened = read_table(tmp_path / "a.parquet")
    write_with_column(opened, "reward", ADDED, tmp_path / "b.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    moment = "2026-01-31T23:30:00+09:00"
    assert rows[0] == {
        **{"id": 9007199254740993, "t": "NA", "x": 1e-12, "half": 0.1, "ok": True},
        **{"v": [1.5, None], "when": moment, "reward": 0.1},
    }
    assert rows[2] == {
        **{"id": 1, "t": "é", "x": None, "half": 1.0, "ok": None, "v": None},
        **{"when": moment, "reward": 2 / 3},
    }
    write_with_column(opened, "reward", ADDED, tmp_path / "b.tsv")
    lines = (tmp_path / "b.tsv").read_text().splitlines()
    assert lines[0].split("\t") == [*table.schema.names, "reward"]
    assert lines[1].split("\t") == [
        *("9007199254740993", "NA", "1e-12", "0.1", "True", "[1.5, null]"),
        *(moment, "0.1"),
    ]
    assert lines[2].split("\t")[:5] == ["", "", "0.1", "0.5", "False"]


def test_separators_follow_the_name_of_the_file(tmp_path):
    assert added(tmp_path, "a,b\n1,2\n3,4\n5,6\n", out="o.tsv").startswith(b"a\tb\treward\n1\t2\t0.1\n")
    assert added(tmp_path, "a\tb\n1\t2\n3\t4\n5\t6\n", "a.tsv", "o.csv").startswith(b"a,b,reward\n")
    assert added(tmp_path, "a;b\n1;2\n3;4\n5;6\n", out="o.csv").startswith(b"a;b;reward\n")


def test_what_a_file_cannot_hold_is_one_sentence_and_leaves_nothing(tmp_path):
    content = '{"a": 1}\n{"a": "x"}\n{"a": [2]}\n'
    with pytest.raises(BadInput, match=r"out\.parquet cannot hold these values .*: write \.jsonl"):
        added(tmp_path, content, "a.jsonl", "out.parquet")
    with pytest.raises(BadInput, match=r"out\.csv: the column 'é學' cannot be written in ascii"):
        added(tmp_path, b"a\n1\n2\n3\n", out="out.csv", encoding="ascii", column="é學")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.jsonl"]


def test_a_new_table_is_named_only_when_all_is_written(tmp_path):
    def refuse():
        raise BadInput("no")

    for name in ("a.csv", "a.parquet"):
        with pytest.raises(BadInput, match="no"):
            write_frame(pd.DataFrame({"a": [1]}), tmp_path / name, before=refuse)
    assert not list(tmp_path.iterdir())


def test_the_input_is_never_written_over(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "a.csv")
    table = read_table(tmp_path / "a.csv")
    for out in ("a.csv", "link.csv", "hard.csv"):
        with pytest.raises(BadInput, match="is what the responses are read from: choose another --out"):
            check_output(table, "reward", tmp_path / out, "--column")
    pd.DataFrame({"a": [1], "b": [2]}).to_parquet(tmp_path / "parts", partition_cols=["a"])
    folder = read_table(tmp_path / "parts")
    with pytest.raises(BadInput, match="is what the responses are read from"):
        check_output(folder, "reward", tmp_path / "parts" / "more.parquet", "--column")
    check_output(folder, "reward", tmp_path / "parts.parquet", "--column")
    with pytest.raises(BadInput, match="has a column 'a' already: name the new one with --column"):
        check_output(table, "a", tmp_path / "b.csv", "--column")
    with pytest.raises(BadInput, match="--column must be a name, got ' '"):
        check_output(table, " ", tmp_path / "b.csv", "--column")
    with pytest.raises(BadInput, match="must end in"):
        check_output(table, "reward", tmp_path / "b.txt", "--column")
