"""The property itself: each way to break it is seen."""

import os
import sys
import warnings
from pathlib import Path

import contract
import pytest

from simbench.cli.ending import run_command
from simbench.cli.printable import print as ours
from simbench.errors import BadInput


class _App:
    """Stands in for the commands: calls a function."""

    def __init__(self, work):
        self.work = work

    def __call__(self, arguments, **_):
        return self.work()


def refused() -> None:
    raise BadInput("a.csv, row 3: no.")


def unforeseen() -> None:
    raise ValueError("odd")


def half_written() -> None:
    Path("out").write_text("half")
    refused()


def changed_input() -> None:
    Path("input").write_text("other")
    refused()


def removed_input() -> None:
    Path("input").unlink()
    refused()


def warned() -> None:
    warnings.warn("overflow", stacklevel=1)
    refused()


def left_temporary() -> None:
    Path(".out.0123.tmp").write_text("half")


def second_sentence() -> None:
    print("simbench: first", file=sys.stderr)
    refused()


@pytest.mark.parametrize(
    ("work", "found"),
    [
        (lambda: 0, None),
        (lambda: 1, None),
        (refused, None),
        (lambda: ours("\x1b[2J"), None),
        (lambda: 3, "exit code 3"),
        (lambda: 2, "0 sentences on stderr"),
        (unforeseen, "unforeseen: "),
        (lambda: print("\x1b[2J"), "a control character"),
        (lambda: print("Traceback (most recent call last)"), "unforeseen"),
        (half_written, "files changed: ['out']"),
        (changed_input, "files changed: ['input']"),
        (removed_input, "files changed: ['input']"),
        (warned, "a warning of a library: 'overflow'"),
        (left_temporary, "left .out.0123.tmp"),
        (second_sentence, "2 sentences on stderr"),
    ],
)
def test_a_breach_is_found(work, found, tmp_path, monkeypatch):
    (tmp_path / "input").write_text("valid")

    def main(arguments):
        raise SystemExit(run_command(_App(work), arguments))

    monkeypatch.setattr(contract, "main", main)
    said = contract.breaches(["command"], tmp_path)
    assert (said == []) if found is None else any(found in one for one in said), said
    assert os.getcwd() != str(tmp_path)


def test_work_without_end_is_given_up(tmp_path, monkeypatch):
    def main(_):
        while True:
            pass

    monkeypatch.setattr(contract, "SECONDS", 0.1)
    monkeypatch.setattr(contract, "main", main)
    with pytest.raises(contract.TooLongError):
        contract.breaches(["command"], tmp_path)
