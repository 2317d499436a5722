"""``simbench check``: whose estimator it is, what is examined, and how to run it."""

import json

from simbench.cli import check as command

MINE = """
from simbench.estimator.estimator import Estimator
from simbench.training.losses import cross_entropy

class Mine(Estimator):
    name = "mine"

    def reward_loss(self, out, batch):
        return cross_entropy(out.reward, batch.feedback)
"""


def test_verdicts_for_a_program(simbench):
    out, said = simbench("check", "ips", "naive", "--format", "json")
    verdicts = {row["estimator"]: row["verdict"] for row in json.loads(out) if row["case"] == "known α"}
    assert verdicts == {"ips": "exactly unbiased", "naive": "biased"} and said == ""


def test_who_conforms_is_told_how_to_be_run(simbench, monkeypatch, tmp_path):
    monkeypatch.setattr(
        command, "_examine", lambda names, seconds: [name for name in names if "worse" in name]
    )
    for name in ("mine", "worse"):
        (tmp_path / f"{name}.py").write_text(MINE)
    mine, worse = (f"{tmp_path / name}.py:Mine" for name in ("mine", "worse"))
    _, said = simbench("check", mine, "naive")
    assert said.splitlines() == [f"run it with: simbench run --estimator {mine}"]
    _, said = simbench("check", mine, worse, code=1)
    assert f"--estimator {mine}" in said and f"--estimator {worse}" not in said
    assert f"does not conform: {worse}" in said


def test_the_kit_is_run_on_whom_the_option_says(simbench, monkeypatch):
    examined = []
    monkeypatch.setattr(command, "_examine", lambda names, seconds: examined.append(names) or [])
    simbench("check", "naive")
    simbench("check", "naive", "--conformance")
    simbench("check", "simbench_estimators.naive:Naive", "--no-conformance")
    assert examined == [[], ["naive"], []]


def test_who_states_no_risk_is_named(simbench):
    out, said = simbench("check", "cascade-mle")
    assert out == "" and said == "cascade-mle states no risk that could be integrated: see --conformance.\n"
