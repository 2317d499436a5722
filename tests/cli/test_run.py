"""``simbench run``: the main job, resume, documents, errors."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from simbench.cli.run import StudyOptions

RUN = [
    "run",
    "--worlds",
    "1",
    "--size",
    "600",
    "--replicates",
    "5",
    "--estimators",
    "oracle,naive,implicitrm,ips",
]
COLUMNS = [
    *("world", "behaviour", "bias_level", "size", "estimator", "knows", "metric", "value", "low", "high"),
    *("n_replicates", "status", "reason", "seconds"),
]


def in_a_process(*arguments):
    """Run a command as users do: with its own warnings, which the tests' filters make errors."""
    command = [sys.executable, "-m", "simbench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory, simbench):
    out = tmp_path_factory.mktemp("study") / "out"
    return out, simbench(*RUN, "--bias-level", "0,1", "--out", out)


def test_the_main_job(finished):
    out, done = finished
    assert "Against the true reward: 5 replicates, conditional on this drawn world" in done.stdout
    assert "WEAKLY IDENTIFIED" in done.stdout and "NOT IDENTIFIED" in done.stdout
    table = pd.read_parquet(out / "results.parquet")
    assert set(COLUMNS) <= set(table.columns)
    assert set(table.bias_level) == {0.0, 1.0} and (table.status == "ok").all()
    knows = table.drop_duplicates("estimator").set_index("estimator").knows
    assert dict(knows) == {
        "oracle": "truth",
        "naive": "nothing",
        "implicitrm": "context",
        "ips": "propensity",
    }
    assert {"versions", "seed", "device", "config"} <= set(json.loads((out / "study.json").read_text()))


def test_running_again_does_nothing_new(finished, simbench):
    out, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    simbench(*RUN, "--bias-level", "0,1", "--out", out)
    assert before == {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}


def test_a_killed_run_resumes_to_the_same_table(finished, tmp_path, simbench):
    out, arguments = tmp_path / "killed", [*RUN, "--bias-level", "0,1"]
    command = [sys.executable, "-m", "simbench", *arguments, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while len(list(out.glob("shards/*.safetensors"))) < 2 and time.time() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it finished before it could be killed"
    assert not (out / "results.parquet").exists()
    simbench(*arguments, "--out", out)
    whole, resumed = (pd.read_parquet(f / "results.parquet") for f in (finished[0], out))
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), resumed.drop(columns="seconds"))


def test_two_processes_give_the_same_table(finished, tmp_path, simbench):
    simbench(*RUN, "--bias-level", "0,1", "--out", tmp_path / "o", "--jobs", 2)
    one, two = (pd.read_parquet(f / "results.parquet") for f in (finished[0], tmp_path / "o"))
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"), atol=1e-6)


def test_the_figure_is_drawn(finished, simbench):
    from matplotlib.image import imread

    out, _ = finished
    simbench("figure", "bias-variance", out)
    picture = imread(out / "bias-variance.png")
    assert picture[..., :3].std() > 0.05 and (out / "bias-variance.pdf").stat().st_size > 5000


def test_the_main_table_is_printed_for_a_document(finished, simbench):
    out, done = finished
    arguments = [*RUN, "--bias-level", "0,1", "--out", out, "--format"]
    printed = {form: simbench(*arguments, form).stdout for form in ("markdown", "latex")}
    rows = [line for line in printed["markdown"].splitlines() if line.startswith("| ")]
    assert len(rows) == 2 * (2 + 4) and "**exclusive, bias level 1, 600 responses**" in printed["markdown"]
    table = pd.read_parquet(out / "results.parquet").set_index(["bias_level", "estimator", "metric"])
    naive = table.loc[(1.0, "naive", "bias2")].value
    words = f"{naive:.4f}".removeprefix("0")
    assert [words in line for line in rows if line.startswith("| naive |")] == [False, True]
    assert printed["latex"].count(r"\toprule") == 2 and printed["latex"].count(f" {words} [") == 1
    assert words in done.stdout and "[low, high]: 95% intervals" in done.stdout
    assert "5 replicates" in printed["latex"] and "5 replicates" in printed["markdown"]


def test_a_study_of_its_own_is_found_by_name_and_flags_override_it(tmp_path, simbench):
    small = ["--size", "300", "--replicates", "2", "--estimators", "naive", "--bias-level", "0"]
    simbench("run", "--worlds", "1", "--study", "noise", *small, "--out", tmp_path / "o", cwd=tmp_path)
    study = json.loads((tmp_path / "o" / "study.json").read_text())["config"]
    assert study["replicates"] == 2 and [world["name"] for world in study["worlds"]] == [
        *("exclusive-misclick-0.05", "exclusive-misclick-0.2"),
    ]


def test_one_more_estimator_is_no_list():
    given = StudyOptions(estimators=["a, b"], estimator=["x,y/mine.py:Mine", "c"]).given()
    assert given["estimators"] == ["a", "b"] and given["more_estimators"] == ["x,y/mine.py:Mine", "c"]


def test_an_estimator_that_lacks_its_grant_is_a_row(tmp_path, simbench):
    done = simbench(*RUN, "--grant", "none", "--out", tmp_path / "o", "--format", "csv")
    assert "skipped,needs propensity" in done.stdout


def test_variants_of_a_grant_are_rows_of_their_own(tmp_path, simbench):
    names = "propensity,propensity:estimated=500,class-prior:tice,propensity:distorted=2"
    arguments = [
        "run",
        "--worlds",
        "1",
        "--size",
        "400",
        "--replicates",
        "2",
        "--estimators",
        "naive,ips,upu,ome-ips",
    ]
    done = simbench(*arguments, "--grant", names, "--out", tmp_path / "o")
    table = pd.read_parquet(tmp_path / "o" / "results.parquet")
    rows = table.drop_duplicates(["estimator", "knows", "status"])
    found = [tuple(row) for row in rows[["estimator", "knows", "status"]].itertuples(index=False)]
    three = ["propensity", "propensity (estimated 500)", "propensity (distorted 2)"]
    assert found == [
        ("naive", "nothing", "ok"),
        *(("ips", words, "ok") for words in three),
        ("upu", "class prior (tice)", "ok"),
        *(("ome-ips", words, "skipped") for words in three),
    ]
    assert set(table[table.status == "skipped"].reason) == {"needs misclick"}
    assert "propensity (distorted 2)" in done.stdout
    before = len(list((tmp_path / "o" / "shards").iterdir()))
    simbench(*arguments, "--grant", names, "--out", tmp_path / "o")
    assert len(list((tmp_path / "o" / "shards").iterdir())) == before


def test_a_failing_estimator_is_a_row_and_the_exit_code(tmp_path, simbench):
    (tmp_path / "mine.py").write_text(
        "from simbench import Estimator\n"
        "class Mine(Estimator):\n"
        "    name = 'mine'\n"
        "    def reward_loss(self, out, batch):\n"
        "        raise ValueError('no loss today')\n"
    )
    arguments = [*RUN, "--estimator", "./mine.py:Mine", "--out", tmp_path / "o", "--format", "csv"]
    done = simbench(*arguments, cwd=tmp_path, code=1)
    assert "failed,ValueError: no loss today" in done.stdout and "naive" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--worlds", "1", "--estimators", "nave"], "Did you mean 'naive'?"),
        (["run", "--worlds", "1", "--estimator", "nowhere.at:All"], "cannot be imported"),
        (["run", "--worlds", "1", "--world", "exclusiv"], "Did you mean 'exclusive'?"),
        (["run", "--worlds", "1", "--bias-level", "much"], "--bias-level must be numbers"),
        (
            ["run", "--worlds", "1", "--bias-level", "-1"],
            "the bias level must be a number of at least 0, got -1",
        ),
        (["run", "--worlds", "1", "--world", "rating", "--bias-level", "2"], "choose one in [0, 1)"),
        (["run", "--worlds", "1", "--replicates", "0"], "replicates"),
        (["run", "--worlds", "1", "--link", "votes"], "give it with --responses"),
        (["run", "--worlds", "1", "--responses", "nowhere.csv"], "does not exist"),
        (["run", "--worlds", "1", "--config", "nowhere.yaml"], "cannot be read"),
        (["run", "--worlds", "1", "--study", "varance"], "Did you mean 'variance'?"),
        (["run", "--worlds", "1", "--dry-run", "--format", "latex"], "--dry-run prints a table, json or csv"),
        (["run", "--worlds", "1", "--gpus-per-cell", "1"], "--gpus-per-cell belongs to --executor ray"),
        (["run", "--worlds", "1", "--device", "cuda:9"], "device must be one that this machine has"),
        (
            ["run", "--worlds", "1", "--grant", "propensity,propensty:estimated"],
            "Did you mean 'propensity:estimated'?",
        ),
        (["run", "--worlds", "1", "--grant", "class-prior:distorted=x"], "takes a number of at least 0.01"),
        (["figure", "bias-variance", "nowhere"], "finish the study first"),
        (["figure", "pie", "nowhere"], "there is no figure 'pie'"),
        (["check", "sklearn:Ridge"], "scikit-learn has no classifier"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(arguments, message, tmp_path, simbench):
    done = simbench(*arguments, cwd=tmp_path, code=2)
    assert message in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_is_computed_again_and_a_foreign_folder_is_refused(finished, tmp_path, simbench):
    out = tmp_path / "o"
    shutil.copytree(finished[0], out)
    shard = next((out / "shards").iterdir())
    whole = load_file(shard)["predictions"]
    shard.write_bytes(shard.read_bytes()[:100])
    done = in_a_process(*RUN, "--bias-level", "0,1", "--out", out)
    assert f"{shard.name} is damaged" in done.stderr and "its cell is computed again" in done.stderr
    assert np.array_equal(load_file(shard)["predictions"], whole)
    done = simbench(*RUN, "--seed", "7", "--out", out, code=2)
    assert "holds a study with seed 0, and this one has seed 7" in done.stderr
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    done = simbench(*RUN, "--out", tmp_path / "notes", code=2)
    assert "exists and holds no study of simbench" in done.stderr
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["mine.txt"]


def test_policies_of_a_study_are_measured_and_drawn(tmp_path, simbench):
    out = tmp_path / "o"
    small = ["--size", 640, "--replicates", 2, "--estimators", "oracle,naive", "--responses-per-prompt", 8]
    done = simbench("run", "--worlds", "1", *small, "--trait", "feature:3", "--downstream", "--out", out)
    assert "policies:" in done.stderr
    table = pd.read_parquet(out / "downstream.parquet")
    assert set(table.trait) == {"feature:3"} and table[table.metric == "kl"].value.max() < 2.08  # log 8
    printed = simbench("downstream", out, "--reward", "probability,logit").stdout
    assert "beyond the oracle" in printed and "logit" in printed
    simbench("figure", "value-kl", out)
    assert (out / "value-kl.png").stat().st_size > 20_000
    refused = simbench("run", "--worlds", "1", *small, "--trait", "feature:99", code=2)
    assert "feature:K" in refused.stderr and not (tmp_path / "results").exists()


def test_a_study_shows_its_estimators_trained_to_convergence_beside_their_own_fits(tmp_path, simbench):
    small = ["--worlds", 1, "--size", 300, "--replicates", 2, "--estimators", "oracle,naive,bpr"]
    simbench("run", *small, "--converged", "--out", tmp_path / "o")
    table = pd.read_parquet(tmp_path / "o" / "results.parquet")
    assert set(table.protocol) == {"honest", "converged"}
    status = table[table.protocol == "converged"].groupby("estimator").status.first()
    assert status.to_dict() == {"oracle": "ok", "naive": "ok", "bpr": "skipped"}
    mse = table[(table.estimator == "naive") & (table.metric == "mse")].set_index("protocol").value
    assert mse["honest"] != mse["converged"]
