"""The table of policies of a finished study, and the command that makes it."""

import json

import numpy as np
import pandas as pd
import pytest

from simbench.cli.downstream import DownstreamOptions, downstream
from simbench.errors import BadInput
from simbench.score.policies import Prompts, tilted
from simbench.study.config import StudyConfig
from simbench.study.finished import situations
from simbench.study.policies import downstream_table, read_downstream
from simbench.study.policy_settings import Downstream
from simbench.study.run import run
from simbench.worlds.presets import PRESETS

WORLD = PRESETS["copyable"].changed(test_size=640)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("policies") / "out"
    config = StudyConfig(
        worlds=(WORLD,),
        bias_levels=(3.0,),
        sizes=(2000,),
        estimators=("oracle", "naive", "ips"),
        replicates=5,
        downstream=Downstream(betas=(0.1, 1e9), kls=(0.5, 1.0, 99.0), ns=(1, 8)),
    )
    run(config, out)
    return out


@pytest.fixture(scope="module")
def table(study) -> pd.DataFrame:
    return read_downstream(study)


def chosen(table, estimator, policy, strength, metric):
    rows = table[(table.estimator == estimator) & (table.policy == policy) & (table.metric == metric)]
    (row,) = rows[rows.strength == strength].itertuples()
    return row


def test_a_row_is_the_mean_over_replicates_of_what_its_policy_is_worth(study, table):
    found = next(cell for cells in situations(study) for cell in cells if cell.cell.estimator == "naive")
    test = found.cell.built().test
    values = []
    for predictions in found.predictions:
        own = []
        for group in np.unique(test.groups):
            members = test.groups == group
            weight = np.exp(predictions[members] / 0.1)
            own.append(weight @ test.reward[members] / weight.sum())
        values.append(np.mean(own))
    row = chosen(table, "naive", "tilted", 0.1, "value")
    assert row.value == pytest.approx(np.mean(values), abs=1e-12) and row.low < row.value < row.high
    assert row.n_replicates == 5 and row.trait == "feature:29"


def test_differences_are_paired_with_the_oracle_at_the_same_strength(table):
    at = ("tilted to KL", 1.0)
    gap = chosen(table, "naive", *at, "value").value - chosen(table, "oracle", *at, "value").value
    paired, own = (chosen(table, name, *at, "value_over_oracle") for name in ("naive", "oracle"))
    assert paired.value == pytest.approx(gap, abs=1e-12)
    assert own.low == own.value == own.high == 0


def test_what_does_nothing_is_worth_what_the_reference_is(table):
    (reference,) = table[(table.policy == "reference") & (table.metric == "value")].value
    for policy, strength in (("tilted", 1e9), ("best of n", 1)):
        for name in ("truth", "oracle", "naive", "ips"):
            assert chosen(table, name, policy, strength, "value").value == pytest.approx(reference, abs=1e-8)
            assert chosen(table, name, policy, strength, "kl").value == pytest.approx(0, abs=1e-12)


def test_the_naive_policy_learns_the_trait_that_users_act_on(table):
    """Users act on it at λ = 3, and it says next to nothing of the reward."""
    at = ("tilted to KL", 1.0)
    naive, oracle = (chosen(table, name, *at, "trait") for name in ("naive", "oracle"))
    assert naive.low > 0.7 > 0.3 > abs(oracle.value)
    assert chosen(table, "naive", *at, "value_over_oracle").high < -0.05
    assert chosen(table, "truth", *at, "value").value > chosen(table, "oracle", *at, "value").high - 0.02


def test_a_kl_out_of_reach_is_left_out(table):
    assert set(table[table.policy == "tilted to KL"].strength) == {0.5, 1.0}


def test_the_logit_can_be_exponentiated_instead(study):
    table = downstream_table(study, Downstream(rewards=("logit",), betas=(1.0,), kls=(), ns=()))
    found = next(cell for cells in situations(study) for cell in cells if cell.cell.estimator == "naive")
    test = found.cell.built().test
    prompts = Prompts.of(test.groups)
    safe = found.predictions.clip(1e-7, 1 - 1e-7)
    policy = tilted(prompts.spread(np.log(safe / (1 - safe))), 1.0)
    expected = prompts.mean_under(policy, test.reward).mean()
    assert chosen(table, "naive", "tilted", 1.0, "value").value == pytest.approx(expected, abs=1e-9)
    assert set(table[table.policy == "tilted"].reward) == {"logit"}


def test_the_command_prints_every_estimator_at_one_kl(study, capsys, table):
    before = (study / "downstream.parquet").read_bytes()
    downstream(DownstreamOptions(folder=str(study), at=0.5))
    printed = capsys.readouterr().out
    assert "policies at a KL of 0.5 nats" in printed and "reference" in printed
    assert f"{chosen(table, 'naive', 'tilted to KL', 0.5, 'value').value:.3f}" in printed
    (study / "downstream.parquet").write_bytes(before)
    with pytest.raises(BadInput, match="99"):
        downstream(DownstreamOptions(folder=str(study), at=99.0))
    with pytest.raises(BadInput, match="--reward"):
        downstream(DownstreamOptions(folder=str(study), reward="rank"))
    (study / "downstream.parquet").write_bytes(before)


def test_folders_that_cannot_be_read_are_refused(study, tmp_path):
    with pytest.raises(BadInput, match=r"study\.json cannot be read"):
        downstream_table(tmp_path)
    with pytest.raises(BadInput, match="simbench downstream"):
        read_downstream(tmp_path)
    description = json.loads((study / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(description))
    with pytest.raises(BadInput, match="no finished cell"):
        downstream_table(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps({**description, "simbench": "0.0.1"}))
    with pytest.raises(BadInput, match=r"made by simbench 0\.0\.1"):
        downstream_table(tmp_path)


def test_prompts_of_one_response_leave_no_choice(tmp_path):
    world = PRESETS["exclusive"].changed(responses_per_prompt=1, test_size=100)
    config = StudyConfig(worlds=(world,), sizes=(200,), estimators=("naive",), replicates=1)
    run(config, tmp_path / "out")
    with pytest.raises(BadInput, match="no choice"):
        downstream_table(tmp_path / "out")
