"""The process that serves guests: nothing of the study in it, nothing that one fit leaves to the next."""

import os
import re
import signal
import subprocess
import sys
import time
from ast import literal_eval

import psutil
import pytest

from simbench.study.cell import run_cell
from simbench.study.guests import kinds, linux, output, process, sight
from simbench.study.guests.process import GuestError
from simbench.study.shards import Shards

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sessions are forked on Linux alone")
CONFINED = pytest.mark.skipif(not linux.confines(), reason="this kernel confines no process")


@pytest.fixture
def run(guest, cell_of, tmp_path):
    """The outcome of a cell of this guest."""

    def run(name, **changes):
        return run_cell(cell_of(guest(name), **changes), Shards(tmp_path / "out" / "shards"))

    return run


def hung():
    """Processes of tests that sleep for ten minutes."""
    return [
        p.pid for p in psutil.process_iter(["cmdline"]) if "time.sleep(600)" in " ".join(p.info["cmdline"])
    ]


def test_what_a_fit_starts_and_opens_ends_with_it(run):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert run("Leak").status in ("ok",)
    process.hosting().session.end()
    assert hung() == []
    assert len(os.listdir("/proc/self/fd")) <= before + 5


def test_a_cell_that_takes_too_long_is_a_row_and_the_rest_goes_on(run):
    start = time.monotonic()
    outcome = run("Hang", timeout=1.0)
    assert (outcome.status, outcome.reason) == ("failed", "it took longer than --timeout allows")
    assert 1 < time.monotonic() - start < 60
    # the start of another process is not on the next one's time
    assert run("Honest", timeout=60.0).status == "ok"


def test_only_what_a_reader_can_bear_is_shown_and_marked(run, capfd):
    outcome = run("Chatter")
    assert outcome.status == "ok"
    process.hosting().session.end()
    out, said = capfd.readouterr()
    lines = said.splitlines()
    mark = f"[{outcome.cell.estimator}] "
    assert out == "" and all(line.startswith(mark) for line in lines)
    assert lines[0] == f"{mark}[bold]hello[/bold] \N{REPLACEMENT CHARACTER}[2J"
    assert len(said) < 30_000
    hidden = re.fullmatch(r"\.\.\. and ([\d,]+) more bytes, which are not shown", lines[-1][len(mark) :])
    assert int(hidden[1].replace(",", "")) == 3000 * 1024 + 1000 + 24 - output.MOST


def test_a_fit_finds_nothing_that_another_left(run):
    assert [run("Remembers", size=size).reason for size in (200, 210, 220)] == [""] * 3


def test_nothing_of_the_study_is_in_the_process(run, monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_OF_THE_STUDY", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    process.leave()
    reason = run("Surroundings").reason
    names, argv, kinds_of_files = literal_eval(reason.removeprefix("RuntimeError: "))
    kept = {*process.KEPT, *process.OF_THREADS, *process.OF_PLACES, "CUDA_VISIBLE_DEVICES"}
    assert {name for name in names if not name.startswith(("KMP_", "LC_", "TORCH"))} <= kept
    assert argv == ["-I", "-B", "-X", "faulthandler", "-c"]
    assert set(kinds_of_files) <= {"/dev/null", "pipe"}


@CONFINED
def test_a_guest_cannot_end_the_process_that_serves_it(run):
    assert run("KillsParent").reason == "PermissionError: [Errno 1] Operation not permitted"


def test_a_session_that_is_over_says_so(guest, cell_of):
    log = cell_of(guest("Honest")).built().draw(range(2))[0]
    kind = kinds.find(guest("Honest"))
    first = kind(epochs=1).fit_replicates(log)
    second = kind(epochs=1).fit_replicates(log)
    with pytest.raises(GuestError, match="its session is over"):
        first.predict(log.features)
    assert second.predict(log.features).shape == (2, 200)


def test_the_process_ends_with_the_one_that_started_it(guest):
    """A bench that is killed in the middle of a fit leaves nothing behind."""
    code = (
        "import numpy as np; from simbench.log.feedback import FeedbackLog; "
        "from simbench.study.guests import kinds, process; "
        f"kind = kinds.find({guest('Hang')!r}); print(process.hosting().process.pid, flush=True); "
        "x = np.ones((4, 1), dtype=np.float32); "
        "kind().fit_replicates(FeedbackLog(x, np.array([[0, 1, 0, 1]], dtype=np.float32), np.arange(4)))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as bench:
        served_by = psutil.Process(int(bench.stdout.readline()))
        end = time.monotonic() + 60
        while not (left := served_by.children()) and time.monotonic() < end:
            time.sleep(0.05)
        bench.send_signal(signal.SIGKILL)
    assert len(left) == 1
    _, alive = psutil.wait_procs([served_by, *left], timeout=10)
    assert alive == []


@CONFINED
def test_what_is_hidden_is_out_of_sight_even_below_what_is_seen(tmp_path):
    for name in ("a/out/secret", "a/out/b/c", "a/mine", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "out")
    seen = sight.readable("naive", [str(tmp_path)], [str(tmp_path / "a" / "out"), str(tmp_path / "gone")])
    own = {path.relative_to(tmp_path).as_posix() for path in seen if path.is_relative_to(tmp_path)}
    assert own == {"a/mine", "other"}
    assert not any(tmp_path.is_relative_to(path) for path in seen)


def test_a_users_file_is_seen_with_what_it_imports_and_nothing_beside_it(tmp_path):
    (tmp_path / "mine.py").write_text("import helper\n")
    for name in ("helper.py", "ratings.csv", "other.py"):
        (tmp_path / name).write_text("")
    seen = sight.readable(f"{tmp_path / 'mine.py'}:Mine", [], [])
    assert {path.name for path in seen if path.is_relative_to(tmp_path)} == {"mine.py", "helper.py"}


@CONFINED
def test_modules_are_found_beside_a_results_folder_that_cannot_be_read(cell_of, tmp_path, monkeypatch):
    """As with ``python -m simbench`` in a project's folder, where modules and results lie side by side."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("truth")
    (tmp_path / "beside.py").write_text(
        "from simbench_estimators.naive import Naive\n"
        "class Beside(Naive):\n    name = 'beside'\n    def prepare(self, log):\n"
        f"        return open({str(tmp_path / 'out' / 'kept')!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    outcome = run_cell(cell_of("beside:Beside"), Shards(tmp_path / "out" / "shards"))
    assert outcome.reason == f"PermissionError: [Errno 13] Permission denied: '{tmp_path / 'out' / 'kept'}'"
