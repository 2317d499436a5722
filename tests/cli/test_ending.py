"""How a command ends: exit codes, one sentence for what went wrong, and consoles that cannot show it all."""

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from simbench import cli
from simbench.cli.ending import BAD_INPUT, FAILED, UNFORESEEN, in_one_sentence, run_command
from simbench.cli.output import print_table
from simbench.cli.printable import LONGEST, one_line, printable
from simbench.cli.printable import print as ours
from simbench.errors import BadInput


def raising(error: Exception) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BadInput("a.csv, row 3: no."), BAD_INPUT, "simbench: a.csv, row 3: no."),
        (OSError(errno.ENAMETOOLONG, "Too long", "x"), BAD_INPUT, "simbench: x: Too long."),
        (MemoryError(), BAD_INPUT, "simbench: this takes more memory than there is (): ask for less."),
        (RuntimeError("[x] can't allocate memory: 9 b\nmore"), BAD_INPUT, "can't allocate memory: 9 b)"),
        (ValueError("odd\nsecond"), FAILED, f"simbench: {UNFORESEEN} (ValueError: odd): please report it"),
        (KeyError(), FAILED, f"simbench: {UNFORESEEN} (KeyError): please report it"),
        (EOFError("no data"), FAILED, f"{UNFORESEEN} (EOFError: no data)"),
        (OSError("no number"), FAILED, f"{UNFORESEEN} (OSError: no number)"),
    ],
)
def test_every_error_is_one_sentence(error, code, said, capsys):
    assert run_command(raising(error), []) == code
    err = capsys.readouterr().err
    assert said in err and "\n" not in err.strip() and "Traceback" not in err
    with pytest.raises((type(error), typer.Abort)):  # typer makes an Abort of an EOFError
        run_command(raising(error), ["--debug"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--worlds", "1", "--jobs", "0"], "simbench: Invalid value for '--jobs': "),
        (["run", "--worlds", "1", "--bogus"], "simbench: No such option"),
        (["fit"], "(see simbench fit --help)."),
        (["fly"], "simbench: No such command 'fly'"),
        (
            ["run", "--worlds", "1", "--world", ""],
            "simbench: --world is empty: is a variable of the shell unset?",
        ),
        (["run", "--worlds", "1", "--out="], "simbench: --out is empty: is a variable of the shell unset?"),
        (["check", ""], "simbench: an argument is empty"),
        (
            ["run", "--worlds", "1", "--out", "a\0b"],
            "--out holds a NUL character, which no name or number has: a\\x00b",
        ),
        (["run", "--worlds", "1", "--world", "\ud800"], "'\\ud800' holds what is no character."),
        (["figure", "bias-variance", "~nobody-here/x"], "~nobody-here/x: there is no such home folder."),
        (["export", "~nobody-here/x", "new"], "~nobody-here/x: there is no such home folder."),
        (["run", "--worlds", "1", "--study", "a\x1b[31m\nb"], "there is no study 'a\\x1b[31m\\nb'"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_one_sentence(arguments, said, simbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, err = simbench(*arguments, code=2)
    assert said.lower() in err.lower() and err.count("\n") == 1 and out == ""
    assert os.listdir(tmp_path) == []


def test_without_arguments_the_help_is_shown(simbench):
    out, err = simbench(code=2)
    assert "Usage" in out + err and "simbench: " not in err


def test_control_characters_are_escaped_and_lines_kept():
    assert printable("plain, é ρ 日本 :smile: [red]") == "plain, é ρ 日本 :smile: [red]"
    assert printable("\x1b[31m\x07\ud800\u202e\x9b\nb") == "\\x1b[31m\\x07\\ud800\\u202e\\x9b\nb"
    assert one_line(" a\n\tb\u2028c\x00 ") == "a b c\\x00"
    long = one_line("x" * 5000 + "end")
    assert len(long) < LONGEST + 10 and long.startswith("xx") and long.endswith("xend") and " ... " in long


def test_names_in_a_table_are_no_markup(capsys):
    table = pd.DataFrame({"[red]a": ["x\x1b[31m", "[/]", ":smile:\\"], "b": [1, 2, np.nan]})
    print_table(table, "table", "about [/] \x1b")
    out = capsys.readouterr().out
    assert "about [/] \\x1b" in out and "[red]a" in out and "x\\x1b[31m  1.0" in out and "\x1b" not in out
    assert "[/]" in out and ":smile:\\" in out and "nan" in out


CONSOLES = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "locale C": {"LC_ALL": "C"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


SLOW = ("locale C", "ASCII")  # each starts eight commands: at night


@pytest.mark.parametrize(
    "console", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CONSOLES]
)
def test_a_console_that_cannot_show_a_letter_shows_a_question_mark(console, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "LC_ALL", "LANG")}

    def run(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "simbench", *arguments]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment | CONSOLES[console])
        assert done.returncode == code and b"Traceback" not in done.stderr, done.stderr
        return (done.stdout + done.stderr).decode(errors="replace")

    small = ("--size", "60", "--replicates", "2", "--features-dim", "2", "--estimators", "naive")
    (tmp_path / "study.yaml").write_text("worlds:\n- name: ρωδ\n", encoding="utf-8")
    said = run("run", "--worlds", "1", "--study", "study.yaml", *small, "--out", "out")
    name = "ρωδ" if console == "locale C" else "???"  # there Python itself takes UTF-8
    assert "bias" in said and f"world {name}" in said
    assert "naive" in run(
        "run", "--worlds", "1", "--study", "study.yaml", *small, "--out", "out", "--format", "json"
    )
    assert (tmp_path / "out" / "results.parquet").is_file()
    assert "ρωδ".encode() in (tmp_path / "out" / "study.json").read_bytes()  # files are UTF-8 everywhere
    assert "there is no study" in run("run", "--worlds", "1", "--study", "ρρ", code=2)
    if console != "ASCII":
        assert "results: " in run("run", "--worlds", "1", "--study", "study.yaml", *small, "--out", "ρ")
    else:
        assert "no characters in this locale: set UTF-8" in run(
            "run", "--worlds", "1", *small, "--out", "ρ", code=2
        )


def test_an_error_of_the_system_has_no_second_sentence():
    assert in_one_sentence(FileNotFoundError(errno.ENOENT, "No such file", None))[1] == "No such file."


def test_every_command_prints_without_control_characters():
    """No module of the command line calls Python's own print: it would print what a file's names hold."""
    for path in Path(cli.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        calls = [c for c in ast.walk(tree) if isinstance(c, ast.Call) and ast.unparse(c.func) == "print"]
        imported = [
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "simbench.cli.printable"
            for alias in node.names
        ]
        # output.py prints tables for programs, which get what the table holds
        assert not calls or "print" in imported or path.name == "output.py", path


def test_our_print_is_the_usual_one_but_for_control_characters(capsys):
    ours("a\x1b[2J", 3, Path("b\x07"), sep="|", end="!")
    ours("to", file=sys.stderr, flush=True)
    said = capsys.readouterr()
    assert said.out == "a\\x1b[2J|3|b\\x07!" and said.err == "to\n"
