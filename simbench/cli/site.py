"""``simbench site``: a leaderboard from any number of studies, as static pages."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from simbench.cli.printable import print
from simbench.errors import BadInput

if TYPE_CHECKING:
    from simbench.files.location import Location
    from simbench.study.observers import PhaseObserver
    from simbench.study.submission import Submission

OURS = b'<meta name="generator" content="simbench">'


@dataclass(frozen=True, kw_only=True)
class SiteOptions:
    """Arguments of ``simbench site``."""

    folders: Annotated[
        list[str],
        typer.Argument(help="Results folders of simbench run, whole as they were written, or URLs."),
    ]
    to: Annotated[str, typer.Option(help="Folder to write the pages to, or its URL.")]
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Leave out a folder whose files are not those that it lists, and name it on the page "
            "(default: write nothing).",
        ),
    ] = False
    title: Annotated[str, typer.Option(help="Title of the first page.")] = (
        "Reward models from implicit feedback: who errs how much, and told what"
    )


def site(options: SiteOptions) -> None:
    """Make a leaderboard of finished studies: static pages, the first a table for every world and knowledge.

    Every file of a study is compared with the hashes that the study wrote when it ended. Nothing that a study
    names is imported, opened or run.
    """
    from simbench.cli.page.site import pages_of
    from simbench.cli.progress import CellProgress
    from simbench.files.location import Location

    to = Location(options.to)
    old = _old_pages(to)
    with CellProgress() as progress:
        studies, refused = _read(options, progress.phase)
        progress.phase("making pages", 0, 1)
        pages = pages_of(studies, refused, options.title)
    for name, page in pages.items():
        (to / name).write_whole(lambda path, page=page: path.write_text(page, encoding="utf-8"))
    for name in old - pages.keys():
        (to / name).remove()
    print(f"site: {to / 'index.html'}", file=sys.stderr)
    if refused:
        print(f"simbench: {len(studies)} shown, {len(refused)} refused.", file=sys.stderr)
        sys.exit(1)


def _read(options: SiteOptions, phase: "PhaseObserver") -> "tuple[list[Submission], list[str]]":
    """The studies, and why others are refused."""
    from simbench.study.submission import read_submission

    studies, refused = {}, []
    for number, folder in enumerate(options.folders):
        phase("reading studies", number, len(options.folders))
        try:
            study = read_submission(folder)
            studies.setdefault(study.sha256, study)  # one that is sent twice is one
        except BadInput as error:
            if not options.keep_going:
                raise
            refused.append(str(error))
            print(f"simbench: refused: {error}", file=sys.stderr, flush=True)
    if not studies:
        raise BadInput("no study is left to be shown: all folders are refused.")
    return list(studies.values()), refused


def _old_pages(to: "Location") -> set[str]:
    """The pages that an earlier run left in the folder; they are this command's to replace.

    Raises
    ------
    BadInput
        If something else is there.
    """
    names = to.names()
    if names is None or (names and "index.html" not in names):
        raise BadInput(f"--to {to} holds something else: choose a folder that is new, or an earlier site.")
    if names and OURS not in (to / "index.html").read_bytes()[:2000]:
        raise BadInput(f"--to {to} holds an index.html that simbench did not write: choose another folder.")
    return {name for name in names if name.startswith("study-") and name.endswith(".html")}
