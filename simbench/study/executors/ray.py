"""Runs cells on a Ray cluster that is running already."""

import contextlib
import logging
import os
import platform
import socket
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.stops import handlers_kept
from simbench.study.cell import Cell, Outcome
from simbench.study.executors.executor import RETRIES
from simbench.study.executors.worker import died, run_alone
from simbench.study.shards import Shards

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise BadInput("--executor ray needs Ray: pip install 'simbench-rm[ray]'.") from error

SUBMITTED = 1000  # cells that the cluster knows of at a time
PATIENCE = 30.0  # seconds without an outcome, after which it is asked whether a node is left


class Ray:
    """Executor on a Ray cluster: a task a cell, spread over the nodes. Scoring is done here, not there.

    Parameters
    ----------
    ray_address : str, optional
        ``HOST:PORT`` of the head, or ``ray://HOST:PORT``; by default ``RAY_ADDRESS``, else a cluster of this
        machine. A process that is connected already keeps its connection.
    jobs : int, optional
        Largest number of cells that run at a time; by default as many as the cluster has room for.
    cpus_per_cell, gpus_per_cell : float
        What a cell reserves; shares are allowed. A cell computes on one thread whatever it reserves.
    """

    def __init__(
        self,
        ray_address: str | None = None,
        jobs: int | None = None,
        cpus_per_cell: float = 1.0,
        gpus_per_cell: float = 0.0,
    ):
        self.address, self.jobs = ray_address, jobs
        self.needs = {"CPU": cpus_per_cell, "GPU": gpus_per_cell}

    def __enter__(self) -> "Ray":
        self.is_ours = not ray.is_initialized()
        if not self.is_ours:
            return self
        address = self.address or os.environ.get("RAY_ADDRESS", "auto")
        try:
            _listens(address)  # Ray itself would try for a minute
            with handlers_kept():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # ConnectionError, or a version of Ray or Python that does not match
            where = "" if address == "auto" else f" at {address}"
            lines = str(error).splitlines() or [type(error).__name__]
            said = getattr(error, "strerror", None) or lines[0]
            raise BadInput(
                f"no Ray cluster{where} can be used ({said.rstrip('.')}): start one (ray start --head), or "
                "give its --ray-address."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_ours:
            ray.shutdown()  # ends what still runs there; its cells have left no shard

    def check(self, device: str, shards: Shards) -> None:
        """Check that some node has room for a cell on this device, and that nodes can reach the shards."""
        if shards.folder.is_private:
            raise BadInput(f"{shards.folder} is this process's own: choose another --out.")
        if device != "cpu" and not self.needs["GPU"]:
            raise BadInput(f"--device {device} on Ray needs --gpus-per-cell, say 1 or 0.25.")
        if not self._has_room():
            raise BadInput(
                f"no node of the Ray cluster has the {self._wanted()} of a cell; its nodes have "
                f"{', '.join(sorted(_described(node) for node in _nodes()))}."
            )

    def run(self, cells: Sequence[Cell], shards: Shards) -> Iterator[Outcome]:
        """Run all cells, and yield the outcome of each as it ends; raises BadInput if no node is left."""
        task = ray.remote(run_on_node).options(
            num_cpus=self.needs["CPU"],
            num_gpus=self.needs["GPU"],
            max_retries=RETRIES,
            scheduling_strategy="SPREAD",
        )
        waiting, running = iter(cells), {}
        folder = Shards(shards.folder.absolute())
        while True:
            for cell in islice(waiting, (self.jobs or SUBMITTED) - len(running)):
                running[task.remote(cell, folder, os.getcwd(), versions())] = cell
            if not running:
                return
            ended, _ = ray.wait(list(running), timeout=PATIENCE)
            if not ended and not self._has_room():
                raise BadInput(
                    f"no node with the {self._wanted()} of a cell is left in the Ray cluster. Finished cells "
                    "are kept: run the same command again."
                )
            for reference in ended:
                yield _outcome(running.pop(reference), reference)

    def _has_room(self) -> bool:
        """Whether some node is large enough for a cell, if it did nothing else."""
        return any(
            all(node["Resources"].get(name, 0) >= amount for name, amount in self.needs.items())
            for node in _nodes()
        )

    def _wanted(self) -> str:
        return " and ".join(f"{amount:g} {name}" for name, amount in self.needs.items() if amount)


def run_on_node(cell: Cell, shards: Shards, working_folder: str, wanted: dict[str, str]) -> Outcome:
    """Run one cell on a node of the cluster.

    It runs in the working folder of the command if the node has that folder, since paths may be relative.

    Parameters
    ----------
    cell : Cell
    shards : Shards
    working_folder : str
    wanted : dict of str
        Versions that the node must have, see :func:`versions`.

    Raises
    ------
    BadInput
        If the node computes with other versions, or does not see the results folder.
    """
    here, node = versions(), platform.node()
    if here != wanted:
        raise BadInput(
            f"the node {node} has {_in_words(here)}, and this command {_in_words(wanted)}: install the same."
        )
    results = shards.folder.local
    if results is not None and not (results.parent / "study.json").exists():
        raise BadInput(
            f"the node {node} does not see {results.parent}: choose an --out on a folder that all nodes "
            "share, or a URL (s3://...)."
        )
    exists = Path(working_folder).is_dir()
    with contextlib.chdir(working_folder) if exists else contextlib.nullcontext():
        return run_alone(cell, shards)


def _listens(address: str) -> None:
    """Raise OSError if nobody listens at ``HOST:PORT``."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def versions() -> dict[str, str]:
    """Versions of the packages that decide a cell's numbers, by name."""
    return {"simbench": VERSION, "torch": torch.__version__}


def _in_words(found: dict[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in found.items())


def _outcome(cell: Cell, reference: Any) -> Outcome:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, BadInput):
            raise cause from None
        if isinstance(cause, ImportError):
            raise BadInput(
                f"a node of the Ray cluster cannot import simbench ({cause}): install it there."
            ) from error
        raise
    except RayError as error:  # its node or its worker was lost, more than RETRIES times
        return died(cell, type(error).__name__)


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _described(node: dict[str, Any]) -> str:
    found = node["Resources"]
    return f"{found.get('CPU', 0):g} CPU, {found.get('GPU', 0):g} GPU ({node['NodeManagerHostname']})"
