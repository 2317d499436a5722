"""JSON lines: whole numbers stay whole, missing keys are missing, and broken lines are named."""

import math

import pytest

from simbench.errors import BadInput
from simbench.files.tables.read import read_table


def read(tmp_path, *lines):
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8", newline="")
    return read_table(tmp_path / "a.jsonl")


def test_values_are_what_the_file_says(tmp_path):
    big = 9007199254740993
    frame = read(
        tmp_path,
        f'{{"i": {big}, "j": {big}, "s": "00123", "b": true, "f": 1.5, "m": {big}, "h": {10**30}}}',
        '{"i": 1, "s": "NA", "b": false, "f": 2, "m": 0.5, "h": 1}',
        '{"i": -3, "s": "1e5", "b": true, "j": null, "f": null, "m": 1, "h": 2}',
    ).frame
    assert frame.i.dtype == "int64" and frame.i.tolist() == [big, 1, -3]
    assert frame.j.dtype == "Int64" and frame.j[0] == big and frame.j.isna().tolist() == [False, True, True]
    assert frame.s.tolist() == ["00123", "NA", "1e5"]
    assert frame.b.dtype == bool
    assert frame.f[:2].tolist() == [1.5, 2] and math.isnan(frame.f[2]) and frame.f.dtype == float
    assert frame.m.tolist() == [big, 0.5, 1]  # a float would lose a digit
    assert frame.h.tolist() == [10**30, 1, 2]


def test_nested_values_stay_as_they_are(tmp_path):
    frame = read(tmp_path, '{"a": [1, {"x": null}], "b": {"k": "v"}}', '{"a": [], "b": null}').frame
    assert frame.a.tolist() == [[1, {"x": None}], []] and frame.b.tolist() == [{"k": "v"}, None]


def test_a_row_is_told_with_its_line(tmp_path):
    table = read(tmp_path, '{"a": 1}', "", '{"a": 2}')
    assert table.place(0, "a") == f"{tmp_path / 'a.jsonl'}, row 0 (line 1), column 'a'"
    assert table.place(1, "a") == f"{tmp_path / 'a.jsonl'}, row 1 (line 3), column 'a'"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be a JSON object, one response a line"),
        ('"a"', "must be a JSON object"),
        ("[" * 100_000, "the JSON is nested too deeply"),
        ('{"a": ' + "[" * 100_000, "the JSON is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "holds a number with too many digits"),
        (r'{"a": "cut \ud83d"}', r"key 'a': holds half of a character, \\ud83d: take it out"),
        (r'{"\udc00": 1}', "holds half of a character"),
    ],
)
def test_a_broken_line_is_named(line, said, tmp_path):
    with pytest.raises(BadInput, match=rf"a\.jsonl, line 3.*{said}") as caught:
        read(tmp_path, '{"a": 1}', "", line)
    str(caught.value).encode()  # can be printed


def test_whole_characters_are_read_however_they_are_written(tmp_path):
    assert read(tmp_path, r'{"a": "😀 \\ud83d"}').frame.a[0] == "😀 \\ud83d"


def test_a_file_without_columns_holds_no_responses(tmp_path):
    for lines in (["", " "], ["{}", "{}"]):
        with pytest.raises(BadInput, match="holds no responses"):
            read(tmp_path, *lines)
