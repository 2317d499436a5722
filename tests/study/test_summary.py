"""The main table as words, in Markdown and in LaTeX."""

import math

import pandas as pd
import pytest

from simbench.study.config import StudyConfig
from simbench.study.summary import COLUMNS, caption, main_table, number, to_latex, to_markdown

NAN = math.nan


def rows(estimator, knows, **metrics):
    """Rows of the long table."""
    own = {"estimator": estimator, "knows": knows, "status": "ok", "reason": "", "verdict": ""}
    return [
        {**own, "metric": metric, "value": value, "low": low, "high": high, "verdict": verdict}
        for metric, (value, low, high, verdict) in metrics.items()
    ]


@pytest.fixture
def table():
    failed = {"status": "failed", "reason": "ValueError: a|b\nc", "metric": "", "value": NAN}
    long = [
        *rows(
            "my_own",
            "propensity (estimated 500)",
            bias2=(-0.00021, -0.0003, 0.0001, ""),
            variance=(0.0131, 0.012, 0.0142, ""),
            mse=(1.5, NAN, NAN, ""),
            distance2=(0.0013, 0.0003, 0.0028, "undecided"),
        ),
        *rows("bpr", "nothing", auroc=(0.7, 0.6, 0.8, "")),
        *rows("alone", "nothing", bias2=(0.5, 0.4, 0.6, "")),
        {"estimator": "worse", "knows": "nothing", "low": NAN, "high": NAN, "verdict": "", **failed},
    ]
    return main_table(pd.DataFrame(long))


def test_a_row_for_every_estimator_and_what_it_was_told(table):
    assert tuple(table.columns) == COLUMNS
    assert table.to_numpy().tolist() == [
        [
            *("my_own", "propensity (estimated 500)", "-.0002 [-.0003, .0001]", ".0131 [.0120, .0142]"),
            *("1.50", ".0013 [.0003, .0028]", "undecided"),
        ],
        ["bpr", "nothing", "–", "–", "–", "–", "ranks only"],
        ["alone", "nothing", ".5000 [.4000, .6000]", "–", "–", "–", "no oracle"],
        ["worse", "nothing", "", "", "", "", "failed: ValueError: a|b\nc"],
    ]


def test_markdown_has_a_line_for_every_row(table):
    head, rule, first, *_, last = to_markdown(table).splitlines()
    assert head == "| estimator | told | bias² | variance | MSE | distance² | verdict |"
    assert rule == "| --- | --- | ---: | ---: | ---: | ---: | --- |"
    assert first.startswith("| my_own | propensity (estimated 500) | -.0002 [-.0003, .0001] |")
    assert last == r"| worse | nothing |  |  |  |  | failed: ValueError: a\|b c |"


def test_latex_is_a_float_whose_letters_are_escaped(table):
    text = to_latex(table, "my_world, bias level 1", caption(StudyConfig()))
    lines = text.splitlines()
    assert lines[0] == r"\begin{table}" and lines[-1] == r"\end{table}"
    start = r"\caption{my\_world, bias level 1. [low, high]: 95\% intervals over replicates."
    assert lines[2].startswith(start)
    assert lines[3:6] == [
        r"\begin{tabular}{llrrrrl}",
        r"\toprule",
        r"estimator & told & bias$^2$ & variance & MSE & distance$^2$ & verdict \\",
    ]
    row = next(line for line in lines if line.startswith(r"my\_own"))
    assert row == (
        r"my\_own & propensity (estimated 500) & $-$.0002 [$-$.0003, .0001] & .0131 [.0120, .0142] & 1.50 & "
        r".0013 [.0003, .0028] & undecided \\"
    )
    assert r"bpr & nothing & -- & -- & -- & -- & ranks only \\" in lines and "\n\n" not in text
    assert lines[6] == r"\midrule" and lines[-3] == r"\bottomrule"
    assert to_latex(table.iloc[:0], r"a\b{c}~^#&$", "").splitlines()[2] == (
        r"\caption{a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}\#\&\$. }"
    )


@pytest.mark.parametrize(
    ("value", "words"), [(0.13, ".1300"), (-0.02, "-.0200"), (12.345, "12.35"), (NAN, "–"), (0.0, ".0000")]
)
def test_numbers_have_no_idle_zero(value, words):
    assert number(value) == words
