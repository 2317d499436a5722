"""Draws docs/img/bounds.png: what is known of one log's mean reward, by what is told.

python benchmarks/bounds_picture.py docs/img/bounds.png
"""

import sys
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench.reward.bounds.bounds import LEVEL, bounds_of
from simbench.reward.bounds.busiest import busiest
from simbench.reward.bounds.click_fits import FOLDS, click_estimator, click_fits
from simbench.reward.bounds.sensitivity import Sensitivity
from simbench.reward.clustered import MeanSet
from simbench.reward.diagnosis.cross_fit import unseen_clicks
from simbench.reward.diagnosis.diagnose import RESTARTS, estimator_with
from simbench.reward.labels.choose import draw_labels, label_probabilities
from simbench.reward.labels.mean import labelled
from simbench.reward.labels.predict import unseen_rewards
from simbench.training.restarts import train_restarts
from simbench.training.threads import fixed_threads
from simbench.worlds.world import world

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#888888"  # Okabe and Ito (2008)
LABELS = 200


def main() -> None:
    """Draw the picture into the file that is named."""
    log, truth = world("exclusive", bias_level=2, size=4000, seed=11).draw(range(1))
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    (clicks,), there = click_fits(click_estimator({}), log, FOLDS), busiest(click_estimator({}), log, FOLDS)
    least = np.geomspace(0.1, 1, 25)
    found = [bounds_of(log, float(a), clicks, there, LEVEL) for a in least]
    _band(left, least, [one.mean for one in found], GREY, "clicks alone")
    _band(left, least, [one.sharpest for one in found], BLUE, "context moves only the propensity")
    left.axvline(float(truth.propensity.mean()), color="black", linewidth=1, linestyle=":")
    left.annotate(
        "mean of the true one",
        (float(truth.propensity.mean()), 0.96),
        xytext=(3, 0),
        textcoords="offset points",
    )
    left.set(xscale="log", xticks=[0.1, 0.2, 0.5, 1], xticklabels=["0.1", "0.2", "0.5", "1"], ylim=(0, 1))
    left.set_xlabel("least propensity that is stated")
    left.set_ylabel("mean reward")

    estimator = estimator_with()
    fitted = train_restarts(estimator, log, [0], RESTARTS)
    propensity = fitted.predict_propensity(log.features if log.context is None else log.context)[0]
    centre = Sensitivity.of(log, unseen_clicks(estimator, log), propensity.clip(1e-9, 1))
    odds = np.geomspace(1, 5, 25)
    _band(right, odds, [centre.mean(float(g)) for g in odds], ORANGE, "around the fitted propensity")
    _, posterior = unseen_rewards(log)
    chance = label_probabilities(posterior, LABELS)
    known = np.where(draw_labels(chance, 0), truth.preference[0], np.nan).astype(np.float32)
    mean, _ = labelled(replace(log, labels=known[None]), chance)
    low, high = mean.powered.interval()
    error = [[mean.powered.value - low], [high - mean.powered.value]]
    right.errorbar([5.6], [mean.powered.value], error, fmt="o", color="black", capsize=3)
    said = f"{mean.n_labels} labels"
    right.annotate(said, (5.6, high), ha="center", xytext=(0, 5), textcoords="offset points")
    right.set(xscale="log", xlim=(0.97, 6.8))
    right.set_xticks([1, 1.5, 2, 3, 5], ["1", "1.5", "2", "3", "5"])
    right.minorticks_off()
    left.minorticks_off()
    right.set_xlabel("odds ratio by which the propensity may be off")
    for axis in (left, right):
        axis.axhline(float(truth.reward.mean()), color="black", linewidth=1, label="true mean reward")
        axis.legend(frameon=False, fontsize=9, loc="lower right" if axis is left else "lower left")
    figure.savefig(sys.argv[1], dpi=130)


def _band(axis: Axes, at: np.ndarray, sets: list[MeanSet], colour: str, name: str) -> None:
    """The estimated set, and around it the interval, where the two ends do not cross."""
    low, high = np.array([one.interval() for one in sets]).T
    axis.fill_between(at, low.clip(0), high.clip(max=1), low <= high, color=colour, alpha=0.2, linewidth=0)
    ends = np.array([(one.low.value, one.high.value) for one in sets]).T
    kept = ends[0] <= ends[1]
    axis.fill_between(at, *ends, where=kept.tolist(), color=colour, alpha=0.45, linewidth=0, label=name)


if __name__ == "__main__":
    with fixed_threads():
        main()
