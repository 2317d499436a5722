"""Figures can be drawn of one replicate, which has no interval, and of two, whose intervals are odd."""

import warnings

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.study.figures import find, names

WITH_INTERVALS = [name for name in names() if name not in ("groups", "throughput")]


def drawn_of(name, table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return find(name).module.draw(table)


def notes(figure) -> str:
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


@pytest.mark.parametrize("name", WITH_INTERVALS)
def test_an_interval_that_does_not_hold_its_value_kills_nothing(name, table_of):
    table = table_of(name)
    value = table["value" if "value" in table else "bias"]
    drawn_of(name, table.assign(low=value + 0.01))
    drawn_of(name, table.assign(high=value - 0.01))


@pytest.mark.parametrize("name", WITH_INTERVALS)
def test_one_replicate_has_no_interval_and_is_drawn_without(name, table_of):
    table = table_of(name).assign(low=np.nan, high=np.nan)
    if "n_replicates" in table:
        table = table.assign(n_replicates=1)
    figure = drawn_of(name, table)
    written = " ".join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert "nan" not in written.lower()
    assert "1 replicates" not in notes(figure)
    if "n_replicates" in table:
        assert "1 replicate" in notes(figure) and "no intervals" in notes(figure)


@pytest.mark.parametrize("name", ["plane", "bias-variance"])
def test_what_one_replicate_cannot_show_is_said_in_a_sentence(name, table_of):
    table = table_of(name)
    table.loc[table.metric.isin(["bias2", "variance"]), ["value", "low", "high"]] = np.nan
    with pytest.raises(BadInput, match="--replicates") as found:
        drawn_of(name, table.assign(n_replicates=1))
    assert str(found.value).count(". ") == 0


@pytest.mark.parametrize("name", WITH_INTERVALS)
def test_a_row_that_is_not_a_number_is_left_out(name, table_of):
    table = table_of(name)
    if "value" not in table:
        pytest.skip("a table of verdicts")
    last = table.estimator == table.estimator.unique()[-1]
    table.loc[last, ["value", "low", "high"]] = np.nan
    drawn_of(name, table)
