"""Draws the value of policies under the true reward against KL, and what over-optimising a reward learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.study.policies import REFERENCE, TRUTH, read_downstream
from simbench_figures.curve_ends import label_ends
from simbench_figures.paper import (
    DOUBLE,
    in_print,
    legend,
    note,
    plain_ticks,
    replicates_of,
    require,
    sheet,
    with_told,
    wrapped,
)
from simbench_figures.value_kl_words import TILTED, attitude, comparison_kl, explained

SHOWS = "How good the policies are that follow a fitted reward, the further they move from where they began."
NEEDS = "a study with policies: simbench run --world copyable --bias-level 2 --downstream --out DIR"
STEPS = ("downstream",)  # steps of the reproduction whose folders hold its data

KINDS = {TILTED: "π ∝ π_ref exp(γ̂/β)", "best of n": "best of n"}
MOST_ROWS = 4  # situations on a page
OF_LOGIT = {TILTED: "π ∝ π_ref exp(logit γ̂/β)"}
SITUATION = ["world", "size", "bias_level"]
LINE, WIDER, WIDEST = 1.0, 1.4, 5.0  # points: a curve, and how much wider is the one under it
SAME = 0.012  # of the height of a panel: curves that are as near, on average, count as one
APART = 4  # every fourth point has a marker, and neighbours in the key have theirs elsewhere


def read(folder: Path | Location) -> pd.DataFrame:
    """Read ``downstream.parquet`` of a results folder."""
    return read_downstream(folder)


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from a table of :func:`simbench.study.policies.downstream_table`.

    Returns
    -------
    Figure
        A row of panels per situation: the value of tilted policies and of best-of-n, and if the world has a
        trait, its mean under tilted policies. Every estimator is a curve over the KL, with its interval as a
        band. A text below says what the truth makes of the trait, and why an estimator passes the oracle.

    Raises
    ------
    BadInput
        If there are no policies of a stated KL.
    """
    require(table, "estimator", "policy", "strength", "metric", "value", "low", "high")
    if not (table.policy == TILTED).any():
        raise BadInput(f"the table has no policies {TILTED!r}: simbench downstream FOLDER measures them.")
    rewards = table.reward[table.policy == TILTED].unique()
    reward = "probability" if "probability" in rewards else rewards[0]
    table = _numbered(with_told(table[table.reward.isin([reward, "rank", ""])]))
    every = list(table.groupby(SITUATION, sort=False))
    situations = every[:MOST_ROWS]
    words = _notes(table, situations, reward, len(every) - len(situations))
    key = 0.14 * -(-table.who.nunique() // 3)
    lines = wrapped(words, DOUBLE).count("\n") + 1
    figure = sheet(DOUBLE, 2.25 * len(situations) + key + 0.125 * lines + 0.15)
    _fill(figure, situations, KINDS | (OF_LOGIT if reward == "logit" else {}))
    for line in legend(figure, 3).get_lines():
        line.set_linewidth(LINE)
    note(figure, words)
    figure.draw_without_rendering()  # where panels lie is known from here
    for axis in figure.axes:
        label_ends(axis, {_number_of(line): line for line in axis.lines if _number_of(line)})
    return figure


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    """Add columns ``number`` (from 1; 0 if nothing was fitted) and ``again`` (the estimator came before).

    A number stands for an estimator and what it was told.
    """
    fitted = table.who[~table.estimator.isin([TRUTH, REFERENCE])].unique()
    again = table.who != table.groupby("estimator").who.transform("first")
    numbers = {who: number for number, who in enumerate(fitted, start=1)}
    return table.assign(number=table.who.map(numbers).fillna(0), again=again)


def _number_of(line: Line2D) -> str:
    """The number with which the label of a curve begins, or an empty string."""
    first = str(line.get_label()).split(" ")[0]
    return first if first.isdigit() else ""


def _fill(figure: Figure, situations: list[tuple[Any, pd.DataFrame]], titles: dict[str, str]) -> None:
    panels = [("value", kind) for kind in KINDS]
    if any((here.metric == "trait").any() for _, here in situations):
        panels.append(("trait", TILTED))
    axes = figure.subplots(len(situations), len(panels), squeeze=False)
    for row, (key, here) in zip(axes, situations, strict=True):
        for axis, (metric, kind) in zip(row, panels, strict=True):
            if not (here.metric == metric).any():  # a world without a trait beside one with
                axis.set_axis_off()
                continue
            _panel(axis, here, metric, kind)
            second = _called(key)
            if metric == "trait":
                second = f"the true reward {attitude(here, comparison_kl(here))}"
            axis.set_title(f"{titles[kind]}\n{second}")


def _called(situation: tuple[Any, ...]) -> str:
    world, _, level = situation
    return f"{world}, bias level {level:g}"


def _panel(axis: Axes, here: pd.DataFrame, metric: str, kind: str) -> None:
    at = ["estimator", "who", "strength"]
    rows = here[here.policy == kind]
    kl = rows[rows.metric == "kl"].set_index(at).value.rename("kl")
    curves = rows[rows.metric == metric].join(kl, on=at).dropna(subset=["value", "kl"]).sort_values("kl")
    width = _widths(curves[curves.number > 0])
    for (number, who), part in curves.groupby(["number", "who"]):
        if not number:
            axis.plot(part.kl, part.value, "--", color="black", label="the true reward", zorder=1.9)
            continue
        first, apart = part.iloc[0], min(APART, len(part))
        axis.plot(
            part.kl,
            part.value,
            color=first.colour,
            marker=first.marker,
            markevery=(int(number) % apart, apart),
            markerfacecolor="white" if first.again else first.colour,
            markeredgecolor=first.colour if first.again else "white",
            markeredgewidth=0.8 if first.again else 0.4,
            linewidth=width[who],
            label=f"{int(number)} {who}",
        )
        axis.fill_between(part.kl, part.low, part.high, color=first.colour, alpha=0.15, linewidth=0, zorder=1)
    reference = here[(here.policy == REFERENCE) & (here.metric == metric)].value
    axis.axhline(float(reference.iloc[0]), linestyle=":", color="#555555", linewidth=1)
    longest = float(curves.kl.max())
    axis.set_xlim(0, 1.02 * longest)
    plain_ticks(axis, "x", list(np.arange(0, 1.02 * longest, 1 if longest >= 2 else 0.5)))
    axis.set_xlabel("KL(π ‖ π_ref) (nats)")
    axis.set_ylabel("value E_π[γ] (probability)" if metric == "value" else _trait_label(here))
    axis.grid()


def _widths(curves: pd.DataFrame) -> dict[str, float]:
    """Width of every curve; curves that coincide are drawn over each other, the lower ones wider."""
    height = float(curves.value.max() - curves.value.min()) or 1.0
    groups: list[list[tuple[str, pd.Series]]] = []
    for (_, who), part in curves.groupby(["number", "who"]):
        values = part.set_index("strength").value
        same = (
            group
            for group in groups
            if any((values - other).abs().mean() < SAME * height for _, other in group)
        )
        group = next(same, None)
        if group is None:
            groups.append(group := [])
        group.append((str(who), values))
    return {
        who: LINE + min(WIDER, (WIDEST - LINE) / max(len(group) - 1, 1)) * (len(group) - 1 - place)
        for group in groups
        for place, (who, _) in enumerate(group)
    }


def _trait_label(here: pd.DataFrame) -> str:
    name = str(here.trait.iloc[0])
    return f"mean {name} under π" + (" (characters)" if name == "length" else "")


def _notes(table: pd.DataFrame, situations: list[tuple[Any, pd.DataFrame]], reward: str, hidden: int) -> str:
    sizes = ", ".join(f"{size:,}" for size in sorted({size for (_, size, _), _ in situations}))
    highest = ", at the left the highest value of any policy at its KL" if reward == "probability" else ""
    counted = replicates_of(table[table.number > 0], "bands:")
    lines = [
        f"{sizes} training responses; {counted}. Numbers are those of the key; a curve that lies on another "
        "is narrower. A curve that ends early cannot spend more KL. Dotted: π_ref. Dashed: policies of the "
        f"true reward itself{highest}."
    ]
    lines += [explained(here, _called(key)) for key, here in situations]
    if hidden:
        lines.append(f"{hidden} more situations of this study have no room on the page.")
    return "\n".join(line for line in lines if line)
