"""``simbench figure``: pictures of a results folder."""

from pathlib import Path

from simbench.errors import BadInput


def figure(name: str, folder: Path, to: Path | None) -> None:
    """``simbench figure``: draw one figure from a results folder."""
    import importlib

    from simbench.figures import FIGURES, save
    from simbench.results import read_table

    if name not in FIGURES:
        raise BadInput(f"there is no figure {name!r}: there are {', '.join(FIGURES)}.")
    module = importlib.import_module(f"simbench.figures.{FIGURES[name]}")
    target = to or folder / name
    for path in save(module.draw(read_table(folder)), target):
        print(path)
