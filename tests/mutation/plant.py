"""Plant one-line faults in a copy of the code, one at a time, and see whether the room's tests find them.

``python tests/mutation/plant.py [ROOM ...]`` reads ``faults/ROOM.yaml``: the room's tests, and for every
fault a file, a text that stands in it once, and what to put in its place. A fault that no test finds is
printed; one marked ``equivalent`` changes no result, says why, and is not planted. Exits 1 when fewer than
90 % of a room's faults are found, when the unchanged code fails, or when the unchanged tests take longer
than two minutes of processor time.

The test processes are forked from one that has imported the libraries, so that a fault costs little more
than the tests themselves.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
FAULTS = Path(__file__).parent / "faults"
COPIED = ("simbench", "estimators", "figures", "tests", "benchmarks", "docs")
WANTED = 0.9
ROOM_SECONDS = 120  # what the unchanged tests of a room may take
FAULT_SECONDS = 600  # a fault that hangs the tests is found


@dataclass(frozen=True)
class Fault:
    """One changed line: ``old`` stands once in ``file``; ``near`` are the tests to run first."""

    file: str
    old: str
    new: str
    near: tuple[str, ...] = ()
    equivalent: str = ""

    def plant(self, root: Path) -> str:
        """Change the copy; returns the original text."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise SystemExit(
                f"{self.file}: {self.old!r} stands there {text.count(self.old)} times, not once."
            )
        path.write_text(text.replace(self.old, self.new))
        return text


@dataclass(frozen=True)
class Room:
    """A room's tests and faults, as its YAML file has them."""

    name: str
    tests: tuple[str, ...]
    faults: tuple[Fault, ...]

    @classmethod
    def read(cls, name: str) -> "Room":
        path = FAULTS / f"{name}.yaml"
        if not path.exists():
            known = ", ".join(sorted(p.stem for p in FAULTS.glob("*.yaml")))
            raise SystemExit(f"there is no room {name!r}: choose from {known}.")
        content = yaml.safe_load(path.read_text())
        faults = [Fault(**{**entry, "near": tuple(entry.get("near", ()))}) for entry in content["faults"]]
        return cls(name, tuple(content["tests"]), tuple(faults))


def import_libraries() -> None:
    """What every test process would import anew; nothing of the project itself."""
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.linear_model
    import sklearn.utils.estimator_checks  # noqa: F401
    import torch._dynamo  # noqa: F401


def copy_tree(into: Path) -> Path:
    """The code and its tests, without results and caches."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, into)
    return into


def run_tests(root: Path, paths: tuple[str, ...], output: Path) -> int:
    """Exit status of pytest in the copy, in a forked process; 124 where it ran too long."""
    child = os.fork()
    if child == 0:
        os.setsid()  # so that whatever the tests leave running ends with them
        os.chdir(root)
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        packages = [str(root), str(root / "estimators"), str(root / "figures")]
        sys.path[:0] = packages
        os.environ["PYTHONPATH"] = os.pathsep.join(packages)
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        import pytest

        status = 1
        try:
            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--tb=line"]
            status = int(pytest.main([*options, *paths]))
        except BaseException:  # the parent's stack must not go on in the child
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    start = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            end_group(child)
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - start > FAULT_SECONDS:
            end_group(child)
            os.waitpid(child, 0)
            return 124
        time.sleep(0.05)


def end_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def found_by(fault: Fault, room: Room) -> str:
    """The line of the test that found the fault, or an empty text."""
    with tempfile.TemporaryDirectory() as folder:
        root = copy_tree(Path(folder))
        fault.plant(root)
        for paths in (fault.near, room.tests):
            if paths and run_tests(root, paths, root / "output.txt") != 0:
                lines = (root / "output.txt").read_text(errors="replace").splitlines()
                named = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
                return (named or lines or ["no output"])[-1]
    return ""


def examine(room: Room, chosen: list[int], jobs: int) -> bool:
    """Run one room; prints a line a fault and a summary."""
    with tempfile.TemporaryDirectory() as folder:
        root = copy_tree(Path(folder))
        before = os.times()
        status = run_tests(root, room.tests, root / "output.txt")
        after = os.times()
        seconds = sum(after[2:4]) - sum(before[2:4])  # of processor time: other work does not count
        if status != 0:
            print((root / "output.txt").read_text(errors="replace")[-3000:])
            print(f"{room.name}: the tests fail on the unchanged code.")
            return False
    numbered = [(n, f) for n, f in enumerate(room.faults, 1) if not f.equivalent and n in chosen]
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(lambda pair: found_by(pair[1], room), numbered))
    for (number, fault), line in zip(numbered, found, strict=True):
        print(f"{room.name} {number:3d} {'found' if line else 'MISSED':6} {fault.file}: {fault.new.strip()}")
        if line:
            print(f"{'':13}{line[:130]}")
    share = sum(bool(line) for line in found) / max(len(found), 1)
    equivalent = sum(bool(fault.equivalent) for fault in room.faults)
    print(
        f"{room.name}: {sum(map(bool, found))} of {len(found)} faults found ({share:.0%}); "
        f"{equivalent} equivalent, not planted; the unchanged tests took {seconds:.0f} s of CPU.",
        flush=True,
    )
    return share >= WANTED and seconds <= ROOM_SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("rooms", nargs="*", help="rooms to examine; default: all")
    parser.add_argument("--only", help="numbers of faults, such as 3,5 or 4-9")
    parser.add_argument("--jobs", type=int, default=1, help="faults tried side by side (default 1)")
    arguments = parser.parse_args()
    rooms = [Room.read(name) for name in arguments.rooms or sorted(p.stem for p in FAULTS.glob("*.yaml"))]
    chosen = list(range(1, 1000))
    if arguments.only:
        ends = [part.split("-") for part in arguments.only.split(",")]
        chosen = [number for end in ends for number in range(int(end[0]), int(end[-1]) + 1)]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import_libraries()
    good = [examine(room, chosen, arguments.jobs) for room in rooms]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
