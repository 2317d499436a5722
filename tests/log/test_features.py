"""Features are found by the names of their columns, in the order of the numbers; nothing else is one."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.features import columns_of, features_of, matching_columns, matrix_of
from simbench.log.source import open_table

FRAME = pd.DataFrame(
    {
        "emb_10": [1.0, 2.0],
        "emb_name": ["a", "b"],
        "emb_2": [3, 4],
        "my_emb_3": [7.0, 7.0],
        "emb_0": [5.0, 6.0],
        "emb_1_norm": [8, 8],
        "clicked": [0, 1],
    }
)
TABLE = open_table(FRAME)


def test_the_prefix_is_followed_by_a_number_and_they_stand_in_its_order():
    found = features_of("col:emb_", TABLE, {})
    assert found.columns == ("emb_0", "emb_2", "emb_10")
    assert found.matrix.tolist() == [[5, 3, 1], [6, 4, 2]] and found.matrix.dtype == np.float32
    assert found.left_out == ("emb_name", "emb_1_norm")
    with pytest.raises(
        BadInput, match=r"has no columns of numbers named 'emb' and a number.*it has 'emb_10', 'em"
    ):
        features_of("col:emb", TABLE, {})
    with pytest.raises(BadInput, match="named 'x' and a number, nor a column 'x' of lists: give the part"):
        features_of("col:x", TABLE, {})
    numbered = open_table(pd.DataFrame({"0": [1.0], "1": [2.0], "a": [3.0]}))
    found = features_of("col:", numbered, {})
    assert found.columns == ("0", "1") and found.left_out == ()
    with pytest.raises(BadInput, match="columns 'e1' and 'e01' have the same number"):
        columns_of("e", open_table(pd.DataFrame({"e1": [1], "e01": [1]})))


def test_a_column_with_another_role_is_no_feature():
    table = open_table(pd.DataFrame({"c0": [1.0, 2.0], "c1": [0, 1], "clicked": [0, 1]}))
    assert features_of("col:c", table, {"clicked": "the feedback"}).left_out == ("clicked",)
    with pytest.raises(BadInput, match="column 'c1' is the feedback and cannot be a feature: rename it"):
        features_of("col:c", table, {"c1": "the feedback"})


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("-", "must be a finite number, got '-'"),
        (None, "is missing"),
        (np.inf, "must be a finite number, got inf"),
    ],
)
def test_a_cell_that_is_no_number_is_named_with_its_row(cell, said):
    table = open_table(FRAME.assign(emb_2=pd.Series([1, cell], dtype=object)))
    with pytest.raises(BadInput, match=f"row 1, column 'emb_2': a feature {said}"):
        features_of("col:emb_", table, {})


def test_what_overflows_32_bits_is_not_finite():
    with pytest.raises(
        BadInput, match=r"row 1, column 'emb_0': a feature must be a finite number, got 1e\+300"
    ):
        features_of("col:emb_", open_table(FRAME.assign(emb_0=[1, 1e300])), {})


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 2.5], [3, 4]],
        [np.array([1, 2.5]), np.array([3, 4], np.float32)],
        [(1, Decimal("2.5")), (3, 4)],
        ["[1, 2.5]", "[3, 4]"],
    ],
)
def test_a_column_of_lists_holds_the_features(rows):
    table = open_table(pd.DataFrame({"embedding": pd.Series(rows, dtype=object), "embedding_2": [0, 0]}))
    found = features_of("col:embedding", table, {})
    assert found.columns == ("embedding",) and found.matrix.tolist() == [[1, 2.5], [3, 4]]
    assert found.matrix.dtype == np.float32 and found.left_out == ("embedding_2",)
    assert matching_columns(("embedding",), None, table) == ("embedding",)
    two = open_table(table.frame.assign(v1=table.frame.embedding, v2=table.frame.embedding))  # two encoders
    assert features_of("col:v2", two, {}).columns == matching_columns(("v2",), None, two) == ("v2",)
    assert matching_columns(("v2",), "col:v1", two) == ("v1",)
    with pytest.raises(BadInput, match="lacks 1 column that the model was fitted on: 'vector'"):
        matching_columns(("vector",), None, table)
    assert matrix_of(("embedding",), table).tolist() == [[1, 2.5], [3, 4]]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ([1], "has 1 numbers, the first row 2"),
        (None, "must be a list of numbers, got None"),
        ([[1, 2], [3, 4]], "must be a list of numbers"),
        (["a", "b"], "must be a list of numbers"),
        ([], r"must be a list of numbers, got \[\]"),
        ([1, None], "number 2 of the list is missing or not finite"),
        ([np.inf, 1], "number 1 of the list is missing or not finite"),
        ([1e300, 1], "number 1 of the list is missing or not finite"),
        ("text", "must be a list of numbers, got 'text'"),
    ],
)
def test_a_list_that_is_none_is_named_with_its_row(second, said):
    table = open_table(pd.DataFrame({"v": pd.Series([[1, 2], second], dtype=object)}))
    with pytest.raises(BadInput, match=f"row 1, column 'v': {said}"):
        features_of("col:v", table, {})


def test_columns_are_matched_by_the_names_of_the_fit():
    known = ("emb_0", "emb_2", "emb_10")
    assert matching_columns(known, None, TABLE) == known
    reversed_table = open_table(FRAME[FRAME.columns[::-1]])
    assert matrix_of(matching_columns(known, None, reversed_table), reversed_table).tolist() == [
        *([5, 3, 1], [6, 4, 2]),
    ]
    assert matching_columns(known, "col:emb_", TABLE) == known
    renamed = open_table(FRAME.rename(columns=lambda name: name.replace("emb_", "e")))
    assert matching_columns(known, "col:e", renamed) == ("e0", "e2", "e10")


def test_missing_and_further_columns_are_named():
    with pytest.raises(BadInput, match="lacks 1 column that the model was fitted on: 'emb_1'"):
        matching_columns(("emb_0", "emb_1"), None, TABLE)
    with pytest.raises(BadInput, match=r"lacks 8 columns .*: 'v0', 'v1', 'v2', 'v3', 'v4' and 3 more"):
        matching_columns([f"v{number}" for number in range(8)], None, TABLE)
    with pytest.raises(BadInput, match="has 1 column of features that the model was not fitted on: 'emb_10'"):
        matching_columns(("emb_0", "emb_2"), None, TABLE)


def test_features_of_a_file_have_one_row_a_response(tmp_path):
    np.save(tmp_path / "e.npy", np.array([[1, 2], [3, 4]], np.float32))
    found = features_of(str(tmp_path / "e.npy"), TABLE, {})
    assert found.matrix.tolist() == [[1, 2], [3, 4]] and found.columns is None
    with pytest.raises(BadInput, match="one row each"):
        features_of(str(tmp_path / "e.npy"), open_table(FRAME.iloc[:1]), {})
