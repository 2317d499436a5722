"""A real Ray cluster of two nodes on this machine: the same table, and a killed node costs nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from simbench.study.config import StudyConfig
from simbench.study.run import run
from simbench.worlds.presets import PRESETS

pytest.importorskip("ray", reason="Ray is not installed: pip install 'simbench-rm[ray]'")

WORKING = "ray::run_on_node"  # the title of a worker's process while it runs a cell
ESTIMATORS = "naive,naive-sqrt,balanced-naive,ips,upu,nnpu,implicitrm,oracle"
STUDY = ["--size", "3000", "--replicates", "16", "--estimators", ESTIMATORS]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(folder: Path, name: str, *arguments: str) -> subprocess.Popen:
    """A node in a session of its own; ``ray stop`` would end every cluster of this machine."""
    node = ("--num-cpus", "1", "--object-store-memory", "80000000", "--disable-usage-stats", "--block")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, *node]
    log = folder / f"{name}.log"
    with log.open("w") as to:
        process = subprocess.Popen(command, stdout=to, stderr=to, start_new_session=True)
    deadline = time.monotonic() + 120
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return process


def of_session(session: int) -> dict[int, str]:
    """Processes of a session and their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().replace("\0", " ")
        except OSError:  # it has just ended
            continue
    return found


def kill(node: subprocess.Popen) -> dict[int, str]:
    """End a node and its workers at once, as a power cut does; returns what it was doing."""
    doing = of_session(node.pid)
    for process in doing:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    node.wait()
    return doing


@pytest.fixture
def nodes(tmp_path_factory):
    if not Path("/proc").is_dir():
        pytest.skip("the processes of a node are found in /proc, which this system does not have")
    folder, port = tmp_path_factory.mktemp("ray"), free_port()
    running = []
    try:
        # sockets lie in it, and their paths must be short
        head = ("--head", "--port", str(port), "--include-dashboard=false", "--temp-dir", f"/tmp/sb{port}")
        running.append(started(folder, "head", *head))
        running.append(started(folder, "second", "--address", f"127.0.0.1:{port}"))
        yield f"127.0.0.1:{port}", running[1]
    finally:
        for node in running:
            kill(node)
        subprocess.run(["rm", "-rf", f"/tmp/sb{port}"], check=True)


@pytest.mark.slow  # a minute; what needs no cluster is in test_ray_tasks.py
def test_a_node_killed_in_mid_study_costs_nothing(nodes, tmp_path):
    address, second = nodes
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "simbench",
        "run",
        "--worlds",
        "1",
        *STUDY,
        "--executor",
        "ray",
        "--ray-address",
        address,
    ]
    refused = subprocess.run(
        [*command, "--gpus-per-cell", "1", "--out", str(out)], capture_output=True, text=True, timeout=100
    )
    assert refused.returncode == 2 and "has the 1 CPU and 1 GPU of a cell" in refused.stderr
    assert not out.exists()

    study = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not any(WORKING in line for line in of_session(second.pid).values()):
        assert study.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    doing = kill(second)
    assert all(any(part in line for line in doing.values()) for part in (WORKING, "raylet"))
    assert not (out / "results.parquet").exists()
    said = study.communicate(timeout=250)[1]
    assert study.returncode == 0, said
    assert sum(line.startswith("[") for line in said.splitlines()) == len(ESTIMATORS.split(","))

    config = StudyConfig(
        worlds=(PRESETS["exclusive"],),
        sizes=(3000,),
        replicates=16,
        estimators=tuple(ESTIMATORS.split(",")),
    )
    here = run(config, tmp_path / "here").drop(columns="seconds")
    there = pd.read_parquet(out / "results.parquet").drop(columns="seconds")
    pd.testing.assert_frame_equal(here, there, check_exact=True)
