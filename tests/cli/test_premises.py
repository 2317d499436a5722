"""Bounds, sensitivity and labels on the command line: what they print and write, and what they refuse."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simbench.worlds.world import world

ARGUMENTS = ("--features", "col:emb_", "--context", "z0,z1,z2,z3", "--groups", "prompt")
FAST = ("--parameter", "epochs=15", "--parameter", "hidden=()", "--parameter", "lr=.03")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    drawn, truth = world("exclusive", bias_level=2, size=600, seed=3).draw(range(1))
    assert drawn.context is not None
    rng, reward = np.random.default_rng(0), truth.reward
    frame = (
        pd.DataFrame(drawn.features)
        .add_prefix("emb_")
        .assign(
            **{f"z{k}": np.asarray(drawn.context)[:, k] for k in range(4)},
            clicked=drawn.feedback[0].astype(int),
            prompt=drawn.groups,
            model=np.where(reward > 0.5, "new", "old"),
            good=np.where(rng.random(len(reward)) < 0.3, truth.preference[0].astype(float), np.nan),
            few=np.where(np.arange(len(reward)) < 5, 1.0, np.nan),
            chance=0.3,
        )
    )
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    frame.to_parquet(path)
    return path


def test_diagnose_says_what_holds_without_identification(simbench, log):
    more = ("--least-propensity", 0.25, "--mean-above", 0.2, "--compare", "model", "--labels", "good")
    said = simbench("diagnose", log, *ARGUMENTS, *FAST, *more, "--label-probability", "chance").stdout
    verdict, *_ = (line for line in said.splitlines() if line.startswith("VERDICT"))
    after = said[said.index(verdict) + len(verdict) :]
    assert "a propensity of at least 0.25 leaves" in after
    assert "if context moves only propensity" in after
    assert "mean reward above 0.2" in after and "new better than old" in after
    assert "pairs of a prompt that keep order" in after
    assert "mean reward by labels and fit" in after and "is the fitted reward calibrated?" in after
    assert max(map(len, after.splitlines())) <= 80


def test_diagnose_says_nothing_of_it_unasked(simbench, log):
    said = simbench("diagnose", log, *ARGUMENTS, *FAST, "--labels", "few").stdout
    assert said.rstrip().splitlines()[-1].startswith("VERDICT")


@pytest.mark.parametrize("name", ["bounds.csv", "bounds.parquet"])
def test_fit_writes_bounds_of_every_response(simbench, log, tmp_path, name):
    out = tmp_path / name
    more = ("--bounds", out, "--least-propensity", 0.25, "--out", tmp_path / "model")
    simbench("fit", log, *ARGUMENTS, *FAST, *more)
    found = pd.read_csv(out) if name.endswith("csv") else pd.read_parquet(out)
    assert found.row.tolist() == list(range(600)) and found.prompt.nunique() == 120
    assert ((found.low <= found.high) & found.low.between(0, 1) & found.high.between(0, 1)).all()
    assert ((found.low_limit <= found.low + 1e-12) & (found.high <= found.high_limit + 1e-12)).mean() > 0.99
    assert (tmp_path / "model" / "card.json").exists()


def test_label_draws_and_says_with_which_probability(simbench, log, tmp_path):
    said = simbench("label", log, *ARGUMENTS, *FAST, "--count", 100, "--out", tmp_path / "l.csv").stdout
    found = pd.read_csv(tmp_path / "l.csv")
    assert found.label_probability.sum() == pytest.approx(100)
    assert f"{found.to_label.sum()} responses to label" in said and 60 < found.to_label.sum() < 140
    simbench("label", log, *ARGUMENTS, *FAST, "--count", 100, "--out", tmp_path / "a.csv", "--mixed", 1)
    assert np.ptp(pd.read_csv(tmp_path / "a.csv").label_probability) < 1e-9


@pytest.mark.parametrize(
    ("command", "more", "said"),
    [
        ("diagnose", ("--least-propensity", 0), "least propensity must lie in (0, 1]"),
        ("diagnose", ("--mean-above", 1), "--mean-above must lie in [0, 1)"),
        ("diagnose", ("--label-probability", "chance"), "name their column too"),
        ("diagnose", ("--compare", "prompt"), "--compare needs two groups, got 120"),
        ("diagnose", ("--compare", "modle"), "Did you mean 'model'?"),
        ("diagnose", ("--labels", "few", "--label-probability", "chance"), "at least 30"),
        ("fit", ("--out", "m", "--bounds", "b.csv"), "--bounds needs --least-propensity"),
        ("fit", ("--out", "m", "--least-propensity", 0.2), "--bounds needs --least-propensity"),
        ("fit", ("--out", "m", "--bounds", "b.txt", "--least-propensity", 0.2), "must end in"),
        ("fit", ("--out", "m", "--bounds", "b.csv", "--least-propensity", 2), "must lie in (0, 1]"),
        ("label", ("--out", "l.csv", "--count", 601), "exceeds the 600 responses"),
        ("label", ("--out", "l.csv", "--count", 10, "--mixed", 0), "--mixed must lie in (0, 1]"),
        ("label", ("--out", "l.txt", "--count", 10), "must end in"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(simbench, log, tmp_path, command, more, said):
    found = simbench(command, log, *ARGUMENTS, *FAST, *more, code=2, cwd=tmp_path)
    assert said in found.stderr and found.stdout == "" and list(tmp_path.iterdir()) == []


def test_no_table_goes_where_the_log_is_read_from(simbench, log, tmp_path):
    before = log.read_bytes()
    bounds = ("--bounds", log, "--least-propensity", 0.2, "--out", tmp_path / "m")
    for command, more in (("fit", bounds), ("label", ("--out", log, "--count", 10))):
        assert "read from" in simbench(command, log, *ARGUMENTS, *FAST, *more, code=2).stderr
    assert log.read_bytes() == before and list(tmp_path.iterdir()) == []
