"""Value under the true reward against KL: what over-optimising a biased reward costs, and what it learns."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.study.policies import REFERENCE, TRUTH, read_downstream
from simbench_figures.palette import style
from simbench_figures.paper import DOUBLE, in_print, legend, note, require, sheet, with_told

STEPS = ("downstream",)  # of the reproduction, whose folders hold what it shows

KINDS = {"tilted to KL": "π ∝ π_ref exp(γ̂/β)", "best of n": "best of n"}
MOST_ROWS = 4  # situations on a page
OF_LOGIT = {"tilted to KL": "π ∝ π_ref exp(logit γ̂/β)"}


def read(folder: Path | Location) -> pd.DataFrame:
    """``downstream.parquet`` of a results folder."""
    return read_downstream(folder)


@in_print
def draw(table: pd.DataFrame) -> Figure:
    """Figure of the table of :func:`simbench.study.policies.downstream_table`.

    Returns
    -------
    Figure
        A row of panels a situation: value of tilted policies and of best-of-n, and where the world has a
        trait, its mean under tilted policies; a curve an estimator over the KL, bands are intervals.

    Raises
    ------
    BadInput
        If there are no policies of a stated KL.
    """
    require(table, "estimator", "policy", "strength", "metric", "value", "low", "high")
    if not (table.policy == "tilted to KL").any():
        raise BadInput("the table has no policies 'tilted to KL': simbench downstream FOLDER measures them.")
    reward = "probability" if (table.reward == "probability").any() else table.reward.iloc[-1]
    table = with_told(table[table.reward.isin([reward, "rank", ""])])
    situations = list(table.groupby(["world", "size", "bias_level"], sort=False))[:MOST_ROWS]
    panels = [("value", kind) for kind in KINDS]
    if (table.metric == "trait").any():
        panels.append(("trait", "tilted to KL"))
    figure = sheet(DOUBLE, 2.35 * len(situations) + 0.14 * -(-table.who.nunique() // 3) + 0.5)
    axes = figure.subplots(len(situations), len(panels), squeeze=False)
    titles = KINDS | (OF_LOGIT if reward == "logit" else {})
    for row, ((world, _, level), here) in zip(axes, situations, strict=True):
        for axis, (metric, kind) in zip(row, panels, strict=True):
            if not (here.metric == metric).any():  # a world without a trait beside one with
                axis.set_axis_off()
                continue
            _panel(axis, here, metric, kind)
            axis.set_title(f"{titles[kind]}\n{world}, bias level {level:g}")
    legend(figure, axes[0][0], 3)
    sizes = ", ".join(f"{size:,}" for size in sorted({size for (_, size, _), _ in situations}))
    note(
        figure,
        f"{sizes} training responses; {int(table.n_replicates.max())} replicates, bands: bootstrap "
        f"intervals over "
        "them. Dotted: π_ref. Dashed: policies of the true reward itself, the highest value that any policy "
        "reaches at its KL.",
    )
    return figure


def _panel(axis: Axes, here: pd.DataFrame, metric: str, kind: str) -> None:
    at = ["estimator", "who", "strength"]
    rows = here[here.policy == kind]
    kl = rows[rows.metric == "kl"].set_index(at).value.rename("kl")
    curves = rows[rows.metric == metric].join(kl, on=at).dropna(subset=["value"])
    for who, part in curves.groupby("who", sort=False):
        name = part.estimator.iloc[0]
        part = part.sort_values("kl")
        if name == TRUTH:
            axis.plot(part.kl, part.value, "--", color="black", label="the true reward", zorder=1)
            continue
        colour, marker = style(name)
        axis.plot(part.kl, part.value, color=colour, marker=marker, markersize=3, label=who)
        axis.fill_between(part.kl, part.low, part.high, color=colour, alpha=0.2, linewidth=0)
    reference = here[(here.policy == REFERENCE) & (here.metric == metric)].value
    axis.axhline(float(reference.iloc[0]), linestyle=":", color="#555555", linewidth=1)
    axis.set_xlim(left=0)
    axis.set_xlabel("KL(π ‖ π_ref) (nats)")
    axis.set_ylabel("value E_π[γ] (probability)" if metric == "value" else _trait_label(here))
    axis.grid()


def _trait_label(here: pd.DataFrame) -> str:
    name = str(here.trait.iloc[0])
    return f"mean {name} under π" + (" (characters)" if name == "length" else "")
