"""Policies of hand-made predictions: every row of the table against a loop over prompts."""

from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError

from simbench.files.location import Location
from simbench.score.estimate import over_replicates
from simbench.study.config import StudyConfig, cells_of
from simbench.study.folder import describe
from simbench.study.policies import COLUMNS, downstream_table
from simbench.study.policy_settings import Downstream
from simbench.study.protocol import EvaluationProtocol
from simbench.study.shards import Shards
from simbench.worlds.presets import PRESETS

PER_PROMPT = 3
WORLD = PRESETS["copyable"].changed(
    test_size=102, responses_per_prompt=PER_PROMPT, n_features=30, trait="feature:28"
)
PLAIN = PRESETS["shared"].changed(test_size=102, responses_per_prompt=PER_PROMPT)
CONFIG = StudyConfig(
    worlds=(WORLD, PLAIN),
    sizes=(60,),
    estimators=("oracle", "naive", "ips"),
    replicates=5,
    level=0.7,
    protocols=(EvaluationProtocol(), EvaluationProtocol(name="other", oracle_stopping=True)),
)
SETTINGS = Downstream(rewards=("probability", "logit"), betas=(0.3, 2.0), kls=(0.2, 1.09, 1.2), ns=(1, 2))


def predictions_for(number, cell):
    """Rounded, so that there are ties; of 0 and 1 as well, whose logits are not finite."""
    found = np.random.default_rng(number).random((5, len(cell.built().test.reward))).round(1)
    return 0.5 * found + 0.5 * (cell.built().test.reward > 0.5) if cell.estimator == "oracle" else found


@pytest.fixture(scope="module")
def cells():
    return cells_of(CONFIG)


@pytest.fixture(scope="module")
def table(cells, tmp_path_factory):
    folder = Location(tmp_path_factory.mktemp("curves"))
    describe(folder, CONFIG)
    for number, cell in enumerate(cells):
        if (cell.estimator, cell.world, cell.protocol.name) != ("oracle", PLAIN, "other"):
            predictions = predictions_for(number, cell)
            Shards(folder / "shards").write(cell.key, predictions, {"knows": f"number {number}"})
    return downstream_table(folder, SETTINGS)


def policy_of(scores, kind, strength):
    """Probability of each of a prompt's responses; best of n by writing out all draws."""
    if kind == "tilted":
        weight = np.exp((scores - scores.max()) / strength)
        return weight / weight.sum()
    chosen = np.zeros(len(scores))
    for draws in product(range(len(scores)), repeat=strength):
        best = max(scores[list(draws)])
        winners = [draw for draw in draws if scores[draw] == best]
        for winner in winners:
            chosen[winner] += 1 / len(winners) / len(scores) ** strength
    return chosen


def by_hand(scores, kind, strength, test) -> dict[str, float]:
    """KL to the uniform reference, value and trait of one replicate: means over prompts."""
    found = {"kl": [], "value": [], "trait": []}
    for prompt in np.unique(test.groups):
        rows = np.flatnonzero(test.groups == prompt)
        chosen = policy_of(scores[rows], kind, strength)
        found["kl"].append(sum(p * np.log(p * len(rows)) for p in chosen if p > 1e-300))
        found["value"].append(chosen @ test.reward[rows])
        found["trait"].append(0 if test.trait is None else chosen @ test.trait[rows])
    return {metric: float(np.mean(values)) for metric, values in found.items()}


def rows_of(table, cell, estimator, reward, policy, strength):
    here = table[
        (table.protocol == cell.protocol.name)
        & (table.world == cell.world.name)
        & (table.estimator == estimator)
        & (table.reward == reward)
        & (table.policy == policy)
        & (table.strength == strength)
    ]
    assert here.metric.is_unique
    return here.set_index("metric")


def stored(cells, number):
    return predictions_for(number, cells[number]).astype(np.float32).astype(float)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(
    ("reward", "kind", "strength"),
    [
        ("probability", "tilted", 0.3),
        ("probability", "tilted", 2.0),
        ("logit", "tilted", 2.0),
        ("rank", "best of n", 1),
        ("rank", "best of n", 2),
    ],
)
def test_a_policy_is_worth_what_a_loop_over_prompts_says(number, reward, kind, strength, cells, table):
    cell = cells[number]
    test, values = cell.built().test, stored(cells, number)
    if reward == "logit":
        safe = values.clip(1e-7, 1 - 1e-7)
        values = np.log(safe / (1 - safe))
    found = [by_hand(row, kind, strength, test) for row in values]
    rows = rows_of(table, cell, cell.estimator, reward, kind, strength)
    expected = {"kl", "value", *(["trait"] if cell.world == WORLD else [])}
    expected |= {f"{name}_over_oracle" for name in expected - {"kl"}}
    assert set(rows.index) == expected and set(rows.knows) == {f"number {number}"}
    assert set(rows.n_replicates) == {5} and set(rows.trait) == {cell.world.responses.trait or ""}
    for metric in expected & {"kl", "value", "trait"}:
        each = np.array([one[metric] for one in found])
        estimate = over_replicates(each, level=0.7)
        row = rows.loc[metric]
        assert (row.value, row.low, row.high) == pytest.approx(
            (each.mean(), estimate.low, estimate.high), abs=1e-6
        )


@pytest.mark.parametrize(("policy", "strength"), [("tilted", 0.3), ("best of n", 2), ("tilted to KL", 0.2)])
def test_differences_are_paired_with_the_oracle_of_the_same_situation(policy, strength, cells, table):
    reward = "rank" if policy == "best of n" else "probability"
    for cell in cells[:6]:
        oracle, own = (
            rows_of(table, cell, who, reward, policy, strength) for who in ("oracle", cell.estimator)
        )
        for metric in ("value", "trait") if cell.world == WORLD else ("value",):
            row = own.loc[f"{metric}_over_oracle"]
            assert row.value == pytest.approx(own.value[metric] - oracle.value[metric], abs=1e-9)
            width = row.high - row.low
            assert width == 0 if cell.estimator == "oracle" else width > 0
    if policy != "tilted to KL":
        each = [
            [by_hand(row, policy, strength, cells[0].built().test)["value"] for row in stored(cells, number)]
            for number in (0, 1)
        ]
        gap = over_replicates(np.subtract(each[1], each[0]), level=0.7)
        row = rows_of(table, cells[1], "naive", reward, policy, strength).loc["value_over_oracle"]
        assert (row.low, row.high) == pytest.approx((gap.low, gap.high), abs=1e-6)


def test_without_a_finished_oracle_there_is_nothing_to_be_over(table):
    here = table[(table.protocol == "other") & (table.world == "shared")]
    assert set(here.estimator) == {"reference", "truth", "naive", "ips"}
    assert set(here.metric) == {"kl", "value"}


def test_the_reference_and_the_truth_stand_in_every_situation(cells, table):
    for cell in cells[::3]:
        test = cell.built().test
        reference = rows_of_reference(table, cell)
        means = [test.reward[test.groups == prompt].mean() for prompt in np.unique(test.groups)]
        assert reference.value["value"] == pytest.approx(np.mean(means))
        assert reference.value["kl"] == pytest.approx(0, abs=1e-12)
        assert set(reference.knows) == set(reference.reward) == {""} and reference.strength.isna().all()
        for kind, reward, strength in (("tilted", "probability", 0.3), ("best of n", "rank", 2)):
            rows = rows_of(table, cell, "truth", reward, kind, strength)
            expected = by_hand(test.reward, kind, strength, test)
            assert rows.value["value"] == pytest.approx(expected["value"])
            assert rows.value["kl"] == pytest.approx(expected["kl"])
            assert set(rows.knows) == {"truth"} and set(rows.n_replicates) == {1}
            assert not rows.index.str.endswith("over_oracle").any() and rows.low.isna().all()


def rows_of_reference(table, cell):
    here = (table.protocol == cell.protocol.name) & (table.world == cell.world.name)
    return table[here & (table.policy == "reference")].set_index("metric")


def test_a_kl_is_spent_in_every_replicate_if_it_is_within_reach(cells, table):
    """The most that a choice of one in three can spend is log 3 = 1.0986 nats; ties may keep from it."""
    assert list(table.columns) == COLUMNS
    assert set(table[table.policy == "tilted to KL"].strength) == {0.2, 1.09}
    assert set(table[table.policy == "tilted to KL"].reward) == {"probability", "logit"}
    rows = rows_of(table, cells[1], "naive", "probability", "tilted to KL", 0.2)
    assert rows.value["kl"] == pytest.approx(0.2, abs=1e-6)
    assert (rows.low["kl"], rows.high["kl"]) == pytest.approx((0.2, 0.2), abs=1e-6)


def test_strengths_are_positive_and_the_defaults_are_stated():
    usual = Downstream()
    assert usual.rewards == ("probability",) and usual.ns == tuple(2**k for k in range(9))
    assert usual.betas == (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    assert usual.kls == (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
    assert Downstream(betas=(1e-3,), kls=(1e-3,), ns=(1,)).ns == (1,)
    for impossible in ({"betas": (0.0,)}, {"kls": (0.0,)}, {"ns": (0,)}, {"rewards": ("rank",)}, {"n": 1}):
        with pytest.raises(ValidationError):
            Downstream(**impossible)
