"""``simbench list``: lists estimators, grants, worlds, figures and studies."""

from collections.abc import Iterable, Sequence

import typer

from simbench.cli.options import Format, FormatOption
from simbench.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="List what there is: estimators, worlds, studies, figures.")


@app.command()
def estimators(format: FormatOption = Format.table) -> None:
    """List the installed estimators: what each must be told, what it assumes, and where it comes from."""
    from simbench.estimator import registry
    from simbench.score.risk import exact_cases
    from simbench.study.names import ANY_CLASSIFIER

    rows = []
    for name in registry.names():
        if name == ANY_CLASSIFIER:
            what = ("outside", "-", "α = 1", "see naive", "any scikit-learn classifier")
            rows.append((f"{ANY_CLASSIFIER}:CLASS", *what))
            continue
        try:
            kind = registry.find(name)
        except BadInput as error:
            rows.append((name, "-", "-", str(error), "-", "-"))
            continue
        needs = ", ".join([*sorted(kind.needs), *(f"({o})" for o in sorted(kind.optional))]) or "-"
        rows.append((name, kind.family, needs, kind.assumption, exact_cases(kind), kind.source))
    columns = ("estimator", "family", "told (optionally)", "assumes", "exactly unbiased", "source")
    _print(rows, columns, format, "Estimators")


@app.command()
def grants(format: FormatOption = Format.table) -> None:
    """List what a run can tell estimators, and how well."""
    from simbench.study.grants import meanings

    _print(meanings().items(), ("grant", "what is told"), format, "Grants")


@app.command()
def worlds(format: FormatOption = Format.table) -> None:
    """List the worlds that ``--world`` knows by name."""
    from simbench.worlds.presets import DESCRIPTIONS, PRESETS
    from simbench.worlds.world import build

    rows = []
    for name, config in PRESETS.items():
        rate = build(config, 0.5, 10_000, 0).realised()["feedback_rate"]
        rows.append((name, config.behaviour.kind, f"{rate:.3f}", DESCRIPTIONS[name]))
    _print(rows, ("world", "behaviour", "feedback rate at bias level 0.5", "what"), format, "Worlds")


@app.command()
def behaviours(format: FormatOption = Format.table) -> None:
    """List the ways in which users can act (``--behaviour``), with the settings of each."""
    from simbench.worlds.registry import find, names

    rows = []
    for name in names():
        try:
            found = find(name)
        except BadInput as error:
            rows.append((name, "-", str(error)))
            continue
        settings = {field: info.default for field, info in found.model_fields.items() if field != "kind"}
        said = (found.__doc__ or "").strip().split("\n\n")[0].replace("``", "")
        words = ", ".join(f"{field}={value}" for field, value in settings.items())
        rows.append((name, words, " ".join(said.split())))
    _print(rows, ("behaviour", "settings", "what"), format, "Behaviours")


@app.command()
def figures(format: FormatOption = Format.table) -> None:
    """List the installed figures: what each shows, and which study it is drawn from."""
    from simbench.study.figures import find, names

    rows = []
    for name in names():
        try:
            found = find(name)
        except BadInput as error:
            rows.append((name, str(error), "-"))
            continue
        rows.append((name, found.shows or "-", found.needs or "-"))
    _print(rows, ("figure", "shows", "needs"), format, "Figures")


@app.command()
def studies(format: FormatOption = Format.table) -> None:
    """List the studies that ``simbench run --study`` knows by name."""
    from simbench.study import library

    rows = [(name, library.shows(name)) for name in library.names()]
    _print(rows, ("study", "what"), format, "Studies")


def _print(rows: Iterable[Sequence[str]], columns: Sequence[str], format: Format, title: str) -> None:
    import pandas as pd

    from simbench.cli.output import print_table

    print_table(pd.DataFrame(list(rows), columns=list(columns)), format, title)
