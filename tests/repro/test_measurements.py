"""What the steps add to a study: policies of every replicate, and the learning rate as a column."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simbench.repro import downstream, identities, learning_rate, measurements, rates
from simbench.repro.identities import group_error, likelihood_error, naive_bias_error
from simbench.repro.measurements import measure_risk
from simbench.repro.run import Form, Run
from simbench.repro.studies import StudyFile
from simbench.score.policies import Prompts, best_of
from simbench.score.risk_table import collect
from simbench.study.finished import situations

STUDY = """
worlds:
  - {{name: copyable, reads: trait, trait: "feature:3", n_features: 4, responses_per_prompt: 8,
     test_size: 160}}
bias_levels: [1]
sizes: [400]
estimators: [{estimators}]
replicates: 4
"""


@pytest.fixture
def small(tmp_path):
    """A study file of these estimators."""

    def write(estimators):
        path = tmp_path / "small.yaml"
        path.write_text(STUDY.format(estimators=estimators))
        return StudyFile(str(path))

    return write


def test_the_value_of_policies_is_that_of_their_definition(small, tmp_path, monkeypatch):
    monkeypatch.setattr(downstream, "FILE", small("oracle, naive"))
    downstream.measure(Run(tmp_path), tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "replicates.parquet")
    found = next(cell for cell in next(situations(tmp_path / "out")) if cell.cell.estimator == "naive")
    test = found.cell.built().test
    prompts = Prompts.of(test.groups)
    policy = best_of(prompts.spread(found.predictions), n=4)
    for what, truth in (("value", test.reward), ("trait", test.trait)):
        rows = table[(table.estimator == "naive") & (table.metric == f"{what} best of 4")]
        assert rows.value.to_numpy() == pytest.approx(prompts.mean_under(policy, truth.astype(float)))
    assert (table.metric == "r2").any()  # beside the usual scores


def test_a_policy_out_of_reach_of_one_replicate_is_left_out(small, tmp_path, monkeypatch):
    """One replicate rewards all responses of a prompt alike: no KL is reached there."""
    monkeypatch.setattr(downstream, "FILE", small("oracle, naive"))
    downstream.measure(Run(tmp_path), tmp_path / "out")
    found = next(cell for cell in next(situations(tmp_path / "out")) if cell.cell.estimator == "naive")
    whole = set(downstream._values(found).metric)
    flat = found.predictions.copy()
    flat[0] = 0.5
    left = set(downstream._values(replace(found, predictions=flat)).metric)
    assert whole - left == {name for name in whole if " KL " in name} != set()
    assert {"value best of 4", "value best of 16"} <= left


def test_every_rate_is_a_study_and_a_value_of_the_column(small, tmp_path, monkeypatch):
    monkeypatch.setattr(learning_rate, "FILE", small("naive"))
    monkeypatch.setattr(learning_rate, "RATES", (1e-4, 1e-2))
    learning_rate.measure(Run(tmp_path), tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "replicates.parquet")
    r2 = table[table.metric == "r2"].groupby("lr").value.mean()
    assert list(r2.index) == [1e-4, 1e-2]
    assert r2.loc[1e-4] != pytest.approx(r2.loc[1e-2], abs=1e-3)
    assert set(pd.read_parquet(tmp_path / "out" / "results.parquet").lr) == {1e-4, 1e-2}


def test_naive_bias_is_compared_with_the_formula_in_every_case(tmp_path, monkeypatch):
    monkeypatch.setattr(measurements, "collect", lambda names, seed: collect(["naive"], seed))
    measure_risk(tmp_path)
    rows = pd.read_parquet(tmp_path / "identities.parquet")
    assert (rows.identity == "naive bias").sum() == 3 and (rows.error < 1e-12).all()
    assert set(rows.identity) == set(measurements.IDENTITY_NAMES)
    monkeypatch.setattr(identities, "stated_naive_bias", lambda at: at.reward * 0)
    assert naive_bias_error("known α") > 0.1 and np.isfinite(naive_bias_error("SCAR"))


@pytest.mark.parametrize(("error", "case"), [(group_error, "known α"), (likelihood_error, "unknown α")])
def test_eq_6_as_printed_is_neither_bayes_rule_nor_the_likelihood(error, case, monkeypatch):
    assert error(case) < 1e-12
    monkeypatch.setattr(identities, "OURS", "implicitrm@printed")
    assert error(case) > 0.1


def test_the_published_protocol_is_run_at_two_rates(small, tmp_path, monkeypatch):
    """Each method's own learning rate, times the factor; the protocol's name tells the rates apart."""
    file = small("naive")
    path = Path(file.name)
    path.write_text(path.read_text() + "parameters: {naive: {lr: 1.0e-4}}\nprotocols: [{name: published}]\n")
    monkeypatch.setattr(rates, "FILE", file)
    rates.measure(Run(tmp_path), tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "replicates.parquet")
    r2 = table[table.metric == "r2"].groupby("protocol").value.mean()
    assert set(r2.index) == {"published", "published, 5 x rate"}
    assert r2.iloc[0] != pytest.approx(r2.iloc[1], abs=1e-4)
    assert rates.config(Run(tmp_path), rates.FASTER).parameters["naive"]["lr"] == pytest.approx(5e-4)


def test_the_full_form_has_the_published_sizes(tmp_path):
    whole = rates.config(Run(tmp_path, Form.full), rates.PUBLISHED)
    assert [world.default_size for world in whole.worlds] == [28264, 97816, 118251]
    assert {world.responses.n_features for world in whole.worlds} == {4096} and whole.sizes == ()
    assert list(whole.parameters["recrec@published"]["hidden"]) == [512, 128]
