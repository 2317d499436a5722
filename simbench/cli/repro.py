"""``simbench repro``. A thin layer, like :mod:`simbench.cli`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Data(StrEnum):
    """On what the main comparison runs."""

    twin = "twin"
    hub = "hub"


def repro(
    out: Annotated[Path | None, typer.Option(help="Results folder [results/repro].")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small form: part of the cells, fewer replicates.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Rerun the small form; exit with 1 where the document disagrees with it."
        ),
    ] = False,
    only: Annotated[str | None, typer.Option(help="Steps, comma list [all].")] = None,
    data: Annotated[Data, typer.Option(help="Synthetic twins, or the real data from the hub.")] = Data.twin,
    responses: Annotated[
        list[str] | None,
        typer.Option(help="With --data hub: NAME=FILE or NAME=hub:FOLDER of helpsteer, ..., repeatable."),
    ] = None,
    embeddings: Annotated[
        list[str] | None, typer.Option(help="With --data hub: NAME=FILE of simbench embed, repeatable.")
    ] = None,
    document: Annotated[
        Path | None,
        typer.Option(help="Where to [paper_repro.md of the repository; in OUT if not the whole is run]."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; the cores are divided.", min=1)] = 1,
) -> None:
    """Reproduce the paper: measure every claim, judge it by rule, and write paper_repro.md.

    Running the same command again does only what is missing.
    """
    flags = dict(locals())
    from simbench.commands import repro

    repro.repro(flags)
