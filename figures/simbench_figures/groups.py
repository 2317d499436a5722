"""Draws the four latent groups of responses, what a log shows of them, and who is in them."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from simbench.files.location import Location
from simbench_figures.paper import DOUBLE, in_print, note, require, sheet

SHOWS = "What a log hides: a response without feedback may be a bad one, or a good one on which nobody acted."
NEEDS = "any study: simbench run --bias-level 2 --out DIR; its first world at the highest bias level is drawn"
STEPS = ("bias-level",)  # steps of the reproduction whose folders hold its data

BINS = 10
# Okabe and Ito (2008); no estimator has them in one figure with these
COLOURS = {"PA": "#009E73", "PP": "#56B4E9", "NA": "#E69F00", "NP": "#BBBBBB"}
NAMES = {
    "PA": "positive-active",
    "PP": "positive-passive",
    "NA": "negative-active",
    "NP": "negative-passive",
}


def read(folder: Path | Location) -> pd.DataFrame:
    """Compute the shares of the groups among the training responses of a study.

    It takes the study's first world, at its highest bias level.

    Returns
    -------
    DataFrame
        A row for each tenth of the responses by propensity: ``propensity`` (its mean), the share of all
        responses in each group, ``clicks`` (share of all responses that got feedback), and the world. These
        are expectations over the draws, without sampling error.
    """
    from simbench.study.config import cells_of
    from simbench.study.finished import read_study

    cells = cells_of(read_study(folder))
    cells = [cell for cell in cells if cell.world == cells[0].world and cell.size == cells[0].size]
    cell = max(cells, key=lambda cell: cell.bias_level)
    world = cell.built()
    gamma, alpha, misclick = world.train.reward, world.train.propensity, world.config.channel.misclick
    members = {
        "PA": gamma * alpha,
        "PP": gamma * (1 - alpha),
        "NA": (1 - gamma) * alpha,
        "NP": (1 - gamma) * (1 - alpha),
    }
    frame = pd.DataFrame(members) / len(gamma)
    frame["clicks"] = frame.PA + misclick * frame.NA
    tenth = np.argsort(np.argsort(alpha, kind="stable")) * BINS // len(alpha)
    sums = frame.groupby(tenth).sum()
    sums["propensity"] = pd.Series(alpha).groupby(tenth).mean()
    return sums.assign(world=cell.world.name, bias_level=cell.bias_level, size=len(gamma))


@in_print
def draw(shares: pd.DataFrame) -> Figure:
    """Draw the figure from what :func:`read` returns.

    Returns
    -------
    Figure
        Three panels: the latent groups as areas, what feedback shows of them, and their shares in every tenth
        of the responses by propensity.
    """
    require(shares, *NAMES, "clicks", "propensity")
    figure = sheet(DOUBLE, 2.75)
    axes = figure.subplots(1, 3, width_ratios=[1.25, 0.75, 1.5])
    total = shares[list(NAMES)].sum()
    _latent(axes[0], total)
    _observed(axes[1], total, float(shares.clicks.sum()))
    _by_propensity(axes[2], shares)
    first = shares.iloc[0]
    note(
        figure,
        f"World {first.world}, bias level {first.bias_level:g}, {int(first['size']):,} responses; exact "
        f"expectations "
        "over the draws of preference and action.",
    )
    return figure


def _latent(axis: Axes, total: pd.Series) -> None:
    """The latent groups: the width tells whether the response is good, the height whether the user acts."""
    good = total.PA + total.PP
    for left, width, upper, lower in ((0, good, "PP", "PA"), (good, 1 - good, "NP", "NA")):
        height = total[lower] / width
        _area(axis, (left, 0), width, height, lower, total[lower])
        _area(axis, (left, height), width, 1 - height, upper, total[upper])
    axis.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
    axis.set_xticks([good / 2, (1 + good) / 2], [f"good, r*=1\n{good:.1%}", f"not, r*=0\n{1 - good:.1%}"])
    axis.tick_params(length=0)
    axis.set_ylabel("would act, a=1 (below), or not (above)")
    axis.set_title("latent: preference and action")


def _area(
    axis: Axes, corner: tuple[float, float], width: float, height: float, name: str, share: float
) -> None:
    axis.add_patch(Rectangle(corner, width, height, facecolor=COLOURS[name], edgecolor="white", linewidth=1))
    middle = corner[0] + width / 2, corner[1] + height / 2
    text = f"{name}\n{NAMES[name].replace('-', chr(10))}\n{share:.1%}"
    if height < 0.25:
        text = f"{name} {share:.1%}"
    axis.text(*middle, text, ha="center", va="center", fontsize=7)


def _observed(axis: Axes, total: pd.Series, clicks: float) -> None:
    """What the log shows: two kinds of response, of which one is three groups in one."""
    unseen = {name: total[name] for name in ("PP", "NA", "NP")}
    misclicked = clicks - total.PA
    unseen["NA"] -= misclicked
    axis.bar([0], [total.PA], color=COLOURS["PA"], width=0.8)
    axis.bar([0], [misclicked], bottom=[total.PA], color=COLOURS["NA"], width=0.8)
    axis.text(0, clicks + 0.02, f"{clicks:.1%}", ha="center", va="bottom", fontsize=7)
    bottom = 0.0
    for name, share in unseen.items():
        axis.bar(
            [1], [share], bottom=[bottom], color=COLOURS[name], width=0.8, edgecolor="white", hatch="..."
        )
        bottom += share
    axis.text(1, bottom + 0.02, f"{bottom:.1%}", ha="center", va="bottom", fontsize=7)
    axis.set_xticks([0, 1], ["feedback\nr=1", "none\nr=0"])
    axis.set(ylim=(0, 1.08), ylabel="share of responses")
    axis.tick_params(axis="x", length=0)
    axis.set_title("observed")


def _by_propensity(axis: Axes, shares: pd.DataFrame) -> None:
    bottom = np.zeros(len(shares))
    place = np.arange(1, len(shares) + 1)
    whole = shares[list(NAMES)].sum(axis=1).to_numpy()
    for name in NAMES:
        part = shares[name].to_numpy() / whole
        axis.bar(place, part, bottom=bottom, color=COLOURS[name], width=0.9, label=name)
        bottom += part
    axis.set(xlim=(0.4, len(shares) + 0.6), ylim=(0, 1), ylabel="share of the tenth")
    shown = place[:: max(1, len(place) // 5)]
    axis.set_xticks(shown, [f"{shares.propensity.iloc[i - 1]:.2f}" for i in shown])
    axis.set_xlabel("tenths by propensity (mean α)")
    axis.set_title("who is in them")
