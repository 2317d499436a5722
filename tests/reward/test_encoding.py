"""How columns become features and context: every entry by hand, also of data that the fit did not see."""

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.encoding import ContextColumn


def test_numbers_are_standardised_by_the_mean_and_spread_of_the_log():
    column = ContextColumn.of(pd.Series([1, 2, 3, 6], name="age"))
    assert (column.name, column.kind, column.levels) == ("age", "number", ())
    assert column.mean == pytest.approx(3) and column.spread == pytest.approx(np.sqrt(14 / 4))
    own = column.encode(pd.Series([1, 2, 3, 6]))
    assert own.shape == (4, 1) and own.dtype == np.float32
    assert own[:, 0] == pytest.approx(np.array([-2, -1, 0, 3]) / np.sqrt(3.5))
    assert own.mean() == pytest.approx(0, abs=1e-7) and own.std() == pytest.approx(1)


def test_other_data_are_encoded_by_the_statistics_of_the_log():
    column = ContextColumn.of(pd.Series([0.0, 4.0], name="age"))
    assert column.encode(pd.Series([10, 12]))[:, 0] == pytest.approx([4, 5])


def test_a_constant_is_centred_and_not_divided_by_zero():
    column = ContextColumn.of(pd.Series([5, 5, 5], name="age"))
    assert column.spread == 1 and column.encode(pd.Series([5, 7]))[:, 0] == pytest.approx([0, 2])


def test_truth_values_are_numbers():
    column = ContextColumn.of(pd.Series([True, False, False, False], name="logged_in"))
    assert column.kind == "number"
    assert column.encode(pd.Series([True, False]))[:, 0] == pytest.approx(np.array([3, -1]) / np.sqrt(3))


def test_text_has_an_indicator_a_level_in_alphabetical_order_and_none_for_an_unseen_level():
    column = ContextColumn.of(pd.Series(["phone", "desk", "tv", "desk"], name="device"))
    assert (column.kind, column.levels) == ("levels", ("desk", "phone", "tv"))
    encoded = column.encode(pd.Series(["tv", "watch", "desk", "phone"]))
    assert encoded.dtype == np.float32
    assert encoded.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_fifty_levels_are_a_context_and_one_more_an_identifier():
    texts = pd.Series([f"d{number}" for number in range(50)], name="device")
    assert len(ContextColumn.of(texts).levels) == 50
    with pytest.raises(BadInput, match="51 different texts: at most 50 levels"):
        ContextColumn.of(pd.concat([texts, pd.Series(["one more"])]).rename("device"))
