"""Files, folders, URLs and frames that know their types: every value stays what it is."""

from datetime import date
from decimal import Decimal

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from simbench.errors import BadInput
from simbench.files.tables.read import read_table
from simbench.files.tables.write import write_with_column

BIG = 9007199254740993
TYPED = pa.table(
    {
        "whole": pa.array([BIG, None, 3]),
        "small": pa.array([1, None, 255], pa.uint8()),
        "decimal": pa.array([Decimal("1.10"), Decimal("2.25"), None]),
        "half": pa.array(np.array([0.5, 1, 2], np.float16)),
        "word": pa.array(["NA", None, "00123"], pa.large_string()),
        "coded": pa.array(["b", "a", "b"]).dictionary_encode(),
        "number": pa.array([7, 8, 7]).dictionary_encode(),
        "vector": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
        "list": pa.array([[1], [2, 3], None]),
        "when": pa.array([pd.Timestamp("2026-01-31 23:30", tz="Asia/Tokyo")] * 3),
        "day": pa.array([date(2026, 1, 31)] * 3),
        "turns": pa.array([[{"role": "user", "content": "q"}]] * 3),
        "nothing": pa.nulls(3),
    }
)


def check_types(frame):
    assert frame.whole.dtype == "Int64" and frame.whole[0] == BIG and frame.whole.isna()[1]
    assert frame.small.dtype == "UInt8" and frame.small[2] == 255
    assert frame.decimal[:2].tolist() == [Decimal("1.10"), Decimal("2.25")]
    assert frame.half.dtype == np.float16 and frame.half.tolist() == [0.5, 1, 2]
    assert frame.word[0] == "NA" and frame.word[2] == "00123" and frame.word.isna()[1]
    assert frame.coded.tolist() == ["b", "a", "b"] and frame.number.dtype == "int64"
    assert [list(vector) for vector in frame.vector] == [[1, 2], [3, 4], [5, 6]]
    assert list(frame.list[1]) == [2, 3] and frame.list[2] is None
    assert str(frame.when[0]) == "2026-01-31 23:30:00+09:00" and frame.day[0] == date(2026, 1, 31)
    assert list(frame.turns[0]) == [{"role": "user", "content": "q"}]
    assert frame.nothing.isna().all()


def test_types_of_parquet_feather_and_arrow(tmp_path):
    pq.write_table(TYPED, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(TYPED, tmp_path / "a.feather")
    for source in (tmp_path / "a.parquet", str(tmp_path / "a.feather"), TYPED):
        table = read_table(source)
        check_types(table.frame)
        assert table.is_typed and table.name == ("the table" if source is TYPED else str(source))


def test_a_frame_of_another_library_is_read_by_its_arrow_stream():
    class Polars:
        def __arrow_c_stream__(self, requested_schema=None):
            return TYPED.__arrow_c_stream__(requested_schema)

    check_types(read_table(Polars()).frame)


@pytest.mark.skipif(not hasattr(pa, "string_view"), reason="this pyarrow has no views")
def test_a_frame_of_polars_holds_views_of_texts():
    views = pa.array(["x", "y"], pa.string_view())
    of_polars = pa.table({"a": pa.DictionaryArray.from_arrays([0, None], views), "b": views})
    frame = read_table(of_polars).frame
    assert frame.a[0] == "x" and frame.a.isna()[1] and frame.b.tolist() == ["x", "y"]

    class Older:
        def to_pandas(self):
            return pd.DataFrame({"a": [1]})

    assert read_table(Older()).frame.a.tolist() == [1]


def test_a_frame_may_have_any_index_and_numbers_as_names():
    frame = pd.DataFrame({0: [1.0, 2.0], 1: [3.0, 4.0]}, index=pd.Index(["p", "q"], name="prompt"))
    table = read_table(frame)
    assert list(table.frame) == ["prompt", "0", "1"] and table.frame.prompt.tolist() == ["p", "q"]
    assert table.place(1, "0") == "the table, row 1, column '0'"
    unnamed = read_table(pd.DataFrame({"a": [1, 2]}, index=[7, 9]))
    assert list(unnamed.frame) == ["a"] and unnamed.frame.index.tolist() == [0, 1]
    ordered = pd.Categorical(["no", "yes"], categories=["yes", "no"], ordered=True)
    assert read_table(pd.DataFrame({"a": ordered})).frame.a.tolist() == ["no", "yes"]
    coded = read_table(pd.DataFrame({"a": pd.Categorical([2, 1, None])})).frame.a
    assert coded[:2].tolist() == [2, 1] and coded.isna().tolist() == [False, False, True]
    with pytest.raises(BadInput, match="an index and a column of the name 'a'"):
        read_table(pd.DataFrame({"a": [1]}, index=pd.Index([1], name="a")))
    with pytest.raises(BadInput, match="the table has two columns of the name '1'"):
        read_table(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_an_index_of_pandas_is_a_column(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="prompt"))
    frame.to_parquet(tmp_path / "a.parquet")
    frame.rename_axis(None).to_parquet(tmp_path / "b.parquet")
    assert read_table(tmp_path / "a.parquet").frame.prompt.tolist() == ["p", "q"]
    unnamed = read_table(tmp_path / "b.parquet")
    assert unnamed.columns == ["a"] and len(unnamed.frame.columns) == 2  # kept, and not listed


def test_folders_of_parquet_files_are_one_table(tmp_path):
    frame = pd.DataFrame({"region": ["EU", "NA", "EU"], "id": [1, 2, 3]})
    frame.to_parquet(tmp_path / "parts", partition_cols=["region"])
    (tmp_path / "parts" / "_SUCCESS").touch()
    found = read_table(tmp_path / "parts").frame
    assert found.sort_values("id").region.tolist() == ["EU", "NA", "EU"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="is a folder without parquet files"):
        read_table(tmp_path / "empty")
    (tmp_path / "parts" / "region=EU" / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="cannot be read as a folder of parquet files"):
        read_table(tmp_path / "parts")


def test_urls_are_read_like_files(tmp_path):
    system = fsspec.filesystem("memory")
    pq.write_table(TYPED, tmp_path / "a.parquet")
    system.pipe("/tables/a.parquet", (tmp_path / "a.parquet").read_bytes())
    system.pipe("/tables/a.csv", b"a,b\n001,2\n")
    system.pipe("/tables/parts/x=1/a.parquet", (tmp_path / "a.parquet").read_bytes())
    try:
        check_types(read_table("memory://tables/a.parquet").frame)
        table = read_table("memory://tables/a.csv")
        assert table.frame.a.tolist() == ["001"] and table.place(0) == "memory://tables/a.csv, row 0 (line 2)"
        assert read_table("memory://tables/parts").frame.x.tolist() == [1, 1, 1]
        with pytest.raises(BadInput, match=r"memory://tables/b\.csv does not exist"):
            read_table("memory://tables/b.csv")
    finally:
        system.rm("/tables", recursive=True)


def test_the_same_content_has_the_same_hash(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "v": [[1.0], [2.0]]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(a=[1, 3]).to_parquet(tmp_path / "b.parquet")
    pa_table = pa.Table.from_pandas(frame)
    sources = [tmp_path / "a.parquet", frame, pa_table]
    for source in sources:
        assert read_table(source).sha256 == read_table(source).sha256 and len(read_table(source).sha256) == 64
    assert read_table(tmp_path / "b.parquet").sha256 != read_table(tmp_path / "a.parquet").sha256
    assert read_table(frame.assign(a=[1, 3])).sha256 != read_table(frame).sha256
    bare = pa_table.replace_schema_metadata(None)  # what pandas notes there names its version
    assert read_table(bare).sha256 == read_table(pa_table).sha256
    mixed = pd.DataFrame({"a": [1, "x"]})
    assert read_table(mixed).sha256 != read_table(mixed.assign(a=[1, "y"])).sha256


def test_a_damaged_column_is_named_when_it_is_read_or_written(tmp_path):
    letters = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
    )
    table = read_table(pa.table({"good": [1, 2], "bad": letters}))
    assert table.column("good").tolist() == [1, 2]
    with pytest.raises(BadInput, match="the table, column 'bad' cannot be read: "):
        table.column("bad")
    with pytest.raises(BadInput, match="the table, column 'bad' cannot be read: "):
        write_with_column(table, "reward", np.zeros(2), tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_damaged_file_is_one_sentence(cut, tmp_path):
    pq.write_table(TYPED, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(TYPED, tmp_path / "a.feather")
    for name in ("a.parquet", "a.feather"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:cut])
        with pytest.raises(BadInput, match=f"{name} cannot be read: .*; write it again") as caught:
            read_table(tmp_path / name)
        assert "\n" not in str(caught.value)
