"""The command line in this process: its output, its exit code, and nothing left behind."""

import contextlib
import io
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from simbench.cli import main


class Said(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


Simbench = Callable[..., Said]


@pytest.fixture(scope="session")
def simbench() -> Simbench:
    """Run a command, in a folder if one is given; it must end with this exit code."""

    def run(*arguments: object, code: int = 0, cwd: Path | None = None) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with ExitStack() as stack:
            if cwd is not None:
                stack.enter_context(contextlib.chdir(cwd))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            ended = stack.enter_context(pytest.raises(SystemExit))
            main([str(argument) for argument in arguments])
        assert (ended.value.code or 0) == code, err.getvalue()
        return Said(out.getvalue(), err.getvalue())

    return run
