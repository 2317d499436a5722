"""Cells in processes: the same numbers from any number of them, and a dead worker is survived."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from simbench.cli import main
from simbench.errors import BadInput
from simbench.study.cell import Outcome, run_cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.executors import local, worker
from simbench.study.executors.find import find_executor
from simbench.study.executors.local import Local
from simbench.study.shards import Shards
from simbench.worlds.presets import PRESETS

MINE = """
import os, pathlib, signal
import numpy as np, torch
from threadpoolctl import threadpool_info
from simbench import Estimator

class Constant:
    def __init__(self, shape): self.shape = shape
    def predict(self, features):
        return np.full((self.shape, len(features)), float(torch.get_num_threads()))

class Threads(Estimator):
    name = "threads"
    def fit_replicates(self, log, replicates=None):
        pools = [pool["num_threads"] for pool in threadpool_info()]
        assert pools and set(pools) == {1}, pools
        return Constant(log.n_replicates)

class DiesOnce(Threads):
    name = "dies-once"
    def __init__(self, mark="", seed=0):
        super().__init__(seed=seed)
        self.mark = mark
    def fit_replicates(self, log, replicates=None):
        mark = pathlib.Path(self.mark)
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit_replicates(log, replicates)

class AlwaysDies(Threads):
    name = "always-dies"
    def fit_replicates(self, log, replicates=None):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def cells(*estimators, **parameters):
    world = PRESETS["exclusive"].changed(test_size=100)
    grid = {"worlds": (world,), "sizes": (100,), "replicates": 2, "estimators": estimators}
    return cells_of(StudyConfig(**grid, parameters=parameters))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def ends(executor, wanted, folder) -> dict[str, Outcome]:
    with executor:
        return {outcome.cell.estimator: outcome for outcome in executor.run(wanted, Shards(folder))}


def test_a_cell_computes_on_one_thread_here_and_in_workers(mine, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for jobs in (1, 2):
            wanted, folder = cells("mine:Threads", "naive"), tmp_path / str(jobs) / "shards"
            outcomes = ends(Local(jobs), wanted, folder)
            assert {o.status for o in outcomes.values()} == {"ok"}, outcomes
            assert (Shards(folder).read(wanted[0].key)[0] == 1).all()
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    one, two = (Shards(tmp_path / jobs / "shards").read(wanted[1].key)[0] for jobs in "12")
    assert np.array_equal(one, two)


def test_workers_find_modules_where_this_process_finds_them_now(tmp_path, monkeypatch):
    for name in ("first", "second"):
        place = tmp_path / name
        place.mkdir()
        (place / f"{name}_of_two.py").write_text(MINE)
        monkeypatch.setenv("PYTHONPATH", str(place))
        with monkeypatch.context() as here:
            here.syspath_prepend(place)
            outcomes = ends(
                Local(2), cells(f"{name}_of_two:Threads", "naive"), tmp_path / "out" / name / "shards"
            )
        assert {o.status for o in outcomes.values()} == {"ok"}, outcomes


class Pool:
    """Stands in for joblib's: runs cells here one by one, and is gone with the one that kills its worker."""

    kills: ClassVar[dict[str, int]] = {}
    started: ClassVar[list] = []

    def __init__(self, n_jobs, return_as):
        assert n_jobs == 2 and return_as == "generator_unordered"

    def __call__(self, tasks):
        tasks = list(tasks)
        self.started.append([cell.estimator for _, (cell, _), _ in tasks])
        for run, (cell, shards), _ in tasks:
            if self.kills.get(cell.estimator, 0):
                self.kills[cell.estimator] -= 1
                raise TerminatedWorkerError
            yield run(cell, shards)


A, B, C = "sklearn:GaussianNB", "sklearn:BernoulliNB", "sklearn:ComplementNB"


@pytest.mark.parametrize(
    ("deaths", "started"),
    [
        (0, [[A, B, C]]),
        (1, [[A, B, C], [B, C]]),
        (2, [[A, B, C], [B, C], [B, C]]),
        (3, [[A, B, C], [B, C], [B, C], [B], [C]]),
        (4, [[A, B, C], [B, C], [B, C], [B], [C]]),
    ],
)
def test_a_dead_worker_costs_its_own_cell_at_most(deaths, started, monkeypatch, tmp_path):
    """Three times all that is left together, then each alone: who still kills its worker has failed."""
    monkeypatch.setattr(local, "Parallel", Pool)
    monkeypatch.setattr(Pool, "kills", {B: deaths})
    monkeypatch.setattr(Pool, "started", [])
    monkeypatch.setattr(local, "run_alone", lambda cell, shards: Outcome(cell, "ok", "", 0.0))
    (cell,) = cells(A)
    wanted = [cell.model_copy(update={"estimator": name}) for name in (A, B, C)]
    outcomes = list(Local(2).run(wanted, Shards(tmp_path)))
    assert Pool.started == started
    assert sorted(outcome.cell.estimator for outcome in outcomes) == sorted((A, B, C))
    assert [o.cell.estimator for o in outcomes if o.status == "failed"] == ([B] if deaths == 4 else [])


@pytest.mark.slow  # pools that die; the same without processes is above
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs were given:UserWarning")  # we kill it
def test_a_cell_is_retried_when_its_worker_dies_and_fails_when_it_always_does(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "RETRIES", 1)
    monkeypatch.setattr(worker, "RETRIES", 1)
    mark = {"mark": str(tmp_path / "mark")}
    wanted = cells("mine:DiesOnce", "mine:Threads", **{"mine:DiesOnce": mark})
    outcomes = ends(Local(2), wanted, tmp_path / "once")
    assert {o.status for o in outcomes.values()} == {"ok"} and (tmp_path / "mark").exists()
    outcomes = ends(Local(2), cells("mine:AlwaysDies", "mine:Threads"), tmp_path / "always")
    assert outcomes["mine:Threads"].status == "ok"
    assert outcomes["mine:AlwaysDies"].status == "failed"
    assert outcomes["mine:AlwaysDies"].reason.startswith("its worker died 2 times")


def test_an_unknown_executor_is_named():
    with pytest.raises(BadInput, match="Did you mean 'local'"):
        find_executor("locale")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "simbench.study.executors.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match=r"pip install 'simbench-rm\[ray\]'"):
        find_executor("ray")


def test_a_memory_of_one_process_is_not_shared():
    with pytest.raises(BadInput, match="use --jobs 1"):
        Local(2).check("cpu", Shards("memory://study/shards"))
    with pytest.raises(BadInput, match="the device 'cuda:9' cannot be used"):
        Local().check("cuda:9", Shards("memory://study/shards"))


def test_flags_of_ray_are_refused_elsewhere(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "--worlds", "1", "--cpus-per-cell", "2", "--out", str(tmp_path / "o")])
    assert end.value.code == 2 and "--cpus-per-cell belongs to --executor ray" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def heeds_interrupts():
    """For a new process: one that a shell started in the background ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_that_python_ignores_is_remembered():
    """Raised in the callback of a weak reference, where Python prints it and goes on."""
    script = """
import os, signal, weakref
from simbench.stops import remembered

class Thing:
    pass

with remembered() as stopped:
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del thing
    print("goes on", stopped.is_set())
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, preexec_fn=heeds_interrupts)
    assert done.returncode == 0, done.stderr
    assert "goes on True" in done.stdout and "Exception ignored" in done.stderr


def test_a_run_that_is_stopped_between_cells_goes_on_with_the_next(tmp_path, monkeypatch, capsys):
    begun = []

    def stopped(cell, shards):
        begun.append(cell.estimator)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return run_cell(cell, shards)

    arguments = ["run", "--worlds", "1", "--size", "60", "--replicates", "2", "--estimators", f"{A},{B}"]
    monkeypatch.setattr(worker, "run_cell", stopped)
    codes = []
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--out", str(tmp_path / "out")])
        codes.append(end.value.code)
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/shards/*")}
        if len(codes) == 1:
            first, said = kept, capsys.readouterr().err
    assert codes == [130, 0] and begun == [A, B, B]
    assert "finished cells are kept" in said and len(first) == 1
    assert first.items() <= kept.items() and len(kept) == 2


@pytest.mark.slow  # with processes, and a signal as a terminal sends it
def test_a_run_that_is_stopped_keeps_its_finished_shards(tmp_path):
    """Ctrl-C in the middle, and the same command again."""
    out = tmp_path / "out"
    names = "naive,oracle,ips,upu,implicitrm"
    arguments = ["--size", "1000", "--replicates", "4", "--estimators", names, "--out", str(out)]
    command = [sys.executable, "-m", "simbench", "run", "--worlds", "1", *arguments]
    process = subprocess.Popen(
        [*command, "--jobs", "2"],
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=heeds_interrupts,
    )
    deadline = time.monotonic() + 200
    while len(list(out.glob("shards/*.safetensors"))) < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it as well
    said = process.communicate(timeout=100)[1].decode()
    assert process.returncode == 130 and "finished cells are kept" in said
    before = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.safetensors")}
    assert 1 <= len(before) < 5 and not (out / "results.parquet").exists()
    assert subprocess.run(command, capture_output=True, timeout=100).returncode == 0
    assert before.items() <= {p: p.stat().st_mtime_ns for p in out.glob("shards/*")}.items()
    assert len(pd.read_parquet(out / "results.parquet").estimator.unique()) == 5
    assert json.loads((out / "study.json").read_text())["threads"] == 1
