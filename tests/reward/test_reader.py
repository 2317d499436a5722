"""From columns to a log: every field holds what its column says, and nothing else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.log.source import open_table
from simbench.log.user_log import LogColumns, log_of_table, read_log

FRAME = pd.DataFrame(
    {
        "f_0": [1.0, 2.0, 3.0, 4.0],
        "clicked": [0, 1, 1, 0],
        "copied": ["no", "Yes", " TRUE ", "false"],
        "again": [1.0, 0.0, 0.0, 1.0],
        "prompt": ["q2", "q1", "q2", "q3"],
        "alpha": [0.5, 0.25, 1.0, 0.75],
        "label": [np.nan, 1.0, 0.0, np.nan],
        "words": ["", "yes", "no", "  "],
        "active": [False, True, False, True],
        "age": [1.0, 3.0, 1.0, 3.0],
        "device": ["tv", "desk", "tv", "tv"],
    }
)
BARE = LogColumns("clicked", "col:f_")
FEATURES = np.arange(8, dtype=np.float32).reshape(4, 2)


def read(**columns):
    return log_of_table(open_table(FRAME), replace(BARE, **columns), FEATURES)[0]


def test_a_bare_log_has_features_feedback_and_a_prompt_a_row():
    log = read()
    assert np.shares_memory(log.features, FEATURES)
    assert log.feedback.tolist() == [[0, 1, 1, 0]] and log.feedback.dtype == np.float32
    assert log.groups.tolist() == [0, 1, 2, 3] and log.groups.dtype == np.int64
    for name in ("context", "propensity", "class_prior", "labels", "misclick", "action_rate"):
        assert getattr(log, name) is None, name
    assert log.always_acts is None and log.signals is None and log.negative_signals == ()


def test_equal_prompts_are_one_group():
    assert read(groups="prompt").groups.tolist() == [0, 1, 0, 2]


def test_context_columns_stand_side_by_side_in_the_order_given():
    log, context = log_of_table(open_table(FRAME), replace(BARE, context=("device", "age")), FEATURES)
    assert log.context.tolist() == [[0, 1, -1], [1, 0, 1], [0, 1, -1], [0, 1, 1]]
    assert [column.name for column in context] == ["device", "age"]


def test_numbers_that_are_told_go_where_they_belong():
    log = read(class_prior=0.6, misclick=0.1, action_rate=0.3)
    assert (log.class_prior, log.misclick, log.action_rate) == (0.6, 0.1, 0.3)


def test_columns_that_are_told_go_where_they_belong():
    log = read(propensity="alpha", labels="label", always_acts="active")
    assert log.propensity == pytest.approx([0.5, 0.25, 1.0, 0.75]) and log.propensity.dtype == np.float64
    assert np.array_equal(log.labels, [[np.nan, 1, 0, np.nan]], equal_nan=True)
    assert log.always_acts.tolist() == [False, True, False, True] and log.always_acts.dtype == bool


def test_labels_may_be_words_and_empty_where_there_is_none():
    assert np.array_equal(read(labels="words").labels, [[np.nan, 1, 0, np.nan]], equal_nan=True)


def test_signals_begin_with_the_feedback_and_the_negative_ones_are_numbered():
    log = read(signals=("copied", "again"), negative_signals=("again",))
    assert log.signals.tolist() == [[[0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]]
    assert log.negative_signals == (2,)
    other = read(signals=("again", "copied"), negative_signals=("again",))
    assert other.negative_signals == (1,) and other.signals[0, 1].tolist() == [1, 0, 0, 1]
    with pytest.raises(BadInput, match="'clicked' is not among the signals"):
        read(signals=("copied",), negative_signals=("clicked",))


@pytest.mark.parametrize(
    ("word", "click"),
    [
        *((word, 1) for word in ("1", "1.0", "Yes", "TRUE", " true ")),
        *((w, 0) for w in ("0", "0.0", "NO", "False")),
    ],
)
def test_clicks_are_words_or_numbers(word, click):
    frame = FRAME.assign(clicked=[word, "1", "0", "1"])
    assert log_of_table(open_table(frame), BARE, FEATURES)[0].feedback[0].tolist() == [click, 1, 0, 1]


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        ({"clicked": [0, 1, "maybe", 0]}, {}, "row 2, column 'clicked': must be 0 or 1, got 'maybe'"),
        ({"clicked": [0, 1, 2, 3]}, {}, "row 2, column 'clicked': must be 0 or 1, got"),
        (
            {"prompt": ["a", None, "b", None]},
            {"groups": "prompt"},
            "row 1, column 'prompt': the value is",
        ),
        (
            {"alpha": [0.5, 0.5, "high", "low"]},
            {"propensity": "alpha"},
            "row 2, column 'alpha': must be a finite number",
        ),
        (
            {"alpha": [0.5, np.inf, 1, 1]},
            {"propensity": "alpha"},
            "row 1, column 'alpha': must be a finite number",
        ),
        (
            {"label": [np.nan, 1, 0.5, 0]},
            {"labels": "label"},
            "row 2, column 'label': must be 0 or",
        ),
        ({}, {"context": ("devise",)}, "no column 'devise'. Did you mean 'device'"),
        ({}, {"context": ("xyzxyz",)}, "It has: f_0, clicked"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(change, columns, message):
    with pytest.raises(BadInput, match=message):
        log_of_table(open_table(FRAME.assign(**change)), replace(BARE, **columns), FEATURES)


def test_a_file_is_read_with_its_features_standardised(tmp_path):
    FRAME.to_parquet(tmp_path / "log.parquet")
    found = read_log(tmp_path / "log.parquet", replace(BARE, context=("age",)))
    spread = np.sqrt(30 / 4 - 2.5**2)
    assert found.standard.mean == pytest.approx([2.5]) and found.standard.scale == pytest.approx([1 / spread])
    assert found.log.features[:, 0] == pytest.approx((np.array([1, 2, 3, 4]) - 2.5) / spread)
    assert found.table.frame.equals(FRAME) and [column.name for column in found.context] == ["age"]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({}, []),
        ({"groups": "prompt"}, []),
        ({"context": ("age",)}, ["context"]),
        ({"propensity": "alpha"}, ["propensity"]),
        ({"labels": "label"}, ["labels"]),
        ({"always_acts": "active"}, ["always acts"]),
        ({"signals": ("copied",)}, ["signals"]),
        ({"class_prior": 0.5}, ["class prior"]),
        ({"misclick": 0.0}, ["misclick"]),
        ({"action_rate": 0.3}, ["action rate"]),
        (
            {"action_rate": 0.3, "labels": "label", "context": ("age",), "class_prior": 0.5},
            ["context", "labels", "class prior", "action rate"],
        ),
    ],
)
def test_what_was_told_is_said_in_words(known, told):
    assert replace(BARE, **known).told() == told
