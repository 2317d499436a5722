"""What the commands do: from flags to a study, from results to a printed table."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from simbench import registry
from simbench.errors import BadInput
from simbench.grants import MEANING, checked, in_words
from simbench.results import to_json
from simbench.study import Outcome, StudyConfig, plan
from simbench.study import run as run_study
from simbench.world import DESCRIPTIONS, PRESETS, RealResponses, WorldConfig, build

WORLD_FLAGS = (
    *("reward", "base_rate", "action_rate", "misclick", "confounding"),
    *("signals", "regenerate", "signal_dependence"),
)
REAL_FLAGS = (
    *("prompt_column", "text_column", "rating_column", "votes_column", "link", "slope", "threshold"),
)
ANY_CLASSIFIER = "sklearn"  # a factory: one of its classifiers stands for all
MINIMUM_WIDTH = 132  # of the printed tables in a pipe


def run(flags: dict[str, Any]) -> None:
    """``simbench run``; ``flags`` as the command line gave them, None where it did not."""
    config = study_from(flags)
    out = flags["out"] or Path("results") / _short_hash(config)
    with _Progress() as progress:
        table = run_study(config, out, flags["jobs"], progress)
    if flags["format"] == "table":
        _print_study(table, config)
    else:
        _emit(table, flags["format"])
    print(f"results: {out / 'results.parquet'}", file=sys.stderr)
    print(f"picture: simbench figure bias-variance {out}", file=sys.stderr)
    if (table.status == "failed").any():
        names = ", ".join(sorted(table[table.status == "failed"].estimator.unique()))
        print(f"simbench: failed: {names} (the reasons are in the table).", file=sys.stderr)
        sys.exit(1)


def study_from(flags: dict[str, Any]) -> StudyConfig:
    """The study that the flags, over a YAML file where one is given, describe.

    Raises
    ------
    BadInput
        With what is wrong and where.
    """
    raw = _read_yaml(flags["config"]) if flags["config"] is not None else {}
    values = {name: flags[name] for name in ("replicates", "seed", "margin", "label_share", "device")}
    values["bias_levels"] = _numbers(flags["bias_level"], float, "--bias-level")
    values["sizes"] = _numbers(flags["size"], int, "--size")
    names = _split(flags["estimators"])
    extra = flags["estimator"] or []
    if names or extra:
        base = names or raw.get("estimators") or StudyConfig().estimators
        base = _everyone() if list(base) == ["all"] else base
        values["estimators"] = list(dict.fromkeys([*base, *extra]))
    if flags["grant"] is not None:
        values["grant"] = _grants(flags["grant"])
    raw |= {name: value for name, value in values.items() if value is not None}
    try:
        worlds = _worlds(flags, raw.pop("worlds", None))
        return StudyConfig.model_validate({**raw, "worlds": worlds})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{where or 'the study'}: {first['msg']}, got {first['input']!r}.") from error


def _grants(text: str) -> tuple[str, ...]:
    names = [name.strip().replace("class-prior", "class prior") for name in text.split(",")]
    return checked([name for name in names if name not in ("none", "")])


def _everyone() -> list[str]:
    """All installed estimators, the oracle first."""
    names = [name for name in registry.names() if name not in ("oracle", ANY_CLASSIFIER)]
    return ["oracle", *names, f"{ANY_CLASSIFIER}:LogisticRegression"]


def _worlds(flags: dict[str, Any], given: Any) -> list[WorldConfig]:
    """Presets by name or whole worlds, with the flags laid over them."""
    chosen = _split(flags["world"]) or given or ["exclusive"]
    changes = {name: flags[name] for name in WORLD_FLAGS if flags[name] is not None}
    real = _real(flags)
    worlds = []
    for world in chosen:
        config = _preset(world) if isinstance(world, str) else WorldConfig.model_validate(world)
        described = {**config.model_dump(), **changes}
        if real is not None:
            stem = Path(real.path).name.split(".")[0]
            described |= {"real": real.model_dump(), "name": f"{config.name}:{stem}"}
        worlds.append(WorldConfig.model_validate(described))
    return worlds


def _preset(name: str) -> WorldConfig:
    from difflib import get_close_matches

    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"there is no world {name!r}.{hint} See: simbench list worlds.")
    return PRESETS[name]


def _real(flags: dict[str, Any]) -> RealResponses | None:
    given = {name: flags[name] for name in REAL_FLAGS if flags[name] is not None}
    if flags["responses"] is None:
        if given or flags["features"] is not None:
            used = ", ".join(f"--{name.replace('_', '-')}" for name in given) or "--features"
            raise BadInput(f"{used} describes a file of responses: give it with --responses FILE.")
        return None
    features = None if flags["features"] is None else str(flags["features"])
    return RealResponses(path=str(flags["responses"]), features=features, **given)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} must hold a mapping of study settings, such as `replicates: 20`.")
    return value


def _split(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]


def _numbers(values: list[str] | None, kind: Callable[[str], Any], flag: str) -> list[Any] | None:
    try:
        return [kind(part) for part in _split(values)] or None
    except ValueError as error:
        raise BadInput(f"{flag} must be numbers, separated by commas, got {values}.") from error


def _short_hash(config: StudyConfig) -> str:
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:10]


class _Progress:
    """A bar on a terminal, plain lines in a pipe; on stderr, so that stdout is the table alone."""

    def __enter__(self) -> "_Progress":
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        self.bar = None
        if sys.stderr.isatty():
            self.bar = Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task("starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, outcome: Outcome, done: int, total: int) -> None:
        cell = outcome.cell
        told = f" ({', '.join(in_words(name) for name in cell.grant)})" if cell.grant else ""
        text = f"{cell.world.name}, bias level {cell.bias_level:g}: {cell.estimator}{told}"
        if self.bar is not None:
            self.bar.update(self.task, description=text, completed=done, total=total)
            return
        detail = f"{outcome.seconds:.1f} s" if outcome.status == "ok" else outcome.reason
        print(f"[{done}/{total}] {text}: {outcome.status}, {detail}", file=sys.stderr, flush=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, MINIMUM_WIDTH))


def _print_study(table: pd.DataFrame, config: StudyConfig) -> None:
    from simbench.report import print_study

    cells = {(c.world, c.bias_level, c.size): c for c in plan(config)}.values()
    print_study(table, config, [cell.built() for cell in cells], _console())


def _emit(table: pd.DataFrame, format: str) -> None:
    print(to_json(table) if format == "json" else table.to_csv(index=False), end="")
    if format == "json":
        print()


def _print_table(table: pd.DataFrame, format: str, title: str) -> None:
    if format != "table":
        _emit(table, format)
        return
    drawn = Table(title=title, box=None)
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.itertuples(index=False):
        drawn.add_row(*(str(value) for value in row))
    _console().print(drawn)


def check(names: list[str] | None, seed: int, format: str, conformance: bool | None) -> None:
    """``simbench check``: exact verdicts on the risk of each estimator, and does it keep to the rules?

    Estimators from outside are put through the conformance kit unless told otherwise.
    """
    from simbench import verdicts

    kinds = {name: registry.find(name) for name in names or []}
    outside = [name for name, kind in kinds.items() if not kind.__module__.startswith("estimators.")]
    examined = {None: outside, True: list(kinds) or _everyone(), False: []}[conformance]
    if names is None or format == "markdown" or any(verdicts.states_a_loss(k) for k in kinds.values()):
        _print_verdicts(names and [n for n in names if verdicts.states_a_loss(kinds[n])], seed, format)
    failed = _examine(examined)
    if failed:
        print(f"simbench: does not conform: {', '.join(failed)}.", file=sys.stderr)
        sys.exit(1)


def _examine(names: list[str]) -> list[str]:
    """Print the findings of the conformance kit on stderr; return who failed."""
    from simbench.conformance import examine

    failed = []
    for name in names:
        findings = examine(registry.find(name), name)
        for finding in findings:
            mark = "ok  " if finding.passed else "FAIL"
            detail = "" if finding.passed else f": {finding.detail}"
            print(f"{mark} {finding.estimator}: {finding.requirement}{detail}", file=sys.stderr, flush=True)
        if not all(finding.passed for finding in findings):
            failed.append(name)
    return failed


def _print_verdicts(names: list[str] | None, seed: int, format: str) -> None:
    from simbench import verdicts

    rows = verdicts.collect(names, seed)
    if format == "markdown":
        print(verdicts.as_markdown(rows), end="")
    elif format != "table":
        _emit(pd.DataFrame([vars(verdict) for verdict, _ in rows]), format)
    else:
        shown = verdicts.as_table(rows).drop(columns="unbiased if")
        _print_table(shown, format, "Is the risk unbiased?")
        print("\n".join(verdicts.legend()))


def tune(
    names: list[str],
    world: str,
    cell: dict[str, Any],
    grant: str,
    trials: int,
    out: Path | None,
    format: str,
) -> None:
    """``simbench tune``: a row an estimator; who cannot be tuned is told so and the others go on."""
    from simbench.tune import situation
    from simbench.tune import tune as search

    common = {**cell, "world": _preset(world), "label_share": 0.05, "device": "cpu"}
    rows = []
    for name in _everyone() if names == ["all"] else names:
        try:
            found = search(situation(name, common, _grants(grant)), trials, out)
        except BadInput as error:
            if len(names) == 1 and names != ["all"]:
                raise
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            continue
        chosen = {key: f"{v:.2g}" if isinstance(v, float) else v for key, v in found.parameters.items()}
        rows.append({"estimator": name, "trials": found.trials, "at shipped": f"{found.default:.5f}"})
        rows[-1] |= {"at best": f"{found.best:.5f}", **chosen}
        print(f"{name}: {found.default:.5f} -> {found.best:.5f} {chosen}", file=sys.stderr, flush=True)
    _print_table(pd.DataFrame(rows), format, "Held-out selection loss, lower is better")


def plan_size(
    world: str, bias_level: float, target_rmse: float, replicates: int, seed: int, format: str
) -> None:
    """``simbench plan``."""
    from simbench.planning import plan

    if not 0 < target_rmse < 0.5:
        raise BadInput(f"--target-rmse must lie between 0 and .5, got {target_rmse:g}.")
    rows = [vars(row) for row in plan(_preset(world), bias_level, target_rmse, replicates, seed)]
    table = pd.DataFrame(rows)
    if format == "table":
        table["rmse_there"] = [f"{value:.4f}" for value in table.rmse_there]
        table = table.rename(
            columns={
                "by_bound": "responses by the bound",
                "rmse_there": "RMSE measured there",
                "needed": "responses needed",
            }
        )
    _print_table(table, format, f"{world}, bias level {bias_level:g}, target RMSE {target_rmse:g}")


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


def list_estimators(format: str) -> None:
    """``simbench list estimators``: the catalogue, with the cases in which the risk is exactly unbiased."""
    from simbench import risk

    rows = []
    for name in registry.names():
        if name == ANY_CLASSIFIER:
            exact = "see naive"
            rows.append(("sklearn:CLASS", "outside", "-", "α = 1", exact, "any scikit-learn classifier"))
            continue
        try:
            kind = registry.find(name)
        except BadInput as error:
            rows.append((name, "-", "-", str(error), "-", "-"))
            continue
        needs = ", ".join([*sorted(kind.needs), *(f"({o})" for o in sorted(kind.optional))]) or "-"
        rows.append((name, kind.family, needs, kind.assumption, risk.exact_cases(kind), kind.source))
    columns = ["estimator", "family", "told (optionally)", "assumes", "exactly unbiased", "source"]
    _print_table(pd.DataFrame(rows, columns=columns), format, "Estimators")


def list_grants(format: str) -> None:
    """``simbench list grants``."""
    rows = list(MEANING.items())
    _print_table(pd.DataFrame(rows, columns=["grant", "what is told"]), format, "Grants")


def list_worlds(format: str) -> None:
    """``simbench list worlds``."""
    rows = []
    for name, config in PRESETS.items():
        world = build(config, 0.5, 10_000, 0)
        rows.append((name, config.law, f"{world.realised()['feedback_rate']:.3f}", DESCRIPTIONS[name]))
    columns = ["world", "law", "feedback rate at bias level 0.5", "what"]
    _print_table(pd.DataFrame(rows, columns=columns), format, "Worlds")
