"""The command line in this process: its output, its exit code, and nothing left behind."""

from collections.abc import Callable

import pytest

from simbench.cli import main

Simbench = Callable[..., tuple[str, str]]


@pytest.fixture
def simbench(capsys) -> Simbench:
    """Run a command; it must end with this exit code. Returns what it printed on stdout and on stderr."""

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.out, said.err

    return run
