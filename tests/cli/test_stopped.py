"""Commands that are stopped: what they say, and that nothing of theirs goes on."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from simbench.cli.stopped import stopped
from simbench.stops import STOPS

LONG = (
    "run",
    "--worlds",
    "1",
    "--estimators",
    "naive,oracle,ips",
    "--size",
    "20000",
    "--replicates",
    "200",
    "--jobs",
    "2",
)


def started(*arguments: str, **streams: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "simbench", *arguments],
        start_new_session=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in STOPS],
        **streams,  # type: ignore[call-overload]
    )


def busy_workers(process: subprocess.Popen, count: int) -> list[psutil.Process]:
    """All that the process has started, when so many of them compute."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        found = psutil.Process(process.pid).children(recursive=True)
        if sum(child.num_threads() > 1 and child.cpu_times().user > 1.5 for child in found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError("no workers")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)],
)
def test_workers_end_with_the_command_however_it_ends(number, code, tmp_path):
    out = tmp_path / "out"
    process = started(*LONG, "--out", str(out), stderr=subprocess.PIPE, text=True)
    workers = busy_workers(process, 2)
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]  # returns when the last of them has closed the pipe
    ended = time.monotonic()
    assert process.returncode == code
    assert (f"finished cells are kept. To go on: simbench run --worlds 1 --estimators {LONG[4]}" in said) == (
        code > 0
    )
    _, alive = psutil.wait_procs(workers, timeout=2)
    assert not alive and time.monotonic() - ended < 2.5
    assert not (out / "results.parquet").exists() and not list(out.glob("**/*.tmp"))


def test_what_is_said_fits_the_command():
    assert "finished cells are kept. To go on: simbench run --out 'my study'" in stopped(
        ["run", "--out", "my study"]
    )
    assert "cells" not in stopped(["fit", "log.csv"])
    assert stopped(["--debug", "fit", "log.csv"]) == (
        "stopped before it was done. To start again: simbench --debug fit log.csv"
    )
    assert "trials are kept" in stopped(["tune", "--estimators", "ips", "--out", "t.db"])
    assert "trials are kept" not in stopped(["tune", "--estimators", "ips"])


def test_a_reader_that_goes_away_gets_no_traceback():
    command, pipe = ("list", "worlds", "--format", "csv"), subprocess.PIPE
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with started(*command, stdout=pipe, stderr=pipe, env=buffered) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(timeout=30) == 1


LEAVES_A_THREAD = """
import sys, threading, time
sys.argv[1:] = ["--version"]
threading.Thread(target=time.sleep, args=(60,)).start()
from simbench.__main__ import command
command()
"""


def test_a_thread_that_is_left_running_does_not_keep_the_command_alive():
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", LEAVES_A_THREAD], capture_output=True, timeout=50)
    assert done.returncode == 0 and done.stdout.startswith(b"simbench ") and time.monotonic() - begun < 30
