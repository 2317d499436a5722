"""A context column that does not vary is encoded as zeros, and a later row is not blown up by it."""

import numpy as np
import pandas as pd
import pytest

from simbench.log.encoding import ContextColumn


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7, 3.3])
@pytest.mark.parametrize("n", [3, 7, 1003])
def test_a_constant_has_the_spread_1(value, n):
    """The computed deviation of n copies of .3 is 6e-17 on some processors, and 0 on others."""
    column = ContextColumn.of(pd.Series(np.full(n, value), name="activity"))
    assert column.spread == 1
    later = column.encode(pd.Series([value, value + 0.5]))
    assert later[:, 0] == pytest.approx([0, 0.5], abs=1e-6)
