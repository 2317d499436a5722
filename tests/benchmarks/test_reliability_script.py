"""benchmarks/reliability.py sees what it looks for: other results, half a file, a process that lives on."""

import importlib
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
if not hasattr(os, "fork"):
    pytest.skip("commands are broken off by signals of POSIX", allow_module_level=True)

# Writes eight files, and goes on where it was; broken in one of three ways.
PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
fault, out = sys.argv[1], Path(sys.argv[2])
goes_on = out.exists()
out.mkdir(exist_ok=True)
if fault == "orphan":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
for number in range(8):
    path, text = out / f"{number}.part", f"part {number}" + " again" * (fault == "differs" and goes_on)
    if path.exists():
        continue
    hidden = path if fault == "half" else path.with_suffix(".tmp")
    with hidden.open("w") as file:
        file.write(text[:3])
        file.flush()
        time.sleep(0.05)
        file.write(text[3:])
    hidden.rename(path)
"""


@pytest.fixture
def modules(monkeypatch):
    """The scripts, imported as they import each other."""
    names = ("reliability", "reliability_cases")
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield [importlib.import_module(name) for name in names]
    for name in (*names, "reliability_processes"):
        sys.modules.pop(name)


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("", ""),
        ("half", "differ"),
        ("differs", "differ"),
        ("orphan", "1 processes alive after 0.3 s"),
    ],
)
def test_what_is_wrong_after_a_kill_is_found(fault, wrong, modules, tmp_path, monkeypatch):
    reliability, made = modules
    monkeypatch.setattr(reliability, "PATIENCE", 0.3)
    (tmp_path / "program.py").write_text(PROGRAM)

    class Program(made.Case):
        def command(self, out):
            return [sys.executable, str(tmp_path / "program.py"), fault, str(out)]

    def pieces(out):
        return {path.name: made.digest(path.read_bytes()) for path in out.glob("*.part")}

    case = Program("program", lambda out: [], pieces, forks=False)
    bench = reliability.Bench(tmp_path / "bench", seed=0)
    reliability.kills(bench, case, 4)
    tally = bench.tallies["kill -9 of program"]
    assert tally.tried == 4 and bool(tally.wrong) == bool(fault)
    assert all(wrong in one for one in tally.wrong)
    again = reliability.Bench(tmp_path / "bench", seed=0)
    assert again.tallies == bench.tallies and "| kill -9 of program | 4 |" in again.table()
