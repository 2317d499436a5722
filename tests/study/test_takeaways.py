"""The sentences above the tables say what the rows hold, and what it is conditional on."""

import pandas as pd

from simbench.study.config import StudyConfig
from simbench.study.draws import AMONG_BEST
from simbench.study.takeaways import takeaways


def rows(*estimators):
    """Rows of (name, told, verdict, mse, whether among the best)."""
    found = []
    for name, knows, verdict, mse, among in estimators:
        common = {"estimator": name, "knows": knows, "status": "ok"}
        found.append({**common, "metric": "distance2", "value": 0.1, "verdict": verdict})
        found.append({**common, "metric": "mse", "value": mse, "verdict": ""})
        found.append({**common, "metric": AMONG_BEST, "value": float(among), "verdict": ""})
    return pd.DataFrame(found)


STUDY = rows(
    ("oracle", "truth", "reference", 0.001, False),
    ("naive", "nothing", "biased", 0.16, False),
    ("balanced-naive", "nothing", "biased", 0.017, False),
    ("ips", "propensity", "undecided", 0.014, False),
    ("upu", "class prior", "unbiased", 0.012, True),
    ("implicitrm-known", "propensity", "unbiased", 0.01, True),
)


def test_they_say_who_is_unbiased_who_errs_least_and_who_was_told_nothing():
    assert takeaways(STUDY, StudyConfig(draws=5)) == [
        "In 5 drawn worlds of this kind, 2 of 5 estimators are unbiased within ±0.05 (upu, "
        "implicitrm-known); 2 biased, 1 undecided.",
        "Smallest MSE: implicitrm-known (told propensity), .0100; not to be told from it: upu.",
        "Of those told nothing but the log: balanced-naive, .0170 (naive .1600).",
    ]


def test_one_world_is_one_world_and_the_truth_is_no_estimator():
    (first, *_) = takeaways(STUDY, StudyConfig(draws=1, margin=0.1))
    assert first.startswith("In this one drawn world, 2 of 5 estimators are unbiased within ±0.1")
    assert not any("oracle" in line for line in takeaways(STUDY, StudyConfig(draws=5)))


def test_nothing_is_said_of_what_is_not_there():
    assert takeaways(STUDY.iloc[:3], StudyConfig(draws=5)) == []
    without_verdicts = STUDY[STUDY.metric == "mse"]
    lines = takeaways(without_verdicts, StudyConfig(draws=5))
    assert len(lines) == 2 and lines[0] == "Smallest MSE: implicitrm-known (told propensity), .0100."
    own = takeaways(rows(("naive", "nothing", "biased", 0.1, True)), StudyConfig())
    assert own[-1] == "Smallest MSE: naive (told nothing), .1000."


def test_a_name_that_stands_twice_is_told_apart():
    twice = rows(
        ("ips", "propensity", "unbiased", 0.01, True), ("ips", "propensity:x", "unbiased", 0.011, True)
    )
    lines = takeaways(twice, StudyConfig())
    assert "(ips told propensity, ips told propensity:x)" in lines[0]
    assert lines[1].endswith("not to be told from it: ips.")
