"""The report that people read: every number with its digits, its interval, its column and its row."""

import io
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from rich.text import Text

from simbench.cli import report
from simbench.errors import BadInput
from simbench.study import notes as module
from simbench.study.config import StudyConfig
from simbench.study.protocol import EvaluationProtocol
from simbench.study.summary import TRUTH_METRICS, number, with_interval
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS

NAN = float("nan")
CONFIG = StudyConfig()
FACTS = {
    "positive_rate": 0.5126,
    "action_rate": 0.3004,
    "feedback_rate": 0.1518,
    "positives_without_feedback": 0.7036,
    "smallest_propensity": 0.00123,
    "propensity_1_percent": 0.0156,
}


def world(name="exclusive", level=0.8, size=100, propensity=None, context=True, shown=None, **config):
    """What the report reads of a world."""
    start = PRESETS.get(name.split(":")[0], WorldConfig())
    train = SimpleNamespace(
        reward=np.full(size, 0.5),
        propensity=np.linspace(0, 1, 101) if propensity is None else np.asarray(propensity),
        context=np.ones((size, 2)) if context else None,
        law=SimpleNamespace(action_correlation=lambda: 0.3126, shown_probability=shown),
    )
    return SimpleNamespace(
        config=start.changed(name=name, **config),
        bias_level=level,
        train=train,
        description=f"{size} responses [as drawn]",
        realised=lambda: FACTS,
        signal_rates=lambda: {"click": 0.1234, "copy": 0.0567},
        draw=lambda replicates: (SimpleNamespace(n_replicates=len(replicates)), None),
    )


def rows_of(estimator, metrics, knows="nothing", **columns):
    """Rows of the long table; a metric is (value,), or (value, low, high), or those and a verdict."""
    common = {"world": "exclusive", "bias_level": 0.8, "size": 100, "protocol": "honest", "seconds": 1.26}
    common |= {"n_replicates": 20, "n_worlds": 1, "reason": "", "status": "ok", **columns}
    rows = []
    for metric, found in metrics.items():
        value, low, high, verdict = (*found, NAN, NAN, "")[:4] if len(found) == 1 else (*found, "")[:4]
        row = {"estimator": estimator, "knows": knows, "metric": metric, "value": value, "low": low}
        rows.append({**common, **row, "high": high, "verdict": verdict})
    return rows


@dataclass(frozen=True)
class Named:
    """What tells one protocol, or one configured world, from another."""

    name: str


def cell(protocol, there, size=100):
    """What the report reads of a planned cell: a world has about as many responses as were asked for."""
    return SimpleNamespace(
        protocol=Named(protocol),
        world=Named(there.config.name),
        bias_level=there.bias_level,
        size=size,
        draw=0,
        built=lambda: there,
    )


@pytest.fixture
def printed(monkeypatch):
    """What is printed of these rows by a study that plans these cells."""

    def of(rows, cells, config=CONFIG) -> str:
        monkeypatch.setattr("simbench.study.summary.cells_of", lambda given: cells)
        console = Console(file=io.StringIO(), width=250)
        table = pd.DataFrame(rows)
        report.print_study(table, table.assign(draw=0), config, console)
        return console.file.getvalue()

    return of


def as_lists(table) -> list[list[str]]:
    """Titles and rows of a table as they are read: brackets that markup would swallow are missing."""
    columns = [[column.header, *column.cells] for column in table.columns]
    columns = [[cell if isinstance(cell, Text) else Text.from_markup(cell) for cell in c] for c in columns]
    columns = [[text.plain for text in column] for column in columns]
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.12345, 4, ".1235"),
        (0.12344, 4, ".1234"),
        (-0.05, 4, "-.0500"),
        (0.0, 4, ".0000"),
        (0.00004, 4, ".0000"),
        (0.00006, 4, ".0001"),
        (10.0, 4, "10.00"),
        (1.0, 4, "1.00"),
        (-1.0, 3, "-1.00"),
        (20.256, 3, "20.26"),
        (100.04, 2, "100.04"),
        (0.5, 2, ".50"),
        (0.996, 2, "1.00"),
        (-0.9996, 3, "-1.000"),
        (0.30303, 3, ".303"),
        (NAN, 4, "–"),
    ],
)
def test_a_number_has_its_digits_and_no_leading_zero(value, digits, text):
    assert number(value, digits) == text
    assert digits != 4 or number(value) == text


def indexed(metrics) -> pd.DataFrame:
    return pd.DataFrame(rows_of("a", metrics)).set_index("metric")


def test_an_interval_stands_low_before_high_behind_its_value():
    rows = indexed({"bias2": (0.02, -0.001, 0.0456), "mse": (1.5,), "variance": (NAN,)})
    assert with_interval(rows, "bias2") == ".0200 [-.0010, .0456]"
    assert with_interval(rows, "mse") == "1.50" and with_interval(rows, "variance") == "–"
    assert with_interval(rows, "distance2") == "–"


def test_half_an_interval_stands_behind_its_value():
    rows = indexed(
        {"auroc": (0.81, 0.7, 0.9), "efficiency": (0.514,), "ece": (NAN,), "regret": (1.2, 1, 1.5)}
    )
    assert report._plus_minus(rows, "auroc") == ".810±.100"
    assert report._plus_minus(rows, "regret") == "1.20±.250"
    assert report._plus_minus(rows, "efficiency") == ".51" and report._plus_minus(rows, "ece") == "–"
    assert report._plus_minus(rows, "nll") == "–"


WIDE = 200

TRUTH = {
    "distance2": (0.1, 0.09, 0.11, "biased"),
    "variance": (0.002, 0.001, 0.003),
    "bias2": (0.18, 0.17, 0.19),
    "mse": (0.182, 0.172, 0.192),
}


def test_the_truth_stands_under_its_titles_in_the_order_of_the_study():
    rows = rows_of("naive", TRUTH)
    rows += rows_of("ips", {"mse": (0.3, 0.2, 0.4), "bias2": (0.2, 0.1, 0.3)}, "propensity")
    rows += rows_of("bpr", {"auroc": (0.7,)})
    rows += rows_of("dr", {"": (NAN,)}, "misclick", status="skipped", reason="needs [x] first")
    rows += rows_of("ips", {"mse": (0.5,), "distance2": (0.0, -0.1, 0.1, "undecided")}, "propensity (x)")
    (table,) = report._truth_tables(pd.DataFrame(rows), CONFIG, WIDE)
    assert as_lists(table) == [
        ["estimator", "told", "bias²", "variance", "MSE", "distance²", "verdict"],
        [
            *("naive", "nothing", ".1800 [.1700, .1900]", ".0020 [.0010, .0030]"),
            *(".1820 [.1720, .1920]", ".1000 [.0900, .1100]", "biased"),
        ],
        ["ips", "propensity", ".2000 [.1000, .3000]", "–", ".3000 [.2000, .4000]", "–", "no oracle"],
        ["bpr", "nothing", "–", "–", "–", "–", "ranks only"],
        ["dr", "misclick", "", "", "", "", "skipped: needs [x] first"],
        ["ips", "propensity (x)", "–", "–", ".5000", ".0000 [-.1000, .1000]", "undecided"],
    ]
    assert str(table.title) == "Against the true reward: 20 replicates, conditional on this drawn world"
    assert str(table.caption) == (
        "[low, high]: 95% intervals over replicates. distance²: mean squared difference of the estimator's "
        "mean from the oracle's; the verdict compares it with 0.05²."
    )
    other = StudyConfig(replicates=3, level=0.8, margin=0.1)
    (table,) = report._truth_tables(pd.DataFrame(rows), other, WIDE)
    assert "3 replicates" in str(table.title)
    assert "80% intervals" in str(table.caption) and "0.1²" in str(table.caption)


def test_ranking_calibration_and_decisions_stand_under_their_titles():
    metrics = {name: ((k + 1) / 100,) for k, name in enumerate(reversed(report.OTHER_METRICS))}
    rows = rows_of("naive", {**metrics, "auroc": (0.7, 0.6, 0.8)})
    rows += rows_of("ips", {"swapped_share": (0.25,)}, "propensity", seconds=0.04)
    rows += rows_of("ips", {"nll": (0.5, 0.4, 0.7)}, "propensity (x)", seconds=12.0)
    rows += rows_of("dr", {"": (NAN,)}, "misclick", status="failed", reason="why")
    (table,) = report._other_tables(pd.DataFrame(rows), CONFIG, WIDE)
    none = ["–"] * 9
    assert as_lists(table) == [
        [
            *("estimator\n  told", "AUROC", "pairs", "Brier", "NLL", "shift", "ECE", "regret", "efficiency"),
            *("swapped", "seconds"),
        ],
        ["naive", ".700±.100", ".08", ".07", ".06", ".05", ".04", ".03", ".02", ".01", "1.3"],
        ["ips\n  propensity", *none[:8], ".25", "0.0"],
        ["ips\n  propensity (x)", *none[:3], ".500±.150", *none[:5], "12.0"],
    ]
    assert str(table.caption).startswith(
        "± half of the 95% interval, where there is room for it. pairs: share"
    )
    assert list(report.OTHER_METRICS) == [
        *("auroc", "pairwise_accuracy", "brier", "nll", "calibration_shift", "ece", "regret"),
        *("efficiency", "swapped_share"),
    ]
    assert list(TRUTH_METRICS) == ["bias2", "variance", "mse", "distance2"]


def test_a_situation_says_what_was_realised():
    lines = report.situation_lines(world("exclusive:x", 1.5))
    assert lines == [
        "world exclusive:x: propensity reads context only, reward reads features only (exclusion)",
        "100 responses [as drawn]",
        "bias level 1.5 realised: 0.513 of responses are good, 0.300 would be acted on, 0.152 got feedback; "
        "70.4% of the good ones got none; propensity: smallest 0.0012, 1 % quantile 0.016",
    ]
    assert report.situation_lines(world("mine"))[0] == "world mine: as configured"


def test_how_much_is_shown_is_said_where_the_log_tells():
    (line,) = report.situation_lines(world(shown=np.array([1.0, 0.25, 0.02])))[3:]
    assert line.startswith("of the responses 42.3% are shown, in expectation; the others are in no log")


def test_several_signals_are_told_with_their_rates():
    rates = "signals realised (share of responses): click 0.123, copy 0.057"
    assert report.situation_lines(world())[3:] == []
    of_one = world(regenerate=True)
    assert report.situation_lines(of_one)[3:] == [rates]
    of_two = world(signals=2)
    dependence = "; mean correlation of two actions given the response 0.313"
    assert report.situation_lines(of_two)[3:] == [rates + dependence]


def test_a_situation_shows_its_own_rows_only(printed):
    """Each of world, level, size and protocol differs in turn; brackets are printed as they are."""
    places = [
        {},
        {"world": "shared"},
        {"bias_level": 2.0},
        {"size": 300},
        {"protocol": "published"},
    ]
    rows = [
        row for k, place in enumerate(places) for row in rows_of("naive", {"mse": (0.1 + k / 100,)}, **place)
    ]
    rows += rows_of(
        "ips", {"": (NAN,)}, "propensity", status="failed", reason="ValueError: shape [n] and [k]"
    )
    config = StudyConfig(protocols=(EvaluationProtocol(name="honest"), EvaluationProtocol(name="published")))
    cases = [
        cell("honest", world(size=110)),  # about 100: prompts are kept whole
        cell("honest", world("shared")),
        cell("honest", world(level=2.0)),
        cell("honest", world(size=290), 300),
        cell("published", world()),
    ]
    for k, case in enumerate(cases):
        said = printed(rows, [case], config)
        found = [line.split()[1:] for line in said.splitlines() if "naive " in line and "ranks" in line]
        assert found == [["nothing", "–", "–", f".1{k}00", "–", "ranks", "only"]], k
        assert f"protocol {case.protocol.name}\n" in said and "responses [as drawn]\n" in said
        assert ("failed: ValueError: shape [n] and [k]" in said) is (k == 0)
    both = printed(rows, cases[:2], config)
    order = [both.index(text) for text in ("world exclusive:", ".1000", "world shared:", ".1100")]
    assert order == sorted(order)
    assert "protocol" not in printed(rows, cases[:1])
    assert both.count("Against the true reward: 20 replicates") == both.count("Ranking, calibration") == 2


def test_the_notes_are_printed_as_they_are(printed):
    reason = "excess bias² 0.0100 [nan, nan] against a margin of 0.0025"
    rows = rows_of("naive", {"distance2": (0.01, NAN, NAN, "undecided")}, reason=reason)
    rows += rows_of("ips", TRUTH, "propensity")
    said = printed(rows, [cell("honest", world())])
    assert f"naive (nothing): undecided, {reason}\n" in said and said.count("undecided, ") == 1


def test_fits_that_were_cut_short_are_counted():
    rows = rows_of("naive", {"mse": (0.1,), "unconverged_share": (0.35,)})
    rows += rows_of("ips", {"mse": (0.1,), "unconverged_share": (0.0,)})
    said = [line for line in notes(rows, world()) if "last epoch" in line]
    assert len(said) == 1 and said[0].startswith("naive (nothing): 7 of 20 fits kept the last epoch")


def notes(rows, world, config=CONFIG):
    return module.notes(pd.DataFrame(rows), world, config)


HELP = (
    "Would help: the propensity, a class prior, explicit labels (--grant labels), a second signal "
    "(--signals 2)"
)
SWAPPED = {"mse": (0.1,), "swapped_share": (0.275,)}  # of 20 replicates: 5.5, rounded to even
OF = "6 of 20 replicates came out swapped with the propensity"
RISING = np.linspace(0, 1, 101)  # its 99 % quantile is .99


@pytest.mark.parametrize(
    ("estimator", "place", "said"),
    [
        (
            "lbe",
            {},
            "NOT IDENTIFIED here: reward and propensity read the same features, and feedback shows only "
            f"their product; {OF}. {HELP}, or context that moves only the propensity.",
        ),
        (
            "implicitrm",
            {"context": False},
            f"NOT IDENTIFIED here: reward .* product; {OF}. {HELP}, or context",
        ),
        (
            "implicitrm",
            {"level": 0},
            "the LEVEL of the reward is NOT IDENTIFIED here: the context does not move the propensity "
            f"(SCAR), so any constant fits as well. {HELP}.",
        ),
        (
            "implicitrm",
            {"propensity": RISING * 0.95},
            "the level of the reward is WEAKLY IDENTIFIED here: the context moves the propensity only up to "
            f"0.94 (99 % quantile), and the level is read off as it nears 1. {HELP}.",
        ),
        (
            "implicitrm",
            {"propensity": RISING * 0.95, "confounding": -0.5},
            "its propensity network reads only the context, but users act on the reward as well: the "
            f"exclusion that it relies on does not hold; {OF}. {HELP}.",
        ),
        (
            "implicitrm",
            {"propensity": RISING * 0.96},
            f"identified here through the context, which moves the propensity up to 0.95; {OF}.",
        ),
    ],
)
def test_what_identifies_the_reward_is_said_first(estimator, place, said):
    (line,) = notes(rows_of(estimator, SWAPPED, "context"), world(**place))
    if ".*" in said:
        head, tail = said.split(" .* ")
        assert line.startswith(f"{estimator}: {head}") and tail in line
    else:
        assert line == f"{estimator}: {said}"


def test_without_a_count_none_came_out_swapped():
    (line,) = notes(rows_of("implicitrm", {"mse": (0.1,)}, "context", n_replicates=7), world())
    assert line.endswith("up to 0.99; 0 of 7 replicates came out swapped with the propensity.")


@pytest.mark.parametrize(
    ("estimator", "knows", "noted"),
    [
        ("implicitrm", "context", True),
        ("implicitrm", "context, class prior", True),
        ("implicitrm", "context, labels", False),
        ("multi-ips", "propensity (estimated 500)", False),
        ("naive", "nothing", False),
        ("oracle", "truth", False),
    ],
)
def test_identification_is_a_question_only_where_the_propensity_is_learned_untold(estimator, knows, noted):
    assert len(notes(rows_of(estimator, SWAPPED, knows), world())) == noted
    assert notes(rows_of(estimator, SWAPPED, knows, status="failed"), world()) == []


def test_weights_are_told_once_for_each_propensity():
    weights = {
        "mse": (0.5,),
        "effective_sample_share": (0.256,),
        "largest_weight": (12.34,),
        "negative_weight_share": (0.1234,),
    }
    better = {**weights, "effective_sample_share": (0.9,)}
    rows = rows_of("ips", weights, "propensity") + rows_of("snips", weights, "propensity")
    rows += rows_of("ips", better, "misclick, propensity (estimated 500)")
    assert notes(rows, world()) == [
        "weights r/α (propensity): the effective sample is 26% of the clicks, the largest weight 12.3, the "
        "weight on ℓ0 negative for 12.3% of the responses",
        "weights r/α (propensity (estimated 500)): the effective sample is 90% of the clicks, the largest "
        "weight 12.3, the weight on ℓ0 negative for 12.3% of the responses",
    ]


@pytest.mark.parametrize(("replicates", "asked"), [(4, 4), (20, 20), (50, 20)])
@pytest.mark.parametrize(("level", "rejected", "expected"), [(0.95, 1, 0.05), (0.8, 3, 0.2)])
def test_the_dependence_of_three_signals_is_tested_in_up_to_20_replicates(
    level, rejected, expected, replicates, asked, monkeypatch
):
    """Rejected where p < 1 - level: .05 is not below 1 - .95, which rounds to a little more."""
    p_values = [0.001, 0.06, 0.19, 0.21]

    def tested(log, replicate):
        correlations = np.array([0.1, 0.2, 0.3]) * (replicate % 4)
        return SimpleNamespace(p_value=p_values[replicate % 4], correlations=correlations)

    monkeypatch.setattr("simbench.study.notes.dependence_test", tested)
    config = StudyConfig(level=level, replicates=replicates)
    assert notes(rows_of("naive", TRUTH), world(signals=3), config) == [
        f"signals: independence given the response is rejected at level {expected:.2g} in "
        f"{rejected * asked // 4} of {asked} replicates (about {expected * asked:.1f} expected if it holds); "
        "mean correlation of two actions 0.300."
    ]


def test_two_signals_cannot_be_tested_and_a_log_may_be_too_small(monkeypatch):
    (line,) = notes(rows_of("naive", TRUTH), world(signals=2))
    assert line.startswith("signals: what two say of the reward assumes that they are independent given")
    assert notes(rows_of("naive", TRUTH), world(signals=1)) == []

    def refused(log, replicate):
        raise BadInput("too few responses")

    monkeypatch.setattr("simbench.study.notes.dependence_test", refused)
    assert notes(rows_of("naive", TRUTH), world(signals=3)) == ["signals: too few responses"]


def test_the_undecided_come_last_with_their_reasons():
    undecided = {"distance2": (0.0, -0.1, 0.1, "undecided"), "swapped_share": (0.0,)}
    rows = rows_of("implicitrm", undecided, "context", reason="about 9 replicates") + rows_of("naive", TRUTH)
    lines = notes(rows, world(signals=2))
    assert [line.split(":")[0] for line in lines] == ["implicitrm", "signals", "implicitrm (context)"]
    assert lines[2] == "implicitrm (context): undecided, about 9 replicates"


def test_of_many_situations_the_first_are_printed_and_the_others_counted(printed, monkeypatch):
    monkeypatch.setattr(report, "ON_SCREEN", 2)
    there = world()
    cells = [cell("honest", there, size) for size in (100, 200, 300)]
    rows = [dict(row, size=size) for size in (100, 200, 300) for row in rows_of("naive", TRUTH)]
    text = printed(rows, cells)
    assert text.count("Against the true reward") == 2
    assert "1 more of 3 situations are not printed" in text
    assert "not printed" not in printed(rows[: -len(rows) // 3], cells[:2])
