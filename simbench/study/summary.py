"""The main table of a study as text: for the screen, for a document, or for a paper."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from simbench.study.config import StudyConfig, cells_of
from simbench.study.draws import AMONG_BEST
from simbench.worlds.world import World

TRUTH_METRICS = {"bias2": "bias²", "variance": "variance", "mse": "MSE", "distance2": "distance²"}
BEST = "*"  # after the MSE of an estimator that cannot be told from the best
COLUMNS = ("estimator", "told", *TRUTH_METRICS.values(), "verdict")
IN_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"},
    **{"²": "$^2$", "–": "--", "±": "$\\pm$", "α": "$\\alpha$", "γ": "$\\gamma$", "λ": "$\\lambda$"},
}


@dataclass(frozen=True)
class Situation:
    """A part of a study: one protocol, world, bias level and size.

    Parameters
    ----------
    protocol : str
    world : World
        The first of its draws, built at the bias level and size.
    size : int
    rows : DataFrame
        Its rows of the long table.
    """

    protocol: str
    world: World
    size: int
    rows: pd.DataFrame

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table, of the study or of its draws, that belong to this situation."""
        return table[
            (table.protocol == self.protocol)
            & (table.world == self.world.config.name)
            & (table.bias_level == self.world.bias_level)
            & (table["size"] == self.size)
        ]

    def title(self, config: StudyConfig) -> str:
        """The situation in words, for the heading of a table."""
        protocol = f", protocol {self.protocol}" if len(config.protocols) > 1 else ""
        name = self.world.config.name
        return f"{name}, bias level {self.world.bias_level:g}, {self.size:,} responses{protocol}"


def situations(table: pd.DataFrame, config: StudyConfig) -> Iterable[Situation]:
    """Every situation of a study, in the order in which they run."""
    cells = {
        (cell.protocol.name, cell.world, cell.bias_level, cell.size): cell
        for cell in cells_of(config)
        if cell.draw == 0
    }
    for cell in cells.values():
        part = Situation(cell.protocol.name, cell.built(), cell.size, table)
        yield replace(part, rows=part.of(table))


def main_table(here: pd.DataFrame) -> pd.DataFrame:
    """The errors against the true reward: a row for every estimator and what it was told.

    Parameters
    ----------
    here : DataFrame
        Rows of the long table that belong to one situation.

    Returns
    -------
    DataFrame of str
        Columns :data:`COLUMNS`; values with their intervals, ``.0013 [.0003, .0028]``. An estimator that did
        not finish has the reason in place of a verdict.
    """
    lines = []
    for (name, knows), rows in here.groupby(["estimator", "knows"], sort=False):
        rows = rows.set_index("metric")
        first = rows.iloc[0]
        if first.status == "ok":
            cells = [with_interval(rows, metric) + _mark(rows, metric) for metric in TRUTH_METRICS]
            lines.append((name, knows, *cells, verdict_of(rows)))
        else:
            lines.append((name, knows, *[""] * len(TRUTH_METRICS), f"{first.status}: {first.reason}"))
    return pd.DataFrame(lines, columns=list(COLUMNS), dtype=str)


def scope(config: StudyConfig) -> str:
    """What a study speaks of: a kind of world, or the one world that was drawn."""
    if config.draws == 1:
        return f"{config.replicates} replicates, conditional on this drawn world"
    return f"means over {config.draws} drawn worlds, {config.replicates} replicates in each"


def caption(config: StudyConfig) -> str:
    """Sentences that explain the intervals and the verdicts of :func:`main_table`."""
    over = "over replicates" if config.draws == 1 else "over worlds"
    best = f" {BEST} cannot be told from the best MSE ({config.level:.0%}, all at once)."
    return (
        f"[low, high]: {config.level:.0%} intervals {over}. distance²: mean squared difference of the "
        f"estimator's mean from the oracle's; the verdict compares it with {config.margin:g}²."
        f"{best if config.draws > 2 else ''}"
    )


def by_draw(draws: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric of every estimator in every draw of one situation, as text.

    Parameters
    ----------
    draws : DataFrame
        Rows of the table of draws that belong to the situation.
    metric : str

    Returns
    -------
    DataFrame of str
        Columns ``estimator``, ``told`` and one for each draw; a dash where there is no number.
    """
    numbers = sorted(draws.draw.unique())
    lines = []
    for (name, knows), rows in draws.groupby(["estimator", "knows"], sort=False):
        value = rows[rows.metric == metric].set_index("draw").value
        if len(value):
            lines.append((name, knows, *(number(float(value.get(one, math.nan))) for one in numbers)))
    return pd.DataFrame(lines, columns=["estimator", "told", *(f"{one}" for one in numbers)], dtype=str)


def _mark(rows: pd.DataFrame, metric: str) -> str:
    among = metric == "mse" and AMONG_BEST in rows.index and rows.loc[AMONG_BEST].value == 1
    return f" {BEST}" if among else ""


def to_markdown(table: pd.DataFrame) -> str:
    """A table of strings in Markdown; columns of numbers are aligned to the right."""
    rule = ["---:" if column in TRUTH_METRICS.values() else "---" for column in table.columns]
    rows = [list(table.columns), rule, *table.to_numpy().tolist()]
    return "".join("| " + " | ".join(_one_line(cell, "\\|") for cell in row) + " |\n" for row in rows)


def to_latex(table: pd.DataFrame, title: str, below: str) -> str:
    """A table of strings as a LaTeX float with a caption; needs the package booktabs."""
    sides = "".join("r" if column in TRUTH_METRICS.values() else "l" for column in table.columns)
    head, *body = (
        " & ".join(_in_latex(cell) for cell in row) + r" \\"
        for row in [list(table.columns), *table.to_numpy().tolist()]
    )
    lines = [
        *(r"\begin{table}", r"\centering", rf"\caption{{{_in_latex(f'{title}. {below}')}}}"),
        *(rf"\begin{{tabular}}{{{sides}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
        *(r"\end{tabular}", r"\end{table}"),
    ]
    return "\n".join(lines) + "\n"


def _one_line(cell: str, bar: str) -> str:
    return re.sub(r"\s+", " ", cell).replace("|", bar)


def _in_latex(cell: str) -> str:
    escaped = "".join(IN_LATEX.get(letter, letter) for letter in _one_line(cell, "|"))
    escaped = re.sub(r"(?<!\w)-(?=[.\d])", "$-$", escaped)
    # a cell that begins with a bracket would be read as an argument of the line break before it
    return f"{{}}{escaped}" if escaped.startswith("[") else escaped


def number(value: float, digits: int = 4) -> str:
    """A number as tables show it: ``.0130``, ``-.0002``, ``12.34``; a dash for NaN."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def with_interval(rows: pd.DataFrame, metric: str) -> str:
    """A metric with its interval, from rows that are indexed by metric; a dash if there is no such row."""
    if metric not in rows.index:
        return "–"
    row = rows.loc[metric]
    if math.isnan(row.low):
        return number(row.value)
    return f"{number(row.value)} [{number(row.low)}, {number(row.high)}]"


def verdict_of(rows: pd.DataFrame) -> str:
    """The verdict on a finished estimator, from rows that are indexed by metric."""
    if "distance2" in rows.index:
        return rows.loc["distance2"].verdict
    return "no oracle" if "bias2" in rows.index else "ranks only"
