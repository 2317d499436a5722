"""The role of a column decides how its cells are read; what cannot be read so is named with its row."""

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.columns import (
    as_numbers,
    clicks,
    context_values,
    identifiers,
    labels,
    numbers,
    probabilities,
)
from simbench.log.source import open_table


def table_of(*cells, name="x"):
    return open_table(pd.DataFrame({name: pd.Series(cells, dtype=object)}))


def text_of(tmp_path, *cells, name="x"):
    (tmp_path / "a.csv").write_text("\n".join([f"{name},other", *(f"{cell},1" for cell in cells)]) + "\n")
    return open_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "yes", ["1", "1.0", "1.00", "t", "T", "true", " Yes ", "y", 1, 1.0, True, Decimal(1)]
)
@pytest.mark.parametrize("no", ["0", "0.00", "f", "False", "no", "N", 0, 0.0, False, np.int8(0)])
def test_clicks_are_words_or_numbers(yes, no):
    found = clicks(table_of(no, yes, no), "x")
    assert found.tolist() == [0, 1, 0] and found.dtype == np.float32


@pytest.mark.parametrize("wrong", ["maybe", "2", 2, 0.5, "nan", "1_0", [1], b"1", "on"])
def test_what_is_no_click_is_named(wrong):
    with pytest.raises(BadInput, match=r"the table, row 2, column 'x': must be 0 or 1, got "):
        clicks(table_of(1, 0, wrong), "x")
    with pytest.raises(BadInput, match="row 1, column 'x': the value is missing"):
        clicks(table_of(1, None, wrong), "x")


def test_a_long_value_is_shown_in_short():
    with pytest.raises(BadInput) as caught:
        clicks(table_of("z" * 5000), "x")
    assert len(str(caught.value)) < 150


def test_labels_are_empty_where_there_is_none(tmp_path):
    expected = [1, np.nan, 0, np.nan]
    assert np.array_equal(labels(table_of("yes", None, 0, "  "), "x"), expected, equal_nan=True)
    assert np.array_equal(labels(text_of(tmp_path, "1.00", "", "f", ""), "x"), expected, equal_nan=True)
    nullable = open_table(pd.DataFrame({"x": pd.array([1, None, 0, None], dtype="Int64")}))
    assert np.array_equal(labels(nullable, "x"), expected, equal_nan=True)


def test_a_wrong_label_is_in_its_own_row(tmp_path):
    """Rows without a label count."""
    table = text_of(tmp_path, *[""] * 100, *["0"] * 356, "2")
    with pytest.raises(BadInput, match=r"a\.csv, row 456 \(line 458\), column 'x': must be 0 or 1, got '2'"):
        labels(table, "x")


def test_numbers_of_every_type_are_float64(tmp_path):
    cells = ["1", "-2.5", "1e5", "+3", " 4 "]
    assert numbers(text_of(tmp_path, *cells), "x").tolist() == [1, -2.5, 1e5, 3, 4]
    assert numbers(table_of(Decimal("1.5"), 2, "3", True), "x").tolist() == [1.5, 2, 3, 1]
    for kind in ("float16", "float32", "Int64", "UInt8", "boolean", "bool"):
        frame = pd.DataFrame({"x": pd.array([1, 0], dtype=kind)})
        found = numbers(open_table(frame), "x")
        assert found.tolist() == [1, 0] and found.dtype == np.float64
    precise = "0.1234567890123456789"
    assert numbers(text_of(tmp_path, precise), "x")[0] == float(precise)


@pytest.mark.parametrize(
    "wrong", ["-", "1,5", "1_000", "inf", "nan", "1e999", [1], b"1", datetime(2026, 1, 1)]
)
def test_what_is_no_number_is_named(wrong):
    with pytest.raises(BadInput, match="row 1, column 'x': must be a finite number, got "):
        numbers(table_of(1, wrong), "x")
    assert not np.isfinite(as_numbers(pd.Series([wrong], dtype=object))[0])


@pytest.mark.parametrize("wrong", [0, -0.1, 1.01, 1e-300, 1e-39])
def test_probabilities_do_not_vanish_in_32_bits(wrong):
    assert probabilities(table_of(1, 0.5, 1e-37), "x").tolist() == [1, 0.5, 1e-37]
    with pytest.raises(BadInput, match=r"row 1, column 'x': must lie in \(0, 1\], and not vanish"):
        probabilities(table_of(1, wrong), "x")


@pytest.mark.parametrize(
    "cells", [["00", "0", "00", "NA"], [9007199254740993, 9007199254740992, 9007199254740993, 1]]
)
def test_identifiers_are_equal_where_the_cells_are(cells, tmp_path):
    for table in (table_of(*cells), text_of(tmp_path, *cells)):
        found = identifiers(table, "x")
        assert found.tolist() == [0, 1, 0, 2] and found.dtype == np.int64


def test_identifiers_may_be_dates_and_are_never_lists():
    assert identifiers(table_of(date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 1)), "x").tolist() == [
        0,
        1,
        0,
    ]
    with pytest.raises(BadInput, match="row 1, column 'x': the value is missing"):
        identifiers(table_of("a", None), "x")
    with pytest.raises(BadInput, match="row 1, column 'x': must be a text, or chat messages"):
        identifiers(table_of("a", [1, 2]), "x")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "-3", ".5", "0"], "number"),
        (["1e-05", "2", "1E+20"], "number"),
        (["True", "False"], "number"),
        (["00123", "2"], "levels"),
        (["1e5", "2"], "levels"),
        (["NA", "EU"], "levels"),
        (["1", "None"], "levels"),
        (["nan", "1"], "levels"),
        (["1,5", "2"], "levels"),
        (["١", "1"], "levels"),
    ],
)
def test_a_context_of_text_is_of_numbers_if_all_cells_are_written_so(cells, kind, tmp_path):
    table = text_of(tmp_path, *[f'"{cell}"' for cell in cells])
    values = context_values(table, "x")
    assert pd.api.types.is_numeric_dtype(values) == (kind == "number") and values.name == "x"
    if kind == "levels":
        assert values.tolist() == cells
    typed = context_values(table_of(*cells), "x")  # a file that knows types says that these are texts
    assert typed.tolist() == cells


def test_a_context_can_be_read_otherwise(tmp_path):
    table = text_of(tmp_path, "1", "2", "1")
    assert context_values(table, "x:levels").tolist() == ["1", "2", "1"]
    assert context_values(table, "x:levels").name == "x:levels"
    assert context_values(table_of("1", "2"), "x:number").tolist() == [1, 2]
    with pytest.raises(BadInput, match="row 1, column 'x': must be a finite number, got 'b'"):
        context_values(table_of("1", "b"), "x:number")
    decimals = context_values(table_of(Decimal("1.5"), Decimal(2)), "x")
    assert decimals.tolist() == [1.5, 2] and pd.api.types.is_numeric_dtype(decimals)


def test_empty_cells_are_a_level_on_request(tmp_path):
    table = text_of(tmp_path, "EU", "", "NA")
    with pytest.raises(BadInput, match=r"row 1 \(line 3\), column 'x': the value is missing"):
        context_values(table, "x")
    assert context_values(table, "x:missing").tolist() == ["EU", "(missing)", "NA"]
    assert context_values(table_of(1, None), "x:missing").tolist() == ["1", "(missing)"]


def test_a_timestamp_is_read_as_hour_or_weekday(tmp_path):
    moments = ["2026-01-31T23:30:00+09:00", "2026-02-01 00:05", "2026-02-02T07:00:00Z"]
    hours, days = ["23", "00", "07"], ["Saturday", "Sunday", "Monday"]
    zoned = pd.to_datetime(["2026-01-31 23:30", "2026-02-01 00:05", "2026-02-02 07:00"])
    frames = [pd.DataFrame({"x": zoned}), pd.DataFrame({"x": zoned.tz_localize("Asia/Tokyo")})]
    for table in (table_of(*moments), text_of(tmp_path, *moments), *map(open_table, frames)):
        assert context_values(table, "x:hour").tolist() == hours
        assert context_values(table, "x:weekday").tolist() == days
    for wrong in ("yesterday", 1769900000, "31.01.2026"):
        with pytest.raises(
            BadInput, match="row 1, column 'x': must be a timestamp such as 2026-01-31 14:30:00"
        ):
            context_values(table_of("2026-01-31", wrong), "x:hour")


def test_a_name_with_a_colon_is_a_name_where_there_is_such_a_column():
    table = table_of("a", "b", name="x:hour")
    assert context_values(table, "x:hour").tolist() == ["a", "b"]
    with pytest.raises(BadInput, match="has no column 'x:minute'"):
        context_values(table_of("a"), "x:minute")
    with pytest.raises(BadInput, match="has no column 'y'"):
        context_values(table_of("a"), "y:hour")
