"""Steps are found by name, resume after a kill, and refuse a folder of other settings."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.repro import steps
from simbench.repro.run import FINISHED, Form, Run
from simbench.repro.steps import STEPS, Step, chosen


def test_every_step_has_a_valid_study_in_both_forms(tmp_path):
    for step in STEPS:
        full, quick = (step.fingerprint(Run(tmp_path, form)) for form in (Form.default, Form.quick))
        assert (full != quick) is (step.name != "risk"), step.name


def test_steps_by_name():
    assert [step.name for step in chosen("rating, risk")] == ["risk", "rating"]
    assert chosen(None) == list(STEPS)
    with pytest.raises(BadInput, match="no step 'rsk'"):
        chosen("rsk")


def test_a_finished_step_is_not_run_again_and_other_settings_are_refused(tmp_path):
    calls = []
    step = Step("s", "", lambda run, folder: calls.append(folder), lambda run: run.quick)
    assert step.execute(Run(tmp_path)) and not step.execute(Run(tmp_path))
    assert len(calls) == 1
    with pytest.raises(BadInput, match="other settings"):
        step.execute(Run(tmp_path, Form.quick))


SMALL = """
worlds: [{name: exclusive, test_size: 300}]
bias_levels: [0, 2]
sizes: [600]
estimators: [oracle, naive, implicitrm]
replicates: 8
"""
RUN_A_STUDY = """
import sys; from pathlib import Path; from simbench.repro.steps import Run, study
study("small", "", sys.argv[1], quick={}).execute(Run(Path(sys.argv[2])))
"""


def test_kill_and_resume_come_to_the_same_scores(tmp_path):
    """Killed between two cells, run again: what was finished is kept, and the scores are the same."""
    (tmp_path / "small.yaml").write_text(SMALL)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = [sys.executable, "-c", RUN_A_STUDY, str(tmp_path / "small.yaml")]
    process = subprocess.Popen([*command, str(broken)])
    shards = broken / "small" / "shards"
    deadline = time.time() + 120
    while not list(shards.glob("*.safetensors")) and time.time() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.safetensors")}
    assert kept and not (broken / "small" / FINISHED).exists()
    subprocess.run([*command, str(broken)], check=True)
    steps.study("small", "", str(tmp_path / "small.yaml"), quick={}).execute(Run(whole))
    assert all((shards / name).stat().st_mtime_ns == stamp for name, stamp in kept.items())
    files = (folder / "small" / "replicates.parquet" for folder in (whole, broken))
    pd.testing.assert_frame_equal(*(pd.read_parquet(file) for file in files))
