"""Verdicts and the table: read from hand-made predictions, without any training."""

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from simbench.errors import BadInput
from simbench.score.estimate import Estimate
from simbench.score.moments import score
from simbench.score.squared_mean import gram_matrix
from simbench.score.squared_mean import spread as spread_of
from simbench.score.verdicts import verdict
from simbench.study.cell import Outcome
from simbench.study.config import StudyConfig, cells_of
from simbench.study.protocol import EvaluationProtocol
from simbench.study.run import run
from simbench.study.scoring import RANKING, Scorer, table
from simbench.study.shards import Shards
from simbench.study.table import OF_A_STUDY, read_table, to_json, write_table
from simbench.worlds.presets import PRESETS

REPLICATES = 6
WORLD = PRESETS["exclusive"].changed(test_size=100, n_features=3, n_context=2, prompt_difficulty=0.0)
CONFIG = StudyConfig(
    worlds=(WORLD,),
    bias_levels=(0.5, 2.0),
    sizes=(60, 80),
    estimators=("oracle", "naive", "naive-sqrt", "nnpu", "ips", "bpr"),
    replicates=20,
    seed=3,
    grant=("propensity", "propensity:distorted", "class prior"),
    margin=0.1,
    level=0.8,
    protocols=(EvaluationProtocol(replicates=REPLICATES),),
)
WEIGHTS = {"largest_weight": 7.5}
RESTARTS = {"restarts_disagree": 0.25}
# offsets of the replicates: none, and so many that six replicates do not decide
STEADY = np.array([1, -1, 1, -1, 1, -1]) * 0.01
SCATTERED = np.array([-3, -2, -1, 1, 2, 3]) * 0.04


def spread(means):
    """A value for each replicate, so that the mean is the given one."""
    return {name: (value + 10 * STEADY).tolist() for name, value in means.items()}


@cache
def planned():
    return cells_of(CONFIG)


def situation_of(cell):
    return cell.protocol.name, cell.size, cell.bias_level


def shifted(cell, offsets) -> np.ndarray:
    """The true reward, moved towards 1/2: the error is the offset of the replicate in every row, but for a
    sign that cancels in squares and products."""
    reward = cell.built().test.reward
    return reward + np.where(reward < 0.5, 1, -1) * np.asarray(offsets)[:, None]


def oracle_offset(cell) -> float:
    """The oracle's own bias, another one in every situation."""
    protocol, size, level = situation_of(cell)
    world = 0.05 * (cell.world.name == "other")
    return 0.02 + 0.04 * (level == 2.0) + 0.08 * (size == 80) + 0.03 * (protocol == "other") + world


def predictions_for(cell) -> np.ndarray:
    offsets = {
        "oracle": oracle_offset(cell) + STEADY,
        "naive": 0.25 + STEADY,
        "naive-sqrt": 0.05 + STEADY,
        "nnpu": 0.1 + SCATTERED,
        "ips": -0.02 + STEADY,
        "bpr": 0.3 + STEADY,
    }
    return shifted(cell, offsets[cell.estimator])


def knows(cell) -> str:
    told = {"oracle": "truth", "naive": "nothing", "naive-sqrt": "context", "nnpu": "class prior"}
    return told.get(cell.estimator, "propensity" if cell.estimator == "ips" else "nothing")


class ByHand:
    """An executor that writes shards in place of training, and tells of them in another order."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def check(self, device, shards):
        pass

    def run(self, cells, shards):
        for number, cell in enumerate(reversed(cells)):
            if "propensity:distorted" in cell.grant:
                yield Outcome(cell, "skipped", "needs a reason", 0.0)
            else:
                each = {"weights": spread(WEIGHTS), "restarts": spread(RESTARTS)}
                shards.write(cell.key, predictions_for(cell), {"knows": knows(cell), **each})
                yield Outcome(cell, "ok", "", float(number))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("results") / "out"
    made = run(CONFIG, out, ByHand())
    pd.testing.assert_frame_equal(read_table(out), made)
    return made


def rows_of(found, cell):
    """The rows of a cell, by metric."""
    here = found[
        (found.protocol == cell.protocol.name)
        & (found["size"] == cell.size)
        & (found.bias_level == cell.bias_level)
        & (found.estimator == cell.estimator)
        & (found.status == "ok")
    ]
    return here.set_index("metric")


def finished(*estimators):
    chosen = [c for c in planned() if c.grant != ("propensity:distorted",)]
    return [c for c in chosen if not estimators or c.estimator in estimators]


def corrected_square(errors) -> float:
    """Mean over responses and over pairs of different replicates of the product of their errors."""
    pairs = [(a * b).mean() for i, a in enumerate(errors) for j, b in enumerate(errors) if i != j]
    return float(np.mean(pairs))


def test_distance_and_excess_are_to_the_oracle_of_the_same_situation(found):
    by_situation = {situation_of(c): c for c in finished("oracle")}
    assert len(by_situation) == 4
    for cell in finished("oracle", "naive", "naive-sqrt", "nnpu", "ips"):
        reward = cell.built().test.reward
        mine = predictions_for(cell) - reward
        theirs = predictions_for(by_situation[situation_of(cell)]) - reward
        rows = rows_of(found, cell)
        assert rows.value["bias2"] == pytest.approx(corrected_square(mine), abs=1e-6)
        expected = corrected_square(mine) - corrected_square(theirs)
        assert rows.value["excess_bias2"] == pytest.approx(expected, abs=1e-6)
        assert rows.value["distance2"] == pytest.approx(corrected_square(mine - theirs), abs=1e-6)
        assert rows.value["excess_mse"] == pytest.approx((mine**2).mean() - (theirs**2).mean(), abs=1e-6)


@pytest.mark.parametrize(
    "two",
    [
        {"protocols": (EvaluationProtocol(replicates=6), EvaluationProtocol(name="other", replicates=6))},
        {"worlds": (WORLD, WORLD.model_copy(update={"name": "other"}))},
        {"sizes": (60, 80)},
        {"bias_levels": (0.5, 2.0)},
    ],
    ids=lambda two: next(iter(two)),
)
def test_what_parts_two_situations(two):
    """Two that are alike but in one respect, each with the oracle of its own as the reference."""
    usual = {"sizes": (60,), "bias_levels": (0.5,), "estimators": ("oracle", "naive-sqrt"), "grant": ()}
    cells = cells_of(CONFIG.model_copy(update={**usual, **two}))
    shards = Shards("memory://parted")
    outcomes = {outcome.cell.key: outcome for outcome in ByHand().run(cells, shards)}
    made = table(CONFIG, [outcomes[cell.key] for cell in cells], shards)
    assert made.verdict[made.estimator == "oracle"].tolist().count("reference") == 2
    found = made.value[(made.estimator == "naive-sqrt") & (made.metric == "excess_bias2")]
    offsets = [oracle_offset(cell) for cell in cells if cell.estimator == "oracle"]
    assert offsets[0] != offsets[1]
    assert found.tolist() == pytest.approx([0.05**2 - offset**2 for offset in offsets], abs=1e-4)


def test_verdicts_are_against_the_square_of_the_margin(found):
    """A bias of .25 is beyond the margin of .1 from every oracle's; where the oracle is off by .14, one of
    -.02 is nearer to the truth."""
    seen = set()
    for cell in finished("oracle", "naive", "naive-sqrt", "ips"):
        verdicts = rows_of(found, cell).verdict
        own = {"oracle": oracle_offset(cell), "naive": 0.25, "naive-sqrt": 0.05, "ips": -0.02}[cell.estimator]
        oracle = oracle_offset(cell)
        beyond = "nearer than oracle" if abs(own) < abs(oracle) else "biased"
        expected = "unbiased" if abs(own - oracle) < 0.1 else beyond
        expected = "reference" if cell.estimator == "oracle" else expected
        assert verdicts["distance2"] == expected, cell.estimator
        assert (verdicts.drop("distance2") == "").all()
        seen.add(expected)
    assert seen == {"reference", "unbiased", "biased", "nearer than oracle"}
    first = next(cell for cell in finished("nnpu"))
    rows = rows_of(found, first)
    assert rows.low["distance2"] < 0.01 < rows.high["distance2"]
    assert rows.verdict["distance2"] == "undecided"


def test_the_grounds_of_a_verdict_stand_beside_it(found):
    first = next(cell for cell in finished("naive"))
    row = rows_of(found, first).loc["distance2"]
    assert f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}], margin 0.0100" in row.reason
    undecided = rows_of(found, finished("nnpu")[0])
    row = undecided.loc["distance2"]
    first = finished("nnpu")[0]
    oracle = next(c for c in finished("oracle") if situation_of(c) == situation_of(first))
    mine, theirs = (predictions_for(c).astype(np.float32).astype(float) for c in (first, oracle))
    noise, distance = spread_of(gram_matrix(mine, theirs)), Estimate(row.value, row.low, row.high)
    expected = verdict(distance, distance, margin=0.01, noise=noise)
    assert row.reason == expected.reason and "replicates decide" in row.reason
    assert (undecided.reason.drop("distance2") == "").all()


def test_intervals_have_the_stated_level_and_lie_around_the_value(found):
    cell = finished("nnpu")[0]
    test, rows = cell.built().test, rows_of(found, cell)
    stored = predictions_for(cell).astype(np.float32).astype(float)
    for name, estimate in score(stored, test.reward, test.groups, level=0.8).items():
        assert tuple(rows.loc[name, ["value", "low", "high"]]) == pytest.approx(
            (estimate.value, estimate.low, estimate.high), abs=1e-12
        )
    wide = table(CONFIG.model_copy(update={"level": 0.99}), *one_situation(found, cell))
    wide = wide[wide.estimator == "nnpu"].set_index("metric")
    for metric in ("mse", "distance2"):
        assert (
            wide.low[metric] < rows.low[metric] < rows.value[metric] < rows.high[metric] < wide.high[metric]
        )


def one_situation(found, cell):
    """Outcomes of the situation of this cell, and shards in memory."""
    shards = Shards("memory://one-situation")
    here = [c for c in finished("oracle", cell.estimator) if situation_of(c) == situation_of(cell)]
    return list(ByHand().run(here, shards)), shards


def test_scores_without_a_level_are_judged_by_ranking_alone(found):
    for cell in finished("bpr"):
        rows = rows_of(found, cell)
        assert set(rows.index) == {*RANKING, "swapped_share", *WEIGHTS, *RESTARTS}
        assert (rows.verdict == "").all()
    assert RANKING == ("auroc", "pairwise_accuracy", "regret")


def test_rows_stand_in_the_order_of_the_plan_and_say_which_cell_they_are_of(found):
    assert list(found.columns) == OF_A_STUDY and len(set(OF_A_STUDY)) == 17
    keys = ["protocol", "size", "bias_level", "estimator", "status"]
    order = found[keys].drop_duplicates().itertuples(index=False)
    skipped = ("propensity:distorted",)
    told = [(*situation_of(c), c.estimator, "skipped" if c.grant == skipped else "ok") for c in planned()]
    assert [tuple(row) for row in order] == told
    assert set(found.world) == {"exclusive"} and set(found.behaviour) == {"logit"}
    assert set(found.n_replicates) == {REPLICATES}
    number = {cell.key: n for n, cell in enumerate(reversed(planned()))}
    for cell in finished():
        rows = rows_of(found, cell)
        assert set(rows.seconds) == {float(number[cell.key])} and set(rows.knows) == {knows(cell)}


def test_what_was_not_run_is_one_row_with_its_reason_and_what_it_would_have_been_told(found):
    skipped = found[found.status == "skipped"]
    assert len(skipped) == 4 and set(skipped.estimator) == {"ips"}
    assert set(skipped.reason) == {"needs a reason"} and set(skipped.knows) == {"propensity (distorted)"}
    assert skipped[["value", "low", "high"]].isna().all(axis=None)
    assert set(skipped.metric) == set(skipped.verdict) == {""}


def test_what_a_fit_says_of_itself_is_a_value_without_an_interval(found):
    for cell in finished("naive", "bpr"):
        rows = rows_of(found, cell)
        assert rows.value[["largest_weight", "restarts_disagree"]].tolist() == pytest.approx([7.5, 0.25])
        alone = rows.loc[["largest_weight", "restarts_disagree", "swapped_share"], ["low", "high"]]
        assert alone.isna().all(axis=None)


def test_without_an_oracle_nothing_is_an_excess_and_nothing_has_a_verdict(found):
    """An oracle that failed has no predictions to compare with."""
    outcomes, shards = one_situation(found, finished("naive")[0])
    broken = [
        Outcome(o.cell, "failed", "diverged", 1.0) if o.cell.estimator == "oracle" else o for o in outcomes
    ]
    made = table(CONFIG, broken, shards)
    assert not made.metric.str.startswith("excess").any() and (made.verdict == "").all()
    assert "bias2" in set(made.metric)
    assert made[made.estimator == "oracle"].reason.tolist() == ["diverged"]


# -- who ranks like the propensity -------------------------------------------------------------


def between(test, share):
    """A score whose ranks are a mixture of the propensity's and the reward's, not of their values."""
    rank = [np.argsort(np.argsort(values)) for values in (test.propensity, test.reward)]
    return np.exp((share * rank[0] + (1 - share) * rank[1]) / len(test.reward) * 60) / np.exp(60)


def leaning(test, scores) -> float:
    return spearmanr(scores, test.propensity).statistic - spearmanr(scores, test.reward).statistic


def test_swapped_are_the_replicates_that_clearly_rank_like_the_propensity():
    cell = finished("naive")[-1].model_copy(update={"replicates": 7})
    test = cell.built().test
    shares = np.linspace(0, 1, 201)
    leans = np.array([leaning(test, between(test, share)) for share in shares])
    hardly, clearly = shares[np.argmin(abs(leans - 0.05))], shares[np.argmin(abs(leans - 0.15))]
    rows = [
        test.reward**3,  # like the reward, and not like its values
        between(test, hardly),
        between(test, clearly),
        test.propensity**9,
        np.full(len(test.reward), 0.5),  # ranks nothing
        1 - test.propensity,
        test.propensity**2,
    ]
    lean = [leaning(test, row) if np.ptp(row) else 0 for row in rows]
    assert 0.02 < lean[1] < 0.08 and 0.12 < lean[2] < 0.18
    shards = Shards("memory://swapped")
    shards.write(cell.key, np.stack(rows), {"knows": "nothing", "weights": {}, "restarts": {}})
    made = table(CONFIG, [Outcome(cell, "ok", "", 0.0)], shards).set_index("metric")
    assert made.value["swapped_share"] == pytest.approx(3 / 7)


def test_no_one_is_swapped_where_all_act_alike():
    config = CONFIG.model_copy(update={"bias_levels": (0.0,), "estimators": ("oracle", "naive")})
    cell = cells_of(config)[1]
    shards = Shards("memory://alike")
    outcomes = list(ByHand().run([cell], shards))
    assert "swapped_share" not in set(table(config, outcomes, shards).metric)


# -- efficiency --------------------------------------------------------------------------------


def bound(world, known: bool) -> float:
    """Mean Cramér-Rao bound in NumPy: Fisher information of ``p = σ(θx) σ(ηz)``, gradients by hand."""
    x, z, test = (
        np.column_stack([part, np.ones(len(part))]).astype(float)
        for part in (world.train.features, world.train.context, world.test.features)
    )
    gamma, alpha = world.train.reward[:, None], world.train.propensity[:, None]
    p = gamma * alpha
    slopes = [alpha * gamma * (1 - gamma) * x] + ([] if known else [gamma * alpha * (1 - alpha) * z])
    slope = np.concatenate(slopes, axis=1)
    covariance = np.linalg.inv(slope.T @ (slope / (p * (1 - p))))[: x.shape[1], : x.shape[1]]
    at = world.test.reward[:, None] * (1 - world.test.reward[:, None]) * test
    return float(((at @ covariance) * at).sum(1).mean())


def test_efficiency_is_the_bound_over_the_mse_by_what_the_estimator_knew(found):
    for cell in finished("naive-sqrt", "ips"):
        rows = rows_of(found, cell)
        if rows.verdict["distance2"] != "unbiased":
            continue
        expected = bound(cell.built(), known=cell.estimator == "ips")
        row, mse = rows.loc["efficiency"], rows.loc["mse"]
        assert row.value * mse.value == pytest.approx(expected, rel=1e-4)
        assert row.low * mse.high == pytest.approx(expected, rel=1e-4)
        assert row.high * mse.low == pytest.approx(expected, rel=1e-4)
    known, unknown = (bound(finished("ips")[0].built(), k) for k in (True, False))
    assert unknown > 1.5 * known


def of_draws(config, outcomes, shards):
    """The table of draws: it keeps the bound of estimators that are not found unbiased."""
    scorer = Scorer(config, [outcome.cell for outcome in outcomes], shards)
    for outcome in outcomes:
        scorer.take(outcome)
    return scorer.table()


def test_an_efficiency_stands_only_beside_who_is_found_unbiased(found):
    for cell in finished("oracle", "naive", "naive-sqrt", "ips"):
        rows = rows_of(found, cell)
        assert ("efficiency" in rows.index) == (rows.verdict["distance2"] == "unbiased"), cell.estimator


def efficient(cell, told) -> bool:
    shards = Shards("memory://efficient")
    shards.write(cell.key, predictions_for(cell), {"knows": told, "weights": {}, "restarts": {}})
    return "efficiency" in set(of_draws(CONFIG, [Outcome(cell, "ok", "", 0.0)], shards).metric)


def test_no_bound_is_claimed_for_other_knowledge_or_another_law():
    cell = finished("naive")[0]
    for told, has in {
        "nothing": True, "context": True, "propensity": True, "propensity, class prior": False,
        "class prior": False, "propensity (distorted)": False, "context, labels": False, "truth": False,
    }.items():  # fmt: skip
        assert efficient(cell, told) == has, told
    for law in ({"misclick": 0.05}, {"signals": 2}, {"always_share": 0.1}, {"reward": "mlp"}):
        other = cell.model_copy(update={"world": WORLD.changed(**law)})
        assert not efficient(other, "propensity"), law


def test_perfect_predictions_have_a_finite_efficiency():
    cell = finished("naive")[0]
    world = cell.built()
    shards = Shards("memory://perfect")
    facts = {"knows": "propensity", "weights": {}, "restarts": {}}
    exact = np.tile(world.test.reward.astype(np.float32), (REPLICATES, 1))
    assert ((exact - world.test.reward) ** 2).mean() < 1e-14
    shards.write(cell.key, exact, facts)
    made = of_draws(CONFIG, [Outcome(cell, "ok", "", 0.0)], shards).set_index("metric")
    assert 1e6 < made.value["efficiency"] < np.inf


# -- files -------------------------------------------------------------------------------------


def test_a_table_that_is_not_there_or_damaged_is_one_sentence(tmp_path, found):
    with pytest.raises(BadInput, match="does not exist: finish the study first"):
        read_table(tmp_path)
    write_table(tmp_path / "results.parquet", found)
    pd.testing.assert_frame_equal(read_table(tmp_path), found)
    (tmp_path / "results.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInput, match=r"cannot be read .*run the study again"):
        read_table(tmp_path)


def test_json_has_every_digit_and_null_for_what_is_not_a_number():
    frame = pd.DataFrame({"metric": ["auroc", ""], "value": [0.123456789012345, np.nan]})
    assert json.loads(to_json(frame)) == [
        {"metric": "auroc", "value": 0.123456789012345},
        {"metric": "", "value": None},
    ]
