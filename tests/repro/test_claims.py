"""Verdicts follow from the numbers: what is false in constructed results does not hold."""

import pandas as pd
import pytest
from constructed import judged, scored

from simbench.repro.claims.abstract import four_groups, likelihood
from simbench.repro.claims.downstream import alignment
from simbench.repro.claims.exact import naive_bias, printed_equation, theorem
from simbench.repro.claims.identification import learned_stratification
from simbench.repro.claims.learning_rate import best_below, sharp_fall
from simbench.repro.claims.losses import other_losses
from simbench.repro.claims.scar import scar_methods
from simbench.repro.claims.square_root import square_root
from simbench.repro.published import METHODS, published_numbers
from simbench.repro.verdicts import ClaimVerdict
from simbench.study.table import COLUMNS


def identities(error, name="naive bias"):
    return pd.DataFrame([{"identity": name, "case": "SCAR", "points": 9, "error": error}])


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
        (True, False, ClaimVerdict.holds),  # the theorem is of true posteriors
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
        (  # one lucky interval among many makes no condition
            {"exclusive_context": "unbiased", "shared_nothing": "biased"}
            | {f"shared_labels_({n})": "biased" for n in range(9)},
            ClaimVerdict.fails,
        ),
        ({"exclusive_context": "undecided", "shared_nothing": "biased"}, ClaimVerdict.fails),
    ],
)
def test_learned_stratification(finish, labels, verdict):
    assert (
        judged(learned_stratification, finish("identification", results=mapped(**labels))).verdict is verdict
    )


def rates(finish, cut_short=(), **r2):
    """A finished step with this R² of implicitrm by learning rate, ``lr_0_001=-.2``."""
    frames, rows = [], []
    for key, value in r2.items():
        rate = float(key.removeprefix("lr_").replace("_", "-" if "e" in key else "."))
        values = {("implicitrm", m): value for m in ("r2", "auroc")}
        frames.append(scored(values, world="rating", bias_level=0.5, protocol="honest").assign(lr=rate))
        row = {"metric": "unconverged_share", "estimator": "implicitrm", "protocol": "honest", "lr": rate}
        rows.append({**row, "value": float(rate in cut_short)})
    results = pd.DataFrame(rows, columns=[*COLUMNS, *({"protocol", "lr"} - set(COLUMNS))])
    return finish("learning-rate", replicates=pd.concat(frames), results=results)


@pytest.mark.parametrize(
    ("edge", "bad", "verdict"),
    [
        (0.2, -0.2, ClaimVerdict.holds),
        (0.5, 0.2, ClaimVerdict.holds),  # what is judged is the fall, and not the sign
        (-0.2, -0.2, ClaimVerdict.fails),  # below 0, and no fall
        (0.2, 0.15, ClaimVerdict.fails),  # a fall that is not sharp
    ],
)
def test_a_sharp_fall_above_the_claimed_rate(finish, edge, bad, verdict):
    assert judged(sharp_fall, rates(finish, lr_0_0001=edge, lr_0_001=bad)).verdict is verdict


def test_fits_that_were_cut_short_are_marked(finish):
    found = judged(sharp_fall, rates(finish, (0.0001,), lr_0_0001=0.1, lr_0_001=0.1))
    marked = {row[0]: "cut short" in row[1] for row in found.tables[0].rows}
    assert marked == {"0.0001": True, "0.001": False}


def test_a_fall_needs_both_rates(finish):
    assert judged(sharp_fall, rates(finish, lr_0_01=0.2)).verdict is ClaimVerdict.untested
    one = judged(sharp_fall, rates(finish, lr_0_001=0.2))  # as the small form has it: a value, and no verdict
    assert one.verdict is ClaimVerdict.untested and "r2 0.001 honest" in one.quantities


@pytest.mark.parametrize(
    ("below", "inside", "verdict"),
    [
        (0.3, 0.1, ClaimVerdict.holds),
        (0.1, 0.3, ClaimVerdict.fails),
        (0.3002, 0.3, ClaimVerdict.fails),  # better, and by no whole interval
    ],
)
def test_the_best_rate_lies_below_the_range(finish, below, inside, verdict):
    found = judged(best_below, rates(finish, lr_0_00001=below, lr_0_001=inside))
    assert found.verdict is verdict


def test_a_better_rate_above_the_range_says_nothing_of_one_below(finish):
    found = judged(best_below, rates(finish, lr_0_00001=0.1, lr_0_001=0.2, lr_0_01=0.9))
    assert found.verdict is ClaimVerdict.fails


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


def test_the_public_numbers_are_of_known_methods():
    assert set(published_numbers().method) - set(METHODS) == {"ncrmf"}  # the same as rmf there
    assert not published_numbers().duplicated(["data", "method"]).any()


@pytest.mark.parametrize(
    ("claim", "name"),
    [(four_groups, "four groups"), (likelihood, "likelihood")],
    ids=["groups", "likelihood"],
)
@pytest.mark.parametrize(("error", "verdict"), [(1e-15, ClaimVerdict.holds), (1e-9, ClaimVerdict.fails)])
def test_identities_of_the_abstract(finish, claim, name, error, verdict):
    assert judged(claim, finish("risk", identities=identities(error, name))).verdict is verdict


@pytest.mark.parametrize(("bias", "verdict"), [(1e-15, ClaimVerdict.holds), (0.1, ClaimVerdict.fails)])
def test_other_losses(finish, bias, verdict):
    label = "exactly unbiased" if bias < 1e-12 else "biased"
    rows = [
        {"estimator": name, "case": "known α", "verdict": label, "bias": bias}
        for name in ("ips", "implicitrm")
    ]
    found = judged(other_losses, finish("risk", results=pd.DataFrame(rows)))
    assert found.verdict is verdict and "`implicitrm`" not in found.because
