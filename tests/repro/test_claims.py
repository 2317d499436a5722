"""Verdicts follow from the numbers: what is false in constructed results does not hold."""

import zlib

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from simbench.repro.claims.downstream import alignment
from simbench.repro.claims.exact import naive_bias, printed_equation, theorem
from simbench.repro.claims.identification import learned_stratification
from simbench.repro.claims.leaks import worth
from simbench.repro.claims.learning_rate import best_outside, negative_r2
from simbench.repro.claims.predictions import calibration_shift, label_derived, reorders, simple_baselines
from simbench.repro.claims.public_numbers import public_numbers, rank_correlation
from simbench.repro.claims.scar import scar_methods
from simbench.repro.claims.square_root import square_root
from simbench.repro.claims.twins import beats_baselines
from simbench.repro.document import unfilled
from simbench.repro.evidence import Evidence
from simbench.repro.published import DATA_SETS, METHODS, published_numbers
from simbench.repro.quantities import ClaimVerdict
from simbench.study.table import COLUMNS

R = 12  # replicates


def scored(values: dict[tuple[str, str], float], noise: float = 0.002, **where: object) -> pd.DataFrame:
    """Per-replicate scores around chosen means, ``{(estimator, metric): mean}``, with noise."""
    rng = np.random.default_rng(zlib.crc32(repr((values, where)).encode()))
    rows = [
        {**where, "estimator": name, "knows": "", "replicate": r, "metric": metric, "value": value}
        for (name, metric), mean in values.items()
        for r, value in enumerate(mean + noise * rng.standard_normal(R))
    ]
    return pd.DataFrame(rows)


def judged(claim, folder):
    """The finding; every text of it can be filled."""
    found = claim.examine(Evidence(folder))
    for text in (found.because, found.rule, *(cell for t in found.tables for row in t.rows for cell in row)):
        assert unfilled(found.fill(text)) == []
    return found


def identities(error):
    return pd.DataFrame([{"identity": "naive bias", "case": "SCAR", "points": 9, "error": error}])


def risk(**verdicts):
    cases = {"given": "true posteriors", "fitted": "unknown α"}
    names = {"defined": "implicitrm", "printed": "implicitrm@printed"}
    rows = []
    for key, is_exact in verdicts.items():
        name, case = key.split("_")
        label, bias = ("exactly unbiased", 1e-15) if is_exact else ("biased", 0.5)
        rows.append({"estimator": names[name], "case": cases[case], "verdict": label, "bias": bias})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("error", "verdict"), [(1e-15, ClaimVerdict.holds), (1e-9, ClaimVerdict.fails)])
def test_naive_bias(finish, error, verdict):
    assert judged(naive_bias, finish("risk", identities=identities(error))).verdict is verdict


@pytest.mark.parametrize(
    ("given", "fitted", "verdict"),
    [
        (True, True, ClaimVerdict.holds),
        (True, False, ClaimVerdict.condition),
        (False, False, ClaimVerdict.fails),
    ],
)
def test_theorem(finish, given, fitted, verdict):
    folder = finish("risk", results=risk(defined_given=given, defined_fitted=fitted))
    assert judged(theorem, folder).verdict is verdict


@pytest.mark.parametrize(("is_exact", "verdict"), [(True, ClaimVerdict.holds), (False, ClaimVerdict.fails)])
def test_printed_equation(finish, is_exact, verdict):
    folder = finish("risk", results=risk(printed_given=is_exact))
    assert judged(printed_equation, folder).verdict is verdict


def test_the_printed_form_is_compared_in_training(finish):
    finish("risk", results=risk(printed_given=False))
    mse = {("implicitrm", "mse"): 0.01, ("implicitrm@printed", "mse"): 0.03}
    table = scored(mse, world="shared", bias_level=2.0, size=10)
    found = judged(printed_equation, finish("bias-level", replicates=table))
    assert found.quantities["worse shared 2"].low > 0


def curves(**slopes):
    """Excess bias² that rises by so much a level, by world; of a method that assumes SCAR, and another."""
    frames = []
    for world, slope in slopes.items():
        for level in (0.0, 1.0, 2.0):
            bias = {("oracle", "bias2"): 0.0, ("upu", "bias2"): 0.01 + slope * level, ("naive", "bias2"): 0.1}
            frames.append(scored(bias, world=world, bias_level=level, size=10))
    return pd.concat(frames)


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [
        ({"exclusive": 0.0, "shared": 0.05}, ClaimVerdict.condition),
        ({"exclusive": 0.03, "shared": 0.05}, ClaimVerdict.holds),
        ({"exclusive": 0.0, "shared": -0.05}, ClaimVerdict.fails),
    ],
)
def test_scar_methods(finish, slopes, verdict):
    found = judged(scar_methods, finish("bias-level", replicates=curves(**slopes)))
    assert found.verdict is verdict
    assert not any("naive" in key for key in found.quantities)


OF_LABEL = {
    "unbiased": {"low": 0.0, "high": 0.001},
    "biased": {"low": 0.01, "high": 0.02},
    "undecided": {"low": 0.0, "high": 0.02},
}


def mapped(**labels):
    rows = []
    for key, label in labels.items():
        world, knows = key.split("_", 1)
        row = {"metric": "excess_bias2", "estimator": "implicitrm", "world": world, "bias_level": 1.0}
        row |= {"knows": knows.replace("_", " "), "value": 0.01} | OF_LABEL[label]
        rows.append({**row, "n_replicates": 8, "size": 100, "seconds": 1.0})
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        ({"exclusive_context": "unbiased", "shared_nothing": "unbiased"}, ClaimVerdict.holds),
        ({"exclusive_context": "unbiased", "shared_nothing": "biased"}, ClaimVerdict.condition),
        ({"exclusive_context": "biased", "shared_class_prior": "unbiased"}, ClaimVerdict.condition),
        ({"exclusive_context": "undecided", "shared_nothing": "biased"}, ClaimVerdict.fails),
    ],
)
def test_learned_stratification(finish, labels, verdict):
    assert (
        judged(learned_stratification, finish("identification", results=mapped(**labels))).verdict is verdict
    )


def rates(**r2):
    """R² of implicitrm by learning rate, ``lr_0_001=-.2``."""
    frames = []
    for key, value in r2.items():
        rate = float(key.removeprefix("lr_").replace("_", "-" if "e" in key else "."))
        values = {(n, m): value for n in ("implicitrm", "naive") for m in ("r2", "auroc")}
        frames.append(scored(values, world="rating", bias_level=0.5, protocol="honest").assign(lr=rate))
    return pd.concat(frames)


def test_a_negative_r2_at_the_claimed_rate(finish):
    assert (
        judged(negative_r2, finish("learning-rate", replicates=rates(lr_0_001=-0.2))).verdict
        is ClaimVerdict.holds
    )
    assert (
        judged(negative_r2, finish("learning-rate", replicates=rates(lr_0_001=0.2))).verdict
        is ClaimVerdict.fails
    )
    missing = judged(negative_r2, finish("learning-rate", replicates=rates(lr_0_01=0.2)))
    assert missing.verdict is ClaimVerdict.untested


def test_the_best_rate_lies_outside(finish):
    outside = finish("learning-rate", replicates=rates(lr_0_001=0.1, lr_0_01=0.3))
    assert judged(best_outside, outside).verdict is ClaimVerdict.holds
    inside = finish("learning-rate", replicates=rates(lr_0_001=0.3, lr_0_01=0.1))
    assert judged(best_outside, inside).verdict is ClaimVerdict.fails
    near = finish("learning-rate", replicates=rates(lr_0_001=0.3, lr_0_01=0.3002))
    assert judged(best_outside, near).verdict is ClaimVerdict.fails


def gains(root, implicit):
    values = {("naive", m): 0.1 for m in ("r2", "mae", "rmse", "auroc")}
    values |= {("naive-sqrt", m): root for m in ("r2", "mae", "rmse")} | {("naive-sqrt", "auroc"): 0.1}
    return scored(values | {("implicitrm", m): implicit for m in ("r2", "mae", "rmse", "auroc")})


@pytest.mark.parametrize(
    ("worlds", "verdict"),
    [
        ({"a": (0.3, 0.31)}, ClaimVerdict.holds),
        ({"a": (0.3, 0.31), "b": (0.11, 0.31)}, ClaimVerdict.condition),
        ({"a": (0.11, 0.31)}, ClaimVerdict.fails),
        ({"a": (0.3, 0.1)}, ClaimVerdict.untested),  # no gain: nothing to share
    ],
)
def test_square_root(finish, worlds, verdict):
    frames = [gains(*of_one).assign(world=w, bias_level=1.0, size=9) for w, of_one in worlds.items()]
    assert judged(square_root, finish("rating", replicates=pd.concat(frames))).verdict is verdict


def test_the_square_root_is_judged_by_protocol(finish):
    frames = [gains(0.3, 0.31).assign(world="a", bias_level=1.0, protocol=p) for p in ("published", "honest")]
    one_seed = gains(0.3, 0.31).query("replicate == 0").assign(world="a", bias_level=1.0, protocol="one seed")
    found = judged(square_root, finish("twins-published", replicates=pd.concat([*frames, one_seed])))
    assert len(found.tables[0].rows) == 2


def test_a_step_that_was_not_run_is_said_so(finish):
    found = judged(scar_methods, finish("risk", identities=identities(0.0)))
    assert found.verdict is ClaimVerdict.untested and "`bias-level` has not been run" in found.because


def twin(protocol, values, world="twin:helpsteer"):
    """A twin under a protocol: R² by estimator; AUROC the same for all, recalibrated R² alike."""
    metrics = {(name, "r2"): value for name, value in values.items()}
    metrics |= {(name, "r2_recalibrated"): 0.3 for name in values}
    metrics |= {(name, "auroc"): 0.8 for name in values} | {
        (name, "shift"): v - 0.3 for name, v in values.items()
    }
    table = scored(metrics, world=world, bias_level=0.8, size=10, protocol=protocol)
    return table.assign(knows="nothing")


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


def test_a_near_win_is_no_win(finish):
    folder = finish("twins-honest", replicates=twin("honest", {"implicitrm": 0.2001, "naive": 0.2}))
    assert judged(beats_baselines, folder).verdict is ClaimVerdict.fails


@pytest.mark.parametrize(
    ("honest", "verdict"),
    [({"naive": 0.1, "ips": 0.2}, ClaimVerdict.holds), ({"naive": 0.2, "ips": 0.1}, ClaimVerdict.fails)],
)
def test_reorders(finish, honest, verdict):
    finish("twins-published", replicates=twin("published", {"naive": 0.2, "ips@published": 0.1}))
    assert judged(reorders, finish("twins-honest", replicates=twin("honest", honest))).verdict is verdict


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


@pytest.mark.parametrize(("sign", "verdict"), [(1, ClaimVerdict.holds), (-1, ClaimVerdict.fails)])
def test_public_numbers(finish, sign, verdict):
    frames = []
    for data, world in DATA_SETS.items():
        rows = published_numbers()
        rows = rows[rows.data == data]
        values = {
            METHODS[m][0]: sign * r2 for m, r2 in zip(rows.method, rows.r2, strict=True) if m in METHODS
        }
        frames.append(twin("published", values, f"twin:{world}"))
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


def aligned(ours, naive):
    values = {
        ("implicitrm", "value KL 1"): ours,
        ("naive", "value KL 1"): naive,
        ("oracle", "value KL 1"): 0.8,
    }
    return scored(values, world="copyable", bias_level=2.0, size=10)


@pytest.mark.parametrize(("ours", "verdict"), [(0.7, ClaimVerdict.holds), (0.5, ClaimVerdict.fails)])
def test_alignment(finish, ours, verdict):
    found = judged(alignment, finish("downstream", replicates=aligned(ours, 0.6)))
    assert found.verdict is verdict
    assert found.quantities["value naive copyable KL 1"].value == pytest.approx(-0.2, abs=0.01)


def test_a_policy_that_one_estimator_cannot_reach_leaves_its_place_empty(finish):
    table = aligned(0.7, 0.6)
    beyond = pd.concat([table, table[table.estimator != "upu"].assign(metric="value KL 9")])
    upu = table[table.estimator == "naive"].assign(estimator="upu")
    found = judged(alignment, finish("downstream", replicates=pd.concat([beyond, upu])))
    rows = {row[1]: row[2:] for row in found.tables[1].rows}
    assert rows["upu"] == ("{value upu copyable KL 1}", "–") and "–" not in rows["naive"]


def test_the_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 6, 12), rng.integers(0, 6, 12)  # with ties
    expected = spearmanr(ours, theirs, alternative="greater")
    correlation, p = rank_correlation(ours, theirs)
    assert correlation == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue, abs=0.02)


def test_the_public_numbers_are_of_known_methods():
    assert set(published_numbers().method) - set(METHODS) == {"ncrmf"}  # the same as rmf there
    assert not published_numbers().duplicated(["data", "method"]).any()
