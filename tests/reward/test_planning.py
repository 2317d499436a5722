"""Sample size planning."""

import json
import subprocess
import sys

import numpy as np
import pytest

from simbench.reward.planning import plan
from simbench.score.bound import mean_bound
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def test_the_bound_is_met_at_the_planned_size():
    """The maximum of the likelihood is there within five standard errors: an RMSE from 4 replicates, moved
    by 33 parameters, has a relative one of about ``sqrt(2 / (4 * 33)) / 2 = .06``."""
    known, joint = plan(PRESETS["exclusive"], 2.0, 0.06, replicates=4)
    assert known.by_bound < joint.by_bound
    there = build(PRESETS["exclusive"], 2.0, known.by_bound, 0)
    assert np.sqrt(mean_bound(there, True)) == pytest.approx(0.06, rel=0.15)
    for row in (known, joint):
        assert 0.7 < row.rmse_there / 0.06 < 1.3
        assert row.needed >= row.by_bound


def test_the_command_answers_and_refuses_in_one_sentence():
    command = [sys.executable, "-m", "simbench", "plan", "--bias-level", "2", "--replicates", "2"]
    done = subprocess.run(
        [*command, "--target-rmse", "0.1", "--format", "json"], capture_output=True, text=True, check=True
    )
    assert [row["knows"] for row in json.loads(done.stdout)] == ["propensity", "nothing but the log"]
    for arguments, message in (
        (["--target-rmse", "0"], "--target-rmse must lie between 0 and .5"),
        (["--target-rmse", "0.1", "--world", "confounded"], "no logistic function"),
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
