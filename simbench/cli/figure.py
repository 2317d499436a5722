"""``simbench figure`` and ``simbench figures``: draw figures from results folders."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.cli.options import split
from simbench.cli.printable import print
from simbench.cli.spoken import said_by
from simbench.errors import BadInput

if TYPE_CHECKING:
    from simbench.files.location import Location
    from simbench.study.figures import Figure


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """Arguments of ``simbench figure``."""

    name: Annotated[
        str,
        typer.Argument(
            help="A figure of `simbench list figures`, or a Python file of your own with a function "
            "draw(table)."
        ),
    ]
    folder: Annotated[str, typer.Argument(help="A results folder of simbench run, or its URL.")]
    to: Annotated[
        str | None,
        typer.Option(
            help="Path of the files without their suffix (default: the figure's name in the results folder)."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FiguresOptions:
    """Arguments of ``simbench figures``."""

    folder: Annotated[
        Path,
        typer.Argument(help="A folder of results folders, named as the steps of simbench repro."),
    ]
    everything: Annotated[
        bool, typer.Option("--all", help="Draw every installed figure (default: those of --only).")
    ] = False
    only: Annotated[
        str | None,
        typer.Option(help="Draw these figures, separated by commas (default: those of --all)."),
    ] = None
    to: Annotated[
        Path | None,
        typer.Option(help="Folder to write to (default: figures/ in the given folder)."),
    ] = None


def figure(options: FigureOptions) -> None:
    """Draw a figure from a results folder, as PNG and PDF."""
    from simbench.files.location import Location
    from simbench.study.figures import find, save

    found, where = find(options.name), Location(options.folder)
    target = where / found.name if options.to is None else Location(options.to)
    with said_by(found.name):
        drawn = found.draw(where)
    for path in save(drawn, target):
        print(path)


def figures(options: FiguresOptions) -> None:
    """Draw the figures of the paper, as PNG and PDF in its sizes.

    What the folders do not allow is skipped and named, and the exit code is 1.
    """
    from simbench.study.figures import find, names

    folder = options.folder
    if options.everything == (options.only is not None):
        raise BadInput("say which figures: --all, or --only NAME,NAME.")
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: give the one that simbench repro --out made.")
    chosen = names() if options.only is None else split([options.only])
    skipped = []
    for entry in [find(name) for name in chosen]:
        try:
            paths = _drawn(entry, folder, (options.to or folder / "figures") / entry.name)
        except BadInput as error:
            skipped.append(entry.name)
            print(f"simbench: {entry.name}: skipped: {error}", file=sys.stderr, flush=True)
            continue
        for path in paths:
            print(path, flush=True)
    if skipped:
        drawn = len(chosen) - len(skipped)
        print(f"simbench: {drawn} drawn, skipped: {', '.join(skipped)}.", file=sys.stderr)
        sys.exit(1)


def _drawn(entry: "Figure", folder: Path, target: Path) -> "list[Location]":
    from simbench.study.figures import save

    missing = [step for step in entry.steps if not (folder / step).is_dir()]
    if missing:
        raise BadInput(f"there is no folder {' or '.join(str(folder / step) for step in missing)}.")
    source = folder / entry.steps[0] if len(entry.steps) == 1 else folder
    with said_by(entry.name):
        drawn = entry.draw(source)
    return save(drawn, target)
