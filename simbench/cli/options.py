"""Options that several commands share, and the adapter that parses arguments into typed values.

Nothing heavy is imported here: ``simbench --help`` reads this module and the signatures of the commands.
"""

import inspect
import os
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import ParameterInfo

from simbench.errors import BadInput


class Format(StrEnum):
    """How a table is printed: for people, or for programs."""

    table = "table"
    json = "json"
    csv = "csv"


FormatOption = Annotated[Format, typer.Option(help="How to print the table.")]
Responses = Annotated[
    str,
    typer.Argument(
        help="Responses: a .parquet, .csv, .tsv, .jsonl (these also with .gz) or .feather file, a folder of "
        "parquet files, a URL, or hub:OWNER/DATASET."
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(
        help="Encoding of a text file, such as latin-1 (default: UTF-8, or what its first bytes say)."
    ),
]
SeparatorOption = Annotated[
    str | None,
    typer.Option(
        help="Separator of the cells of a .csv or .tsv file, such as ';' or tab (default: recognised)."
    ),
]
MOST_REPLICATES = 1_000_000
SeedOption = Annotated[int, typer.Option(help="Random seed.", min=0)]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is already there.")]
TrustCodeOption = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Import the estimator that the model's card names even if no installed package registers it; "
        "that runs its code (default: refuse).",
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        help="Column with the text of the response (default: the first of response, text, completion and "
        "answer that the file has)."
    ),
]
PromptTextColumn = Annotated[
    str | None,
    typer.Option(
        help="Column with the text of the prompt, or `none` to read the response alone (default: the first "
        "of prompt, question and instruction that the file has)."
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(help="Branch, tag or commit of the model on the hub (default: its main branch)."),
]
Model = Annotated[
    str, typer.Option(help="Language model: a name on the Hugging Face hub, a folder, or a .gguf file.")
]


def parsed(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer whose arguments reach ``command`` as typed values.

    If a parameter of ``command`` is annotated with a dataclass, each field of the dataclass is an option,
    ``Annotated[TYPE, typer.Option(...)]`` or ``typer.Argument``, and ``command`` gets an instance of it. Its
    ``PANEL``, if it has one, is their heading in the help. Other parameters are passed as they are.
    """
    expanded: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            groups[name] = kind
            expanded += [_as_parameter(field, getattr(kind, "PANEL", None)) for field in fields(kind)]
        else:
            expanded.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def wrapper(**values: Any) -> None:
        values = {name: _usable(value) for name, value in values.items()}
        built = {
            name: kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**values, **built)

    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in expanded}
    setattr(wrapper, "__signature__", inspect.Signature(expanded))  # noqa: B010  (unknown to type checkers)
    return wrapper


def _usable(value: Any) -> Any:
    """A value of the command line; a path beginning with ``~`` starts in the home folder.

    Raises
    ------
    BadInput
        If a text holds what is no character, or there is no such home folder.
    """
    if isinstance(value, list | tuple):
        return [_usable(part) for part in value]
    if isinstance(value, Path):
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise BadInput(f"{value}: there is no such home folder.") from error
    if isinstance(value, str):
        try:
            os.fsencode(value)  # a name of a file may hold bytes that are no characters: those it can
        except UnicodeEncodeError as error:
            raise BadInput(f"{value!r} holds what is no character.") from error
    return value


def _as_parameter(field: Field[Any], panel: str | None) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    annotation: Any = field.type
    described: ParameterInfo = copy(annotation.__metadata__[0])
    described.rich_help_panel = described.rich_help_panel or panel
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation.__origin__, described],
    )


def split(values: Iterable[str] | None) -> list[str]:
    """The parts of lists separated by commas: ``["a,b", "c"]`` -> ``["a", "b", "c"]``."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def numbers(values: Iterable[str] | None, kind: Callable[[str], Any], flag: str) -> list[Any] | None:
    """The numbers in lists separated by commas; None if there are none.

    Parameters
    ----------
    values : iterable of str, or None
    kind : {int, float}
    flag : str
        The option, for the message.

    Raises
    ------
    BadInput
        If one is no number.
    """
    try:
        return [kind(part) for part in split(values)] or None
    except ValueError as error:
        raise BadInput(f"{flag} must be numbers, separated by commas, got {values}.") from error
