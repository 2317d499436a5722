"""Prints the results of a study for people, on a terminal."""

import math
from collections.abc import Iterator
from itertools import islice

import pandas as pd
from rich.console import Console
from rich.table import Table

from simbench.cli.layout import Column, chosen, drawn, packed, stacked, width_of, with_told, without_intervals
from simbench.cli.output import plain
from simbench.study.config import StudyConfig
from simbench.study.notes import notes
from simbench.study.summary import TRUTH_METRICS, by_draw, caption, main_table, number, scope, situations
from simbench.study.takeaways import takeaways
from simbench.worlds.presets import described
from simbench.worlds.world import World

OTHER_METRICS = {
    "auroc": "AUROC",
    "pairwise_accuracy": "pairs",
    "brier": "Brier",
    "nll": "NLL",
    "calibration_shift": "shift",
    "ece": "ECE",
    "regret": "regret",
    "efficiency": "efficiency",
    "swapped_share": "swapped",
}
OTHER_LEGEND = (
    "pairs: share of a prompt's response pairs in the right order. shift: mean estimate minus mean reward. "
    "regret: reward lost by best-of-n. efficiency: Cramér-Rao bound over MSE, of the unbiased, given the "
    "propensity or not. swapped: share of replicates that rank like the propensity."
)
ON_SCREEN = 40  # situations whose tables are printed; nobody scrolls through more


def print_study(table: pd.DataFrame, draws: pd.DataFrame, config: StudyConfig, console: Console) -> None:
    """Print takeaways, tables and notes for the situations of a study, at most :data:`ON_SCREEN` of them.

    The first table holds the errors against the truth, the second ranking, calibration and decisions. How
    many situations are not printed is the last line.

    Parameters
    ----------
    table, draws : DataFrame
        The long tables of the study and of its draws.
    config : StudyConfig
    console : Console
    """
    soft = not console.is_terminal  # a terminal would break lines within words
    n_situations = len(table[["protocol", "world", "bias_level", "size"]].drop_duplicates())
    for part in islice(situations(table, config), ON_SCREEN):
        console.print()
        if len(config.protocols) > 1:
            console.print(plain(f"protocol {part.protocol}"))
        for line in situation_lines(part.world):
            console.print(plain(line), soft_wrap=soft)
        if config.draws > 1:
            console.print(plain(f"(rates are those of draw 0 of {config.draws})"))
        console.print()
        for line in takeaways(part.rows, config):
            console.print(plain(line), soft_wrap=soft)
        for table_ in (
            *_truth_tables(part.rows, config, console.width),
            *(_draws_tables(part.of(draws), console.width) if config.draws > 1 else ()),
            *_other_tables(part.rows, config, console.width),
        ):
            console.print()
            console.print(table_)
        console.print()
        for note in notes(part.rows, part.world, config):
            console.print(plain(note), soft_wrap=soft)
    if n_situations > ON_SCREEN:
        console.print()
        console.print(
            f"{n_situations - ON_SCREEN:,} more of {n_situations:,} situations are not printed; all are in "
            "the results (--format csv, json, markdown and latex print them all).",
            soft_wrap=True,
        )


def situation_lines(world: World) -> list[str]:
    """Lines that say what a world is, and which rates its law realised."""
    facts = world.realised()
    name = world.config.name
    return [
        f"world {name}: {described(world.config)}",
        world.description,
        f"bias level {world.bias_level:g} realised: {facts['positive_rate']:.3f} of responses are good, "
        f"{facts['action_rate']:.3f} would be acted on, {facts['feedback_rate']:.3f} got feedback; "
        f"{facts['positives_without_feedback']:.1%} of the good ones got none; propensity: smallest "
        f"{facts['smallest_propensity']:.2g}, 1 % quantile {facts['propensity_1_percent']:.2g}",
        *_shown_line(world),
        *_signal_line(world),
    ]


def _shown_line(world: World) -> list[str]:
    """How many of the responses are ever shown, where the log tells."""
    shown = world.train.law.shown_probability
    if shown is None:
        return []
    return [
        f"of the responses {shown.mean():.1%} are shown, in expectation; the others are in no log, and rates "
        "above are of a response once it is shown"
    ]


def _signal_line(world: World) -> list[str]:
    """How often each of several signals occurs, and how far the actions depend on each other."""
    if len(world.config.signal_names) < 2:
        return []
    rates = ", ".join(f"{name} {rate:.3f}" for name, rate in world.signal_rates().items())
    line = f"signals realised (share of responses): {rates}"
    if world.config.channel.signals > 1:
        correlation = world.train.law.action_correlation()
        line += f"; mean correlation of two actions given the response {correlation:.3f}"
    return [line]


def _truth_tables(here: pd.DataFrame, config: StudyConfig, width: int) -> Iterator[Table]:
    """The errors against the truth: with their intervals where the width allows it."""
    words = main_table(here)
    if words.empty:
        return
    of = {title: tuple(words[title]) for title in words.columns}
    names, told = Column("estimator", of["estimator"], right=False), Column("told", of["told"], right=False)
    verdict = Column("verdict", of["verdict"], right=False, wraps=True)
    metrics = [Column(title, of[title]) for title in TRUTH_METRICS.values()]
    both = with_told(of["estimator"], of["told"])
    values = [without_intervals(column) for column in metrics]
    columns = chosen(
        (
            [names, told, *metrics, verdict],
            [names, told, *map(stacked, metrics), verdict],
            [both, *map(stacked, metrics), verdict],
            [both, *values[:-1], stacked(metrics[-1]), verdict],
            [both, *values, verdict],
        ),
        width,
    )
    yield drawn(columns, f"Against the true reward: {scope(config)}", caption(config))


def _draws_tables(here: pd.DataFrame, width: int) -> Iterator[Table]:
    """MSE in each of the drawn worlds."""
    words = by_draw(here, "mse")
    if words.empty:
        return
    names = with_told(list(words.estimator), list(words.told), everywhere=False)
    columns = [Column(title, tuple(words[title])) for title in words.columns[2:]]
    for number_, part in enumerate(packed(names, columns, width)):
        yield drawn(part, "MSE in every drawn world" + (" (continued)" if number_ else ""))


def _other_tables(here: pd.DataFrame, config: StudyConfig, width: int) -> Iterator[Table]:
    """Ranking, calibration and decisions; in several tables where one would not fit."""
    names, told, lines = [], [], []
    finished = here[here.status == "ok"]
    for (name, knows), rows in finished.groupby(["estimator", "knows"], sort=False):
        rows = rows.set_index("metric")
        names.append(str(name))
        told.append(str(knows))
        lines.append([*(_plus_minus(rows, one) for one in OTHER_METRICS), f"{rows.iloc[0].seconds:.1f}"])
    if not names:
        return
    first = with_told(names, told, everywhere=False)
    titles = (*OTHER_METRICS.values(), "seconds")
    columns = [Column(title, cells) for title, cells in zip(titles, zip(*lines, strict=True), strict=True)]
    if width_of([first, *columns]) > width:
        columns = [without_intervals(column) for column in columns]
    tables = packed(first, columns, width)
    legend = f"± half of the {config.level:.0%} interval, where there is room for it. {OTHER_LEGEND}"
    for number_, part in enumerate(tables):
        is_last = number_ == len(tables) - 1
        title = "Ranking, calibration, decisions" + (" (continued)" if number_ else "")
        yield drawn(part, title, legend if is_last else "")


def _plus_minus(rows: pd.DataFrame, metric: str) -> str:
    if metric not in rows.index:
        return "–"
    row = rows.loc[metric]
    if math.isnan(row.low):
        return number(row.value, 2)
    return f"{number(row.value, 3)}±{number((row.high - row.low) / 2, 3)}"
