"""Breaks commands off in every way that happens to them, and compares what they then make with a whole run.

python benchmarks/reliability.py OUT [--only kill,stop,twice,pipe,full,read-only] [--cases run,fit]

Every trial ends with the same command again: its output must be that of a run that was left alone, bit for
bit but for times. After every break, what lies under a final name must be whole, and two seconds later no
process of the command may be alive. The counts are added up in OUT/reliability.json, and printed as a table.
Disks are a tmpfs, which needs the right to mount; without it those trials are not made, and said to be so.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from reliability_cases import Case, Pieces, cases, write_inputs
from reliability_processes import LONGEST, Process, begun, family, finished, forked, heeds, imported

PATIENCE = 2.0  # seconds after which nothing of a command may be alive
DONE = (
    "holds a model already"  # what fit and finetune say of a run that was finished before it was broken off
)
STOPS = {"SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130, "SIGINT twice": 130}


@dataclass
class Tally:
    """Trials of one kind: how many were made, and what was wrong in words."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)


class Bench:
    """Runs trials in a folder of its own, and keeps their tallies.

    Parameters
    ----------
    folder : Path
    seed : int
        Of the moments at which commands are broken off.
    """

    def __init__(self, folder: Path, seed: int):
        self.folder, self.random = folder, random.Random(seed)
        self.file = folder / "reliability.json"
        kept = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.tallies = {name: Tally(**one) for name, one in kept.items()}
        self.number = 0
        self.unbroken: dict[str, tuple[Pieces, float]] = {}

    def place(self, case: Case, within: Path | None = None) -> Path:
        """A new place for an output."""
        self.number += 1
        folder = (within or self.folder / "work") / f"{os.getpid()}-{self.number}"
        folder.mkdir(parents=True)
        return folder / f"out{case.suffix}"

    def reference(self, case: Case) -> tuple[Pieces, float]:
        """What an unbroken run makes, and its seconds."""
        if case.name not in self.unbroken:
            out, begin = self.place(case), time.monotonic()
            code, said = finished(case, out)
            assert code == 0, said
            self.unbroken[case.name] = case.pieces(out), time.monotonic() - begin
        return self.unbroken[case.name]

    def count(self, kind: str, wrong: list[str], tried: int = 1) -> None:
        """Add trials to the tally of their kind, and keep it."""
        tally = self.tallies.setdefault(kind, Tally())
        tally.tried += tried
        tally.wrong += wrong
        self.file.write_text(json.dumps({name: vars(one) for name, one in self.tallies.items()}, indent=1))
        print(f"{kind}: {tally.tried} tried, {len(tally.wrong)} wrong {wrong or ''}", flush=True)

    def table(self) -> str:
        """All tallies as a table in markdown."""
        rows = [
            f"| {name} | {one.tried} | {one.tried - len(one.wrong)} | {'; '.join(one.wrong) or 'nothing'} |"
            for name, one in sorted(self.tallies.items())
        ]
        return "\n".join(["| what happens | tried | survived | wrong |", "|---|---|---|---|", *rows])


def left_over(case: Case, session: int) -> list[str]:
    """What is alive of a command after :data:`PATIENCE`; it is ended, so that it disturbs no other trial."""
    deadline = time.monotonic() + PATIENCE
    while (alive := family(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    return [f"{len(alive)} processes alive after {PATIENCE:g} s"] if alive and case.own_session else []


def unlike(found: Pieces, wanted: Pieces, whole: bool) -> list[str]:
    """How an output differs from that of an unbroken run; a part of it will do unless it must be whole."""
    names = set(wanted) | set(found) if whole else found
    wrong = sorted(name for name in names if found.get(name) != wanted.get(name))
    return [f"{', '.join(wrong[:3])} differ{'s' * (len(wrong) == 1)} from the unbroken run"] if wrong else []


def damage(case: Case, out: Path, wanted: Pieces, whole: bool) -> list[str]:
    """As :func:`unlike`, of what lies there; a file that cannot be read is wrong, too."""
    try:
        return unlike(case.pieces(out), wanted, whole)
    except Exception as error:  # of whatever library reads it
        return [f"a file cannot be read: {error}"]


def gone_on(case: Case, out: Path, wanted: Pieces) -> list[str]:
    """The same command again, to its end."""
    code, said = finished(case, out)
    if code != 0 and DONE not in said:
        return [f"the same command again: exit {code}, {said.strip()[-200:]}"]
    hidden = [path.name for path in out.parent.rglob("*.tmp")]
    if hidden:
        print(f"  left behind: {', '.join(hidden)}", flush=True)
    return damage(case, out, wanted, whole=True)


def wait_for_a_write(bench: Bench, process: Process, folder: Path, writes: int) -> None:
    """Wait until so many names have appeared in a folder, and then up to 20 ms."""
    seen: set[str] = set()
    while len(seen) < writes and process.poll() is None:
        with suppress(OSError):
            seen |= {str(path) for path in folder.rglob("*")}
        time.sleep(0.001)
    time.sleep(bench.random.uniform(0, 0.02))


def kills(bench: Bench, case: Case, trials: int) -> None:
    """kill -9 at random moments; every third in the middle of a write. A run is killed up to four times."""
    wanted, seconds = bench.reference(case)
    made = 0
    while made < trials:
        out, wrong, hits = bench.place(case), [], 0
        for _ in range(min(4, trials - made)):
            process = begun(case, out)
            if bench.random.random() < 1 / 3:
                wait_for_a_write(bench, process, out.parent, bench.random.randint(1, 12))
            else:
                process.wait(bench.random.uniform(0, seconds))
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            hits += 1
            process.wait()
            wrong += left_over(case, process.pid) + damage(case, out, wanted, whole=False)
        wrong += gone_on(case, out, wanted)
        made += hits
        bench.count(f"kill -9 of {case.name}", wrong, hits)


def stops(bench: Bench, case: Case, trials: int) -> None:
    """SIGTERM, SIGHUP, Ctrl-C once and twice: the exit code, one sentence, nothing alive, nothing lost."""
    wanted, seconds = bench.reference(case)
    for name, code in STOPS.items():
        made = 0
        while made < trials:
            out = bench.place(case)
            process = begun(case, out)
            if process.wait(bench.random.uniform(seconds / 4, seconds)):
                continue
            number = getattr(signal, name.split()[0])
            target = os.killpg if number == signal.SIGINT else os.kill  # a terminal sends it to all
            target(process.pid, number)
            if name.endswith("twice"):
                time.sleep(0.4)
                with suppress(ProcessLookupError):
                    target(process.pid, number)
            process.wait(PATIENCE)
            wrong = left_over(case, process.pid)
            said = process.said()
            wrong += [] if process.returncode == code else [f"exit {process.returncode}, not {code}"]
            wrong += ["a traceback"] if "Traceback" in said else []
            wrong += damage(case, out, wanted, whole=False) + gone_on(case, out, wanted)
            made += 1
            bench.count(f"{name} of {case.name}", wrong)


def twice(bench: Bench, case: Case, trials: int) -> None:
    """Two processes in one folder: each ends well, or one refuses in a sentence; the output is right."""
    wanted, _ = bench.reference(case)
    for _ in range(trials):
        out = bench.place(case)
        both = [begun(case, out) for _ in range(2)]
        ends = [(process.said(), process.returncode) for process in both]
        wrong = [f"exit {code}: {said.strip()[-200:]}" for said, code in ends if code not in (0, 2)]
        wrong += [] if any(code == 0 for _, code in ends) else ["neither ended well"]
        bench.count(f"two processes of {case.name} in one folder", wrong + damage(case, out, wanted, True))


def pipes(bench: Bench, case: Case, trials: int) -> None:
    """A reader that goes away: of stdout alone, and of both."""
    wanted, _ = bench.reference(case)
    for both in (False, True):
        for _ in range(trials):
            out = bench.place(case)
            own = subprocess.STDOUT if both else subprocess.PIPE
            process = subprocess.Popen(
                case.command(out),
                preexec_fn=heeds,
                start_new_session=True,
                stdout=subprocess.PIPE,
                stderr=own,
            )
            assert process.stdout is not None
            if both:
                process.stdout.readline()
            process.stdout.close()
            said = "" if process.stderr is None else process.stderr.read().decode()
            process.wait(timeout=LONGEST)
            wrong = left_over(case, process.pid)
            wrong += [] if process.returncode in (0, 1) else [f"exit {process.returncode}"]
            wrong += ["a traceback"] if "Traceback" in said else []
            again = [] if case.name == "fit" and not both else gone_on(case, out, wanted)
            bench.count(
                f"closed {'pipe of both streams' if both else 'stdout'} of {case.name}", wrong + again
            )


@contextmanager
def small_disk(bench: Bench, megabytes: int) -> Iterator[Path]:
    """A disk of a few megabytes."""
    folder = bench.folder / "disk"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def refusal(process: Process, what: str) -> list[str]:
    """What is wrong with the end of a command that could not write."""
    said = process.said()
    wrong = [] if process.returncode in (0, 1, 2) else [f"exit {process.returncode}"]
    if process.returncode != 0 and what not in said:
        wrong.append(f"says {said.strip()[-200:]!r}")
    return wrong + (["a traceback"] if "Traceback" in said else [])


def full(bench: Bench, case: Case, trials: int) -> None:
    """A disk that fills at a random place; then room is made."""
    wanted, _ = bench.reference(case)
    for _ in range(trials):
        with small_disk(bench, 8) as disk:
            filler, out = disk / "filler", bench.place(case, disk)
            filler.write_bytes(bytes((8 << 20) - bench.random.randrange(8, case.kilobytes) * 1024))
            process = begun(case, out)
            wrong = refusal(process, "No space left on device")
            fits = process.returncode == 0
            wrong += left_over(case, process.pid) + damage(case, out, wanted, whole=fits)
            filler.unlink()
            if not fits:
                bench.count(f"a full disk under {case.name}", wrong + gone_on(case, out, wanted))


def read_only(bench: Bench, case: Case, trials: int) -> None:
    """A folder that becomes read-only at a random moment; then it can be written again."""
    wanted, seconds = bench.reference(case)
    for _ in range(trials):
        with small_disk(bench, 8) as disk:
            out = bench.place(case, disk)
            process = begun(case, out)
            time.sleep(bench.random.uniform(0, 0.8 * seconds))
            while subprocess.run(["mount", "-o", "remount,ro", disk], capture_output=True).returncode:
                time.sleep(0.01)  # a file is being written
            wrong = refusal(process, "Read-only file system")
            fits = process.returncode == 0
            wrong += left_over(case, process.pid) + damage(case, out, wanted, whole=fits)
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            if not fits:
                bench.count(f"a folder of {case.name} turns read-only", wrong + gone_on(case, out, wanted))


TRIALS: dict[str, Callable[[Bench, Case, int], None]] = {
    "kill": kills,
    "stop": stops,
    "twice": twice,
    "pipe": pipes,
    "full": full,
    "read-only": read_only,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default=",".join(TRIALS))
    parser.add_argument("--cases", default="", help="names, separated by commas (default: all)")
    parser.add_argument("--trials", type=int, default=20, help="of every kind of kill")
    parser.add_argument("--others", type=int, default=3, help="of every other kind")
    parser.add_argument("--ray-address", help="of a cluster to run on as well")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    inputs = options.out / "inputs"
    write_inputs(inputs, lambda arguments: print(forked(arguments).said()))
    imported()
    known, bench = cases(inputs, options.ray_address), Bench(options.out, options.seed)
    for kind in options.only.split(","):
        for name in options.cases.split(",") if options.cases else known:
            TRIALS[kind](bench, known[name], options.trials if kind == "kill" else options.others)
    print(bench.table())


if __name__ == "__main__":
    sys.exit(main())
