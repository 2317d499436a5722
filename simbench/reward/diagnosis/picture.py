"""Draws a diagnosis: reliability, restarts, compatible mean rewards, propensity."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from simbench.reward.diagnosis.diagnose import Diagnosis

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#888888"  # Okabe and Ito (2008)


def draw(diagnosis: "Diagnosis") -> Figure:
    """Draw a diagnosis as a figure of four panels."""
    figure = Figure(figsize=(10, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    _reliability(axes[0, 0], diagnosis)
    _restarts(axes[0, 1], diagnosis)
    _profile(axes[1, 0], diagnosis)
    _propensity(axes[1, 1], diagnosis)
    return figure


def _reliability(axis: Axes, diagnosis: "Diagnosis") -> None:
    found = diagnosis.calibration
    top = 1.05 * max(found.predicted.max(), found.high.max())
    axis.plot([0, top], [0, top], color=GREY, linewidth=1, label="calibrated")
    error = np.stack([found.observed - found.low, found.high - found.observed])
    axis.errorbar(found.predicted, found.observed, yerr=error, fmt="o", color=BLUE, capsize=3, markersize=5)
    axis.set(xlim=(0, top), ylim=(0, top))
    axis.set_title("Are clicks predicted right?", fontsize=11)
    axis.set_xlabel("predicted click probability (unseen responses, ten bins)", fontsize=9)
    axis.set_ylabel("share that clicked, 95 % interval", fontsize=9)
    axis.legend(frameon=False, fontsize=9)


def _restarts(axis: Axes, diagnosis: "Diagnosis") -> None:
    """Plot the two rewards of equal likelihood that are furthest apart."""
    rewards = diagnosis.restarts.rewards[0][diagnosis.restarts.near[0]]
    distance = ((rewards[:, None] - rewards[None]) ** 2).mean(2)
    first, second = np.unravel_index(distance.argmax(), distance.shape)
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axis.scatter(rewards[first], rewards[second], s=6, alpha=0.35, color=ORANGE, linewidths=0)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.set_title(f"Do equally likely fits agree? ({len(rewards)} of equal likelihood)", fontsize=11)
    axis.set_xlabel("reward of a response by one fit", fontsize=9)
    axis.set_ylabel("by the fit furthest from it", fontsize=9)


def _profile(axis: Axes, diagnosis: "Diagnosis") -> None:
    profile = diagnosis.profile
    axis.set_title("Which mean rewards are compatible with the log?", fontsize=11)
    axis.set_xlabel("mean reward that the fit was held to", fontsize=9)
    axis.set_ylabel("loss of unseen clicks above the best (nats/1,000)", fontsize=9)
    if profile is None:
        axis.text(0.5, 0.5, "the class prior was told", transform=axis.transAxes, ha="center", color=GREY)
        return
    above = 1000 * (profile.loss - profile.loss.min())
    axis.plot(profile.mean_reward, above, color=GREY, linewidth=1)
    kept = profile.compatible
    axis.plot(profile.mean_reward[~kept], above[~kept], "o", markersize=5, color=GREY, label="ruled out")
    axis.plot(profile.mean_reward[kept], above[kept], "o", markersize=6, color=BLUE, label="compatible")
    axis.set_ylim(-0.05 * above.max() - 1e-3, 1.05 * above.max() + 1e-3)
    axis.legend(frameon=False, fontsize=9)


def _propensity(axis: Axes, diagnosis: "Diagnosis") -> None:
    axis.hist(diagnosis.propensity, bins=np.linspace(0, 1, 41).tolist(), color=BLUE)
    axis.set_xlim(0, 1)
    axis.set_title("Is there overlap?", fontsize=11)
    axis.set_xlabel("fitted propensity: would the user act if satisfied?", fontsize=9)
    axis.set_ylabel("responses", fontsize=9)
