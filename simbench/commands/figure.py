"""``simbench figure``: pictures of a results folder."""

from simbench.errors import BadInput


def figure(name: str, folder: str, to: str | None) -> None:
    """``simbench figure``: draw one figure from a results folder."""
    import importlib

    from simbench.figures import FIGURES, save
    from simbench.location import Location
    from simbench.results import read_table

    if name not in FIGURES:
        raise BadInput(f"there is no figure {name!r}: there are {', '.join(FIGURES)}.")
    module = importlib.import_module(f"simbench.figures.{FIGURES[name]}")
    target = Location(folder) / name if to is None else Location(to)
    for path in save(module.draw(read_table(folder)), target):
        print(path)
