"""Prints the results of a study for people, on a terminal."""

import math
from itertools import islice

import pandas as pd
from rich.console import Console
from rich.table import Table

from simbench.cli.output import plain
from simbench.study.config import StudyConfig
from simbench.study.notes import notes
from simbench.study.summary import by_draw, caption, main_table, number, scope, situations
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
ON_SCREEN = 40  # situations whose tables are printed; nobody scrolls through more


def print_study(table: pd.DataFrame, draws: pd.DataFrame, config: StudyConfig, console: Console) -> None:
    """Print two tables and the notes for the situations of a study, at most :data:`ON_SCREEN` of them.

    The first table holds the errors against the truth, the second ranking, calibration and decisions. How
    many situations are not printed is the last line.

    Parameters
    ----------
    table, draws : DataFrame
        The long tables of the study and of its draws.
    config : StudyConfig
    console : Console
    """
    n_situations = len(table[["protocol", "world", "bias_level", "size"]].drop_duplicates())
    for part in islice(situations(table, config), ON_SCREEN):
        console.print()
        if len(config.protocols) > 1:
            console.print(plain(f"protocol {part.protocol}"))
        for line in situation_lines(part.world):
            console.print(plain(line), soft_wrap=True)
        if config.draws > 1:
            console.print(plain(f"(rates are those of draw 0 of {config.draws})"))
        console.print(_truth_table(part.rows, config))
        if config.draws > 1:
            console.print(_draws_table(part.of(draws)))
        console.print(_other_table(part.rows, config))
        for note in notes(part.rows, part.world, config):
            console.print(plain(note), soft_wrap=True)
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


def _truth_table(here: pd.DataFrame, config: StudyConfig) -> Table:
    table = Table(title=f"Against the true reward: {scope(config)}", box=None)
    words = main_table(here)
    for title in words.columns:
        is_text = title in ("estimator", "told", "verdict")
        table.add_column(title, justify="left" if is_text else "right", no_wrap=not is_text)
    for row in words.itertuples(index=False):
        table.add_row(*map(plain, row))
    table.caption = plain(caption(config), "table.caption")
    table.caption_justify = "left"
    return table


def _draws_table(here: pd.DataFrame) -> Table:
    """MSE in each of the drawn worlds."""
    words = by_draw(here, "mse")
    table = Table(title="MSE in every drawn world", box=None)
    for title in words.columns:
        is_text = title in ("estimator", "told")
        table.add_column(title, justify="left" if is_text else "right", no_wrap=not is_text)
    for row in words.itertuples(index=False):
        table.add_row(*map(plain, row))
    return table


def _other_table(here: pd.DataFrame, config: StudyConfig) -> Table:
    table = Table(title="Ranking, calibration, decisions", box=None)
    table.add_column("estimator")
    for title in OTHER_METRICS.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("seconds", justify="right")
    finished = here[here.status == "ok"]
    several = finished.groupby("estimator").knows.nunique()
    for (name, knows), rows in finished.groupby(["estimator", "knows"], sort=False):
        rows = rows.set_index("metric")
        cells = [_plus_minus(rows, metric) for metric in OTHER_METRICS]
        who = f"{name}, {knows}" if several[name] > 1 else name
        table.add_row(plain(who), *cells, f"{rows.iloc[0].seconds:.1f}")
    table.caption = (
        f"± half of the {config.level:.0%} interval. pairs: share of a prompt's response pairs in the "
        "right order. shift: mean estimate minus mean reward. regret: reward lost by best-of-n. "
        "efficiency: Cramér-Rao bound over MSE, of the unbiased, given the propensity or not. "
        "swapped: share of replicates that rank like the propensity."
    )
    table.caption_justify = "left"
    return table


def _plus_minus(rows: pd.DataFrame, metric: str) -> str:
    if metric not in rows.index:
        return "–"
    row = rows.loc[metric]
    if math.isnan(row.low):
        return number(row.value, 2)
    return f"{number(row.value, 3)}±{number((row.high - row.low) / 2, 3)}"
