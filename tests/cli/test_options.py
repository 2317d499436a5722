"""Arguments become one typed value; parts of it may be shared, and each may have a heading in the help."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from simbench.cli.log_options import TrainingLogOptions, parameters_of
from simbench.cli.options import numbers, parsed, split
from simbench.errors import BadInput
from simbench.log.user_log import LogColumns


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Inherited by other groups."""

    PANEL: ClassVar[str] = "Cheese"

    count: Annotated[int, typer.Option(help="How many.")] = 3
    names: Annotated[list[str] | None, typer.Option("--name", help="Which.")] = None


@dataclass(frozen=True, kw_only=True)
class Options(Shared):
    """A command's own."""

    file: Annotated[str, typer.Argument(help="Where.")]


def invoked(*arguments: str):
    """What a command with a group, and an option of its own, receives and prints."""
    received = []

    def command(options: Options, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
        """Buy cheese."""
        received.append((options, loud))

    app = typer.Typer()
    app.command()(parsed(command))
    result = CliRunner().invoke(app, list(arguments))
    return received, result


def test_the_command_receives_one_value_with_its_defaults():
    received, _ = invoked("shop")
    assert received == [(Options(file="shop", count=3, names=None), False)]


def test_inherited_and_repeated_options_arrive():
    received, _ = invoked("shop", "--count", "7", "--name", "brie", "--name", "gouda", "--loud")
    assert received == [(Options(file="shop", count=7, names=["brie", "gouda"]), True)]


def test_types_and_missing_arguments_are_checked_before_the_command_runs():
    for arguments in (("shop", "--count", "some"), ()):
        received, result = invoked(*arguments)
        assert received == [] and result.exit_code == 2


def test_a_group_has_its_heading_and_the_command_its_docstring_in_the_help():
    _, result = invoked("--help")
    assert "Buy cheese." in result.output and "Cheese" in result.output and "[default: 3]" in result.output


def test_the_columns_of_a_log_are_what_its_options_say(tmp_path):
    options = TrainingLogOptions(
        log=tmp_path,
        context=["a,b", " c"],
        groups="g",
        signals=["s,t"],
        class_prior=0.3,
        always_acts="w",
        seed=4,
        parameter=["epochs=5", "hidden=(8,)", "how=much"],
    )
    assert options.columns("col:x") == LogColumns(
        feedback="clicked",
        features="col:x",
        context=("a", "b", "c"),
        groups="g",
        signals=("s", "t"),
        class_prior=0.3,
        always_acts="w",
    )
    assert options.parameters() == {"seed": 4, "epochs": 5, "hidden": (8,), "how": "much"}


def test_comma_lists():
    assert split(["a, b", "c", ""]) == ["a", "b", "c"] and split(None) == []
    assert numbers(["1,2", "3"], int, "--size") == [1, 2, 3] and numbers(None, int, "--size") is None
    with pytest.raises(BadInput, match="--size must be numbers"):
        numbers(["1,x"], int, "--size")
    with pytest.raises(BadInput, match="NAME=VALUE"):
        parameters_of(["epochs"])
