"""Signals end a process and all that it started, in whatever code it is; a worker ends with its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import psutil
import pytest

from simbench import stops as interrupt
from simbench.study import orphan

WAITS = """
    import time
    time.sleep(60)
"""
LASTS_IN_C = """
    import hashlib
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # no bytecode runs meanwhile
"""
HANGS_IN_ITS_END = """
    import subprocess, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        print(child.pid, flush=True)
        time.sleep(60)
    finally:
        print("ending", flush=True)
        time.sleep(60)
"""
STARTS_A_WORKER = """
    import os, subprocess, sys, time
    child = "import sys; from simbench.study.orphan import end_with; end_with(int(sys.argv[1])); "
    child += "print('heard', flush=True); import time; time.sleep(60)"
    subprocess.Popen([sys.executable, "-c", child, str(os.getpid())])
    time.sleep(60)
"""


@pytest.fixture
def heeds():
    """Starts a process that heeds signals and runs a body, and returns it when it has begun to."""
    with ExitStack() as processes:
        yield lambda body, **how: processes.enter_context(begun(body, **how))


def begun(
    body: str, ignoring: str = "", patience: float = interrupt.PATIENCE, echo: float = interrupt.ECHO
) -> subprocess.Popen:
    script = f"""
import signal, sys
from simbench import stops as interrupt
from simbench.stops import exit_code, heed
if {ignoring!r}:
    signal.signal(signal.{ignoring or "SIGINT"}, signal.SIG_IGN)
interrupt.PATIENCE = {patience}
interrupt.ECHO = {echo}
heed()
try:
    print("ready", flush=True){body}
except KeyboardInterrupt:
    sys.exit(exit_code())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in interrupt.STOPS],
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_a_command_with_its_own_code(name, code, heeds):
    process = heeds(WAITS, patience=60)
    process.send_signal(getattr(signal, name))
    assert process.wait(timeout=30) == code


def test_a_command_that_is_busy_in_c_is_ended_all_the_same(heeds):
    process = heeds(LASTS_IN_C)
    process.terminate()
    assert process.wait(timeout=30) == 143


def test_a_second_signal_ends_what_is_still_ending_and_the_code_is_of_the_first(heeds):
    process = heeds(HANGS_IN_ITS_END, patience=60)
    child = psutil.Process(int(process.stdout.readline()))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "ending\n"
    while process.poll() is None:  # on a busy machine, the first may be heard late
        time.sleep(0.3)
        process.terminate()
    assert process.returncode == 130 and gone(child, 1)


def test_the_same_signal_twice_at_once_is_one(heeds):
    """``timeout`` sends it to the process, and then to the group that the process is in."""
    process = heeds(HANGS_IN_ITS_END, patience=2.5, echo=2.5)
    process.stdout.readline()
    begin = time.monotonic()
    process.terminate()
    time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=30) == 143 and time.monotonic() - begin > 2


def test_signals_that_a_process_was_started_to_ignore_stay_ignored(heeds):
    process = heeds(WAITS, ignoring="SIGHUP")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=interrupt.PATIENCE + 0.5)
    process.terminate()
    assert process.wait(timeout=30) == 143


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_ends_with_its_parent_and_not_by_a_signal_of_the_terminal(heeds, how):
    process = heeds(STARTS_A_WORKER)
    assert process.stdout is not None and process.stdout.readline() == "heard\n"
    (worker,) = psutil.Process(process.pid).children()
    for number in interrupt.STOPS:
        os.kill(worker.pid, number)
    assert not gone(worker, 0.2)
    process.send_signal(how)
    process.wait(timeout=30)
    assert gone(worker, 2)


def gone(process: psutil.Process, seconds: float) -> bool:
    def has_ended() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    return soon(has_ended, seconds)


def soon(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_worker_whose_parent_has_ended_already_ends_at_once(monkeypatch):
    codes = []
    monkeypatch.setattr(orphan, "end_at_once", codes.append)
    orphan._watch(parent=-1)
    assert codes == [1]


def test_handlers_that_a_library_sets_are_undone():
    before = signal.getsignal(signal.SIGTERM)
    with interrupt.handlers_kept():
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_all_signals_that_stop_are_remembered_and_one_that_kills_is_left_alone():
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        with interrupt.remembered() as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopped.is_set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with interrupt.remembered():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
