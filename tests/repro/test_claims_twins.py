"""Verdicts on the comparison of methods: on twins, under the published protocol and the honest one."""

import pandas as pd
import pytest
from constructed import judged, scored, twin

from simbench.repro.claims.abstract import accurate, own_scores
from simbench.repro.claims.leaks import worth
from simbench.repro.claims.predictions import calibration_shift, label_derived, reorders, simple_baselines
from simbench.repro.claims.public_numbers import public_numbers
from simbench.repro.claims.twins import beats_baselines
from simbench.repro.published import DATA_SETS, METHODS, published_numbers
from simbench.repro.verdicts import ClaimVerdict

BETTER = {"implicitrm": 0.3, "naive": 0.1, "ips": 0.2, "upu": 0.25}
WORSE = {"implicitrm": 0.3, "naive": 0.1, "ips": 0.2, "upu": 0.35}


@pytest.mark.parametrize(
    ("published", "honest", "verdict"),
    [
        (BETTER, BETTER, ClaimVerdict.holds),
        (BETTER, WORSE, ClaimVerdict.condition),
        (WORSE, WORSE, ClaimVerdict.fails),
    ],
)
def test_beats_baselines(finish, published, honest, verdict):
    finish("twins-published", replicates=twin("published", published))
    folder = finish("twins-honest", replicates=twin("honest", honest))
    assert judged(beats_baselines, folder).verdict is verdict


def test_every_form_of_implicitrm_meets_every_baseline_by_what_it_was_told(finish):
    table = twin("honest", WORSE | {"implicitrm-prior": 0.4, "recrec": 0.301})
    labelled = twin("honest", {"implicitrm": 0.5}).assign(knows="labels (0.05)")
    table.loc[table.estimator == "upu", "knows"] = "class prior (elkan-noto)"
    found = judged(beats_baselines, finish("twins-honest", replicates=pd.concat([table, labelled])))
    columns = found.tables[0].columns
    assert columns[2:] == ("implicitrm", "implicitrm-prior", "implicitrm, labels")
    scores = {row[1].partition(":")[0]: row[2:] for row in found.tables[0].rows}
    assert scores["class prior"] == ("0 / 1 / 0", "1 / 0 / 0", "1 / 0 / 0")
    assert scores["nothing"] == ("2 / 0 / 1", "3 / 0 / 0", "3 / 0 / 0")
    assert "tie within 0.004" in found.because and "ReCRec" in found.because


def test_a_near_win_is_no_win(finish):
    folder = finish("twins-honest", replicates=twin("honest", {"implicitrm": 0.2001, "naive": 0.2}))
    assert judged(beats_baselines, folder).verdict is ClaimVerdict.fails


@pytest.mark.parametrize(
    ("closed", "verdict"),
    [({"naive": 0.1, "ips": 0.2}, ClaimVerdict.holds), ({"naive": 0.2, "ips": 0.1}, ClaimVerdict.fails)],
)
def test_reorders(finish, closed, verdict):
    frames = [twin("published", {"naive": 0.2, "ips": 0.1}), twin("off: all", closed)]
    assert judged(reorders, finish("leaks", replicates=pd.concat(frames))).verdict is verdict


def test_calibration_shift(finish):
    table = twin("published", {"naive": -0.5, "upu": 0.2, "ips": -1.0})
    assert (
        judged(calibration_shift, finish("twins-published", replicates=table)).verdict is ClaimVerdict.holds
    )
    ranking = table.metric == "r2_recalibrated"  # now what differs is left after recalibration
    table.loc[ranking, "value"] = table.loc[table.metric == "r2", "value"].to_numpy()
    assert (
        judged(calibration_shift, finish("twins-published", replicates=table)).verdict is ClaimVerdict.fails
    )


def test_a_claim_that_holds_at_one_rate_holds_under_that_condition(finish):
    """At five times the rates IPS is worse than naive on three twins; at the published ones it is not."""
    frames = [
        twin(protocol, {"naive": 0.1, "ips@published": ips}, f"twin:{world}")
        for protocol, ips in (("published", 0.4), ("published, 5 x rate", -0.5))
        for world in ("helpsteer", "ultrafeedback", "saferlhf")
    ]
    found = judged(label_derived, finish("twins-published", replicates=pd.concat(frames)))
    assert found.verdict is ClaimVerdict.condition and found.condition.startswith("in 3 of 6: ")
    assert "5 x rate" in found.condition


@pytest.mark.parametrize(("ips", "verdict"), [(-0.5, ClaimVerdict.holds), (0.4, ClaimVerdict.fails)])
def test_label_derived(finish, ips, verdict):
    table = twin("published", {"naive": 0.1, "ips@published": ips, "ips": 9.0})
    assert judged(label_derived, finish("twins-published", replicates=table)).verdict is verdict


@pytest.mark.parametrize(("simple", "verdict"), [(0.4, ClaimVerdict.holds), (0.0, ClaimVerdict.fails)])
def test_simple_baselines(finish, simple, verdict):
    values = {"naive": 0.1, "ips": 0.2, "upu": 0.3, "balanced-naive": simple, "naive-sqrt": simple}
    assert (
        judged(simple_baselines, finish("twins-published", replicates=twin("published", values))).verdict
        is verdict
    )


@pytest.mark.parametrize(
    ("off", "verdict"),
    [({}, ClaimVerdict.condition), ({"r2": 0.3}, ClaimVerdict.fails), ({"auroc": 0.2}, ClaimVerdict.fails)],
)
def test_public_numbers(finish, off, verdict):
    """By distance from the sweep, in R² and AUROC; off in one of them, with the same ranking."""
    frames = []
    for data, world in DATA_SETS.items():
        rows = published_numbers()
        rows = rows[rows.data == data]
        values = {
            (METHODS[row.method][0], metric): getattr(row, metric) + off.get(metric, 0.0)
            for row in rows.itertuples()
            for metric in ("r2", "auroc")
            if row.method in METHODS
        }
        frames.append(scored(values, world=f"twin:{world}", bias_level=0.8, size=10, protocol="published"))
    assert judged(public_numbers, finish("twins-published", replicates=pd.concat(frames))).verdict is verdict


@pytest.mark.parametrize(
    ("stopping", "calibration", "verdict"),
    [(0.1, 0.1, ClaimVerdict.holds), (0.1, 0.3, ClaimVerdict.condition), (0.3, 0.35, ClaimVerdict.fails)],
)
def test_the_worth_of_leaks(finish, stopping, calibration, verdict):
    frames = [
        twin(protocol, {"implicitrm": r2, "naive": r2 - 0.1, "oracle": 0.5})
        for protocol, r2 in {
            "published": 0.2,
            "off: stopping": stopping,
            "off: calibration": calibration,
        }.items()
    ]
    found = judged(worth, finish("leaks", replicates=pd.concat(frames)))
    assert found.verdict is verdict
    assert found.quantities["r2 of 2 stopping twin:helpsteer"].value == pytest.approx(
        0.2 - stopping, abs=0.01
    )


@pytest.mark.parametrize(
    ("oracle", "auroc", "verdict"),
    [
        (0.32, 0.8, ClaimVerdict.holds),
        (0.4, 0.8, ClaimVerdict.fails),
        (0.32, 0.9, ClaimVerdict.fails),  # accurate in R², and not in AUROC
    ],
)
def test_accurate(finish, oracle, auroc, verdict):
    table = twin("honest", {"implicitrm": 0.3, "oracle": oracle})
    table.loc[(table.estimator == "oracle") & (table.metric == "auroc"), "value"] = auroc
    assert judged(accurate, finish("twins-honest", replicates=table)).verdict is verdict


def test_the_papers_own_scores_stand_beside_what_is_possible(finish):
    metrics = {("implicitrm", m): v for m, v in {"mae": 0.4, "mae_of_truth": 0.35, "mae_least": 0.25}.items()}
    table = scored(metrics, 0.0, world="twin:helpsteer", bias_level=0.8, size=10, protocol="honest")
    found = judged(own_scores, finish("twins-honest", replicates=table))
    assert found.verdict is ClaimVerdict.untested
    assert [found.fill(cell) for cell in found.tables[0].rows[0][2:]] == [
        "0.286",
        "0.400 [0.400, 0.400]",
        "0.350",
        "0.250",
    ]
