"""What a reader sees on terminals of different widths, through a pseudo-terminal."""

import json
import os
import re
import subprocess
import sys

import pytest

from simbench.estimator import registry
from simbench.study.config import DEFAULT_ESTIMATORS

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals")

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
WIDTHS = (80, 100, 120, 200)
LIST = ["list", "estimators"]


DRIVER = """
import fcntl, json, struct, sys, termios
from simbench.cli import main
for width, line in json.loads(sys.argv[1]):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    print("=== next", flush=True)
    try:
        main(line)
    except SystemExit as ended:
        assert not ended.code, ended.code
"""


def on_terminals(given: list[tuple[int, list[str]]]) -> list[list[str]]:
    """The lines that each command shows on a terminal of its width; one process runs them all."""
    ours, theirs = pty.openpty()
    unset = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, json.dumps(given)],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**unset, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 1 << 16):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    text = SEQUENCE.sub("", shown.decode()).replace("\r", "")
    return [part.split("\n") for part in text.split("=== next\n")[1:]]


@pytest.fixture(scope="module")
def studies(simbench, tmp_path_factory):
    """What a finished study of the default estimators shows, by the width of the terminal."""
    small = ("--size", 100, "--worlds", 3, "--replicates", 2, "--features-dim", 4)
    line = ["run", *map(str, small), "--out", str(tmp_path_factory.mktemp("study") / "out")]
    simbench(*line)
    return dict(zip(WIDTHS, on_terminals([(width, line) for width in WIDTHS]), strict=True))


@pytest.mark.parametrize("width", WIDTHS)
def test_names_and_verdicts_are_whole_and_nothing_is_wider_than_the_terminal(width, studies):
    lines = studies[width]
    assert max(map(len, lines)) <= width
    start = next(number for number, line in enumerate(lines) if line.startswith("Against the true reward"))
    end = next(number for number, line in enumerate(lines) if line.startswith("[low, high]"))
    table = lines[start:end]
    assert "verdict" in "".join(table[1:3])
    for name in DEFAULT_ESTIMATORS:
        (row,) = [line for line in table if line.split()[:1] == [name]]
        assert row.split()[-1] in ("biased", "unbiased", "undecided", "reference", "oracle"), row
    assert any(line.startswith("In 3 drawn worlds") for line in lines[:start])


def test_intervals_stand_beside_their_values_only_where_there_is_room(studies):
    rows = {
        width: next(line for line in lines if line.startswith("naive ")) for width, lines in studies.items()
    }
    assert [rows[width].count("[") for width in WIDTHS] == [0, 0, 0, 4]


def test_names_of_estimators_can_be_copied():
    for width, lines in zip((80, 200), on_terminals([(80, LIST), (200, LIST)]), strict=True):
        assert max(map(len, lines)) <= width
        first = [line.split()[0] for line in lines if line and not line.startswith(" ")]
        assert {name for name in registry.names() if not name.startswith("sklearn")} <= set(first)
