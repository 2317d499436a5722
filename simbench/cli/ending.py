"""How a command ends: its exit code, and one sentence on stderr for whatever went wrong."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

import typer

from simbench.cli.printable import one_line, print
from simbench.errors import BadInput

FAILED, BAD_INPUT = 1, 2
UNFORESEEN = "an error that simbench did not foresee"
# click's, of which typer has a copy in some versions: no name of it is public
CommandLineError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def run_command(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit code.

    Bad input is one sentence on stderr and exit code 2, and so is what the machine refuses (a file name that
    is too long, memory that it has not). Any other error is one sentence and exit code 1. With ``--debug``
    errors are raised.
    """
    others = [argument for argument in arguments if argument != "--debug"]  # it may stand anywhere
    try:
        _check_arguments(others)
        return app(others, prog_name="simbench", standalone_mode=False) or 0
    except CommandLineError as error:
        return _of_command_line(error)
    except Exception as error:
        if "--debug" in arguments:
            raise
        code, sentence = in_one_sentence(error)
        say(sentence)
        return code


def in_one_sentence(error: Exception) -> tuple[int, str]:
    """The exit code that an error stands for, and what is said of it."""
    if type(error).__name__ == "Abort" and isinstance(error.__cause__, Exception):  # typer's, of an EOFError
        error = error.__cause__
    if isinstance(error, BadInput):
        return BAD_INPUT, str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return BAD_INPUT, f"this takes more memory than there is ({first_line(error)}): ask for less."
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return BAD_INPUT, f"{where}{error.strerror}."
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return BAD_INPUT, f"{error.object!r} has bytes that are no characters in this locale: set UTF-8."
    named = ": ".join(filter(None, (type(error).__name__, first_line(error))))
    return FAILED, f"{UNFORESEEN} ({named}): please report it with what --debug shows."


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the stop at its end."""
    return next(iter(str(error).strip().splitlines()), "").rstrip(". ")


def say(sentence: str) -> None:
    """Print a sentence on stderr, on one line."""
    print(f"simbench: {one_line(sentence)}", file=sys.stderr, flush=True)


def print_anywhere() -> None:
    """Let what a console cannot show become question marks, and draw no bars of libraries in a pipe."""
    if not sys.stderr.isatty():  # transformers reads this when it is imported
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a caller may have put another in place
            stream.reconfigure(errors="replace")


def _of_command_line(error: Any) -> int:
    """Say what is wrong with the flags, and where their help is."""
    if type(error).__name__ == "NoArgsIsHelpError":  # it has printed the help
        return error.exit_code
    context = getattr(error, "ctx", None)
    command = "simbench" if context is None else context.command_path
    said = one_line(error.format_message()).rstrip(".")
    say(f"{said} (see {command} --help).")
    return error.exit_code


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that are empty, as an unset variable of the shell leaves them, or that are no text."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, is_joined, value = argument.partition("=")
        flag = name if name.startswith("--") and is_joined else before
        where = flag if flag.startswith("--") else "an argument"
        if not argument or (flag == name and is_joined and not value):
            raise BadInput(f"{where} is empty: is a variable of the shell unset?")
        if "\0" in argument:
            raise BadInput(f"{where} holds a NUL character, which no name or number has: {argument}")
