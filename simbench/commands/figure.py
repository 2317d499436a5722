"""``simbench figure`` and ``simbench figures``: pictures of results folders."""

import sys
from pathlib import Path

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.study.figures import Figure, find, names, save


def figure(name: str, folder: str, to: str | None) -> None:
    """``simbench figure``: draw one figure from a results folder."""
    where = Location(folder)
    for path in save(find(name).draw(where), where / name if to is None else Location(to)):
        print(path)


def figures(folder: Path, everything: bool, only: str | None, to: Path | None) -> None:
    """``simbench figures``: draw what the folders there allow; name the others, and exit with 1.

    Raises
    ------
    BadInput
        If nothing was asked for, or the folder is not there.
    """
    if everything == (only is not None):
        raise BadInput("say which figures: --all, or --only NAME,NAME.")
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: give the one that simbench repro --out made.")
    chosen = names() if only is None else [name.strip() for name in only.split(",")]
    entries = {name: find(name) for name in chosen}
    skipped = []
    for name, entry in entries.items():
        try:
            paths = _drawn(entry, folder, (to or folder / "figures") / name)
        except BadInput as error:
            skipped.append(name)
            print(f"simbench: {name}: skipped: {error}", file=sys.stderr, flush=True)
            continue
        for path in paths:
            print(path, flush=True)
    if skipped:
        print(
            f"simbench: {len(chosen) - len(skipped)} drawn, skipped: {', '.join(skipped)}.", file=sys.stderr
        )
        sys.exit(1)


def _drawn(entry: Figure, folder: Path, target: Path) -> list[Location]:
    missing = [step for step in entry.steps if not (folder / step).is_dir()]
    if missing:
        raise BadInput(f"there is no folder {' or '.join(str(folder / step) for step in missing)}.")
    source = folder / entry.steps[0] if len(entry.steps) == 1 else folder
    return save(entry.draw(source), target)
