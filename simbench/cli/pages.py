"""``simbench report``: a study as one HTML page."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.printable import print
from simbench.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Arguments of ``simbench report``."""

    folder: Annotated[str, typer.Argument(help="A results folder of simbench run, or its URL.")]
    out: Annotated[
        Path | None,
        typer.Option(help="File to write the page to (default: report.html in the results folder)."),
    ] = None


def report(options: ReportOptions) -> None:
    """Write a finished study as one HTML page: takeaways, tables, figures, notes, and how to run it again.

    The page contains all that it shows and fetches nothing. Tables can be sorted and filtered.
    """
    from simbench.cli.page.build import page_of
    from simbench.files.location import Location

    if options.out is not None and options.out.is_dir():
        raise BadInput(f"--out {options.out} is a folder: give the file to write, such as report.html.")
    page = page_of(options.folder)
    to = Location(options.out or Location(options.folder) / "report.html")
    to.write_whole(lambda path: path.write_text(page, encoding="utf-8"))
    print(f"page: {to}", file=sys.stderr)
