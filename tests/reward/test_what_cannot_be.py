"""Commands on one's own log that cannot be right: one sentence, exit 2, no model."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from simbench.cli import main
from simbench.log.user_log import LogColumns
from simbench.reward.model import fit_log

COLUMNS = LogColumns("clicked", "col:f_")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A reward that the features tell well."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4))
    good = rng.random(400) < 1 / (1 + np.exp(-2 * x[:, 0] - x[:, 1]))
    return pd.DataFrame(x, columns=[f"f_{k}" for k in range(4)]).assign(
        clicked=(good & (rng.random(400) < 0.6)).astype(int),
        copied=(good & (rng.random(400) < 0.5)).astype(int),
        opposite=lambda own: 1 - own.clicked,
        nothing=0,
        alpha=0.6,
        position=rng.integers(0, 5, 400),
    )


@pytest.fixture
def simbench(frame, tmp_path, capsys):
    """Runs a command on the log; returns the exit code and what was said."""

    def run(command: str, *arguments: str, log: pd.DataFrame = frame) -> tuple[int, str]:
        log.to_parquet(tmp_path / "log.parquet")
        with pytest.raises(SystemExit) as stopped:
            main([command, str(tmp_path / "log.parquet"), "--features", "col:f_", *arguments])
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out + said.err

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--estimator implicitrm-prior --class-prior 0.1", "the class prior 0.1 is impossible: 0."),
        ("--action-rate 0.1", "the action rate 0.1 is impossible"),
        ("--class-prior nan", "class_prior must lie strictly between 0 and 1, got nan"),
        ("--action-rate 1e308", "action_rate must lie strictly between 0 and 1"),
        ("--misclick -0.1", "misclick must lie in [0, 1)"),
        ("--estimator implicitrm-signals --signals copied,copied", "'copied' is named twice"),
        ("--estimator implicitrm-signals --signals clicked", "'clicked' is named twice"),
        ("--estimator implicitrm-signals --signals opposite", "opposite is the opposite of clicked"),
        ("--estimator implicitrm-signals --signals nothing", "the signal nothing is 0 in every row"),
        ("--estimator naive --signals copied", "naive does not read the signals: leave that out"),
        ("--estimator naive --propensity alpha", "naive does not read the propensity"),
        ("--propensity alpha", "implicitrm does not read the propensity"),
        ("--estimator naive --parameter lr=1e30", "naive did not train: no epoch had a finite loss"),
        ("--parameter epochs=0", "epochs must be at least 1, got 0"),
        ("--parameter patience=0", "patience must be at least 1, got 0"),
        ("--parameter hidden=5", "hidden must be a tuple"),
        ("--parameter device=tpu", "device must be cpu or cuda, got 'tpu'"),
        ("--parameter lr=nan", "lr must be a number, got 'nan'"),
    ],
)
def test_a_fit_of_what_cannot_be_is_one_sentence_and_no_model(arguments, message, simbench, tmp_path):
    code, said = simbench("fit", "--out", str(tmp_path / "m"), *arguments.split())
    assert code == 2 and message in said and said.count("\n") == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--parameter foo=1", "has no parameter 'foo'"),
        ("--parameter hidden=5", "hidden must be a tuple"),
        ("--parameter lr=-1", "lr must be greater than 0, got -1"),
        ("--parameter lr=1e30", "implicitrm did not train"),
        ("--class-prior 0.1", "the class prior 0.1 is impossible"),
    ],
)
def test_a_diagnosis_of_what_cannot_be_is_one_sentence(arguments, message, simbench):
    code, said = simbench("diagnose", *arguments.split())
    assert code == 2 and message in said and said.count("\n") == 1


def test_parameters_are_wrong_before_the_log_is_read(capsys):
    for command in ("fit", "diagnose"):
        out = ["--out", "m"] if command == "fit" else []
        with pytest.raises(SystemExit):
            main([command, "no such log", "--features", "col:f_", "--parameter", "lr=-1", *out])
        assert "lr must be greater than 0" in capsys.readouterr().err


def test_features_that_are_all_zero_in_most_rows_are_refused(simbench, frame, tmp_path):
    columns = [name for name in frame if name.startswith("f_")]
    log = frame.assign(**{name: frame[name].where(frame.index < 150, 0) for name in columns})
    code, said = simbench("fit", "--out", str(tmp_path / "m"), log=log)
    assert code == 2 and "are all zero in 250 of 400 rows" in said


def test_context_that_is_not_read_is_not_told(simbench, tmp_path):
    out = str(tmp_path / "m")
    code, said = simbench("fit", "--out", out, "--estimator", "naive", "--context", "position")
    assert code == 0 and "naive, told nothing" in said
    assert "naive does not read the context (position): it was not told" in said
    assert json.loads((tmp_path / "m" / "card.json").read_text())["told"] == []
    code, said = simbench("fit", "--out", out, "--force", "--context", "position")
    assert code == 0 and "implicitrm, told context" in said and "does not read" not in said


def test_no_column_drowns_the_others_whatever_its_scale_and_place(frame, simbench, tmp_path):
    """A timestamp in seconds beside features of size 1: the same rewards, and it is said what was done."""
    x = frame[[f"f_{k}" for k in range(4)]].to_numpy(np.float32)
    plain = fit_log(frame, COLUMNS, "naive", epochs=30).predict_reward(x)
    far = x * np.array([1, 1, 1e6, 1e-6], np.float32) + np.array([0, 0, 1e9, 0], np.float32)
    moved = frame.assign(**{f"f_{k}": far[:, k] for k in range(4)})
    drowned = fit_log(moved, COLUMNS, "naive", epochs=30).predict_reward(far)
    assert spearmanr(plain, drowned).statistic > 0.999 and np.abs(plain - drowned).max() < 0.01
    assert spearmanr(plain, x[:, 0]).statistic > 0.7  # which says something
    code, said = simbench("fit", "--out", str(tmp_path / "m"), "--parameter", "epochs=1", log=moved)
    assert code == 0 and "4 columns, each standardised: means from" in said
