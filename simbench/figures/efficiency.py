"""Efficiency against the bias level: the Cramér-Rao bound over each estimator's MSE."""

import pandas as pd
from matplotlib.figure import Figure

from simbench.errors import BadInput
from simbench.figures.palette import style

SMALLEST = 0.01  # of the axis; below it an estimator has diverged


def draw(table: pd.DataFrame) -> Figure:
    """Figure of a long results table.

    Parameters
    ----------
    table : DataFrame
        As :func:`simbench.results.table` makes it, of a study in worlds whose bound is known.

    Returns
    -------
    Figure
        One panel per world and size, a curve per estimator.

    Raises
    ------
    BadInput
        If the study holds no efficiency.
    """
    rows = table[(table.status == "ok") & (table.metric == "efficiency") & (table.estimator != "oracle")]
    if rows.empty:
        raise BadInput("this study has no efficiency: no bound is known for its worlds.")
    situations = list(rows.groupby(["world", "size"], sort=False))
    figure = Figure(figsize=(1.5 + 5.5 * len(situations), 4.2), layout="constrained")
    axes = figure.subplots(1, len(situations), squeeze=False)[0]
    for axis, ((world, size), here) in zip(axes, situations, strict=True):
        levels = sorted(here.bias_level.unique())
        curves = list(here.groupby(["estimator", "knows"], sort=False))
        for number, ((name, knows), part) in enumerate(curves):
            colour, marker = style(str(name))
            shift = (number - (len(curves) - 1) / 2) * 0.012 * max(1.0, levels[-1] - levels[0])
            value = part.value.clip(lower=SMALLEST)
            bars = [(value - part.low).clip(lower=0), (part.high - value).clip(lower=0)]
            looks = {"color": colour, "marker": marker, "capsize": 2, "markersize": 5, "linewidth": 1.1}
            axis.errorbar(part.bias_level + shift, value, yerr=bars, label=f"{name} (told: {knows})", **looks)
        axis.axhline(1, color="#888888", linewidth=1)
        axis.set(yscale="log", ylim=(0.8 * SMALLEST, 1.6), xticks=levels)
        axis.set_yticks([0.01, 0.03, 0.1, 0.3, 1], labels=["≤0.01", "0.03", "0.1", "0.3", "1 (bound)"])
        axis.minorticks_off()
        axis.set_title(f"{world}, {size:,} responses", fontsize=10)
        axis.set_xlabel("bias level λ (dodged for legibility)", fontsize=9)
        axis.set_ylabel("Cramér-Rao bound / MSE", fontsize=9)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    replicates = int(table.n_replicates.iloc[0])
    note = (
        f"{replicates} replicates, bootstrap intervals. Told the propensity: against the bound "
        "that knows it; else the joint one."
    )
    figure.supxlabel(note, fontsize=8, x=0.01, ha="left")
    return figure
