"""Real feedback with a real truth: a bandit's log of the caption contest, judged by its uniform arm.

python benchmarks/caption_contest.py CAPTIONS.jsonl.gz EMBEDDINGS.safetensors > benchmarks/caption_contest.md

A bandit chose which captions of the New Yorker contest to show. Feedback of a caption: at least one vote
there above *unfunny*. Context: how often it was shown, which moves whether someone acts. The truth, which no
estimator sees, is the share of such votes in the uniform arm.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.log.rated_responses import read_features
from simbench.log.source import open_table
from simbench.reward.diagnosis.diagnose import diagnose
from simbench.reward.diagnosis.report import as_text

ESTIMATORS = (
    *("naive", "naive-sqrt", "balanced-naive", "elkan-noto", "vpu", "wmf"),
    *("lbe", "recrec", "sar-em", "implicitrm"),
)
DRAWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captions", type=Path)
    parser.add_argument("embeddings", type=Path)
    arguments = parser.parse_args()
    frame = open_table(arguments.captions).frame
    features = read_features(arguments.embeddings, len(frame))
    shown = (frame.n_adaptive > 0).to_numpy()
    log = adaptive_log(frame[shown], features[shown])
    votes = np.array(frame.uniform[shown].tolist(), dtype=float)
    above, count = votes[:, 1:].sum(1), votes.sum(1)
    print("# The caption contest: a real bandit's log, judged by a randomised arm\n")
    print("Written by `python benchmarks/caption_contest.py`.\n")
    print(
        f"{log.n_rows:,} captions of {len(np.unique(log.groups))} contests; "
        f"{100 * log.feedback.mean():.0f} % with feedback in the adaptive arm. "
        f"Truth: {int(count.sum()):,} votes of the uniform arm, "
        f"{100 * above.sum() / count.sum():.1f} % above unfunny. Brackets: 95 % by bootstrap over captions."
    )
    print("AUROC: of a vote above unfunny against one that is not, within a contest. Exposure alone ranks")
    print(f"with {auroc(np.log(frame.n_adaptive[shown].to_numpy(float)), above, count, log.groups):.3f}.\n")
    print(
        "| estimator | told | AUROC of a vote | mean reward less the share of votes | Brier score of a vote |"
    )
    print("|---|---|---|---|---|", flush=True)
    for name in ESTIMATORS:
        kind = find(name)
        reward = kind().fit_replicates(log).predict(log.features)[0]
        reads_context = any(network.inputs == "context" for network in kind.networks)
        row(name, "context" if reads_context else "nothing", reward, above, count, log.groups)
    row(
        "the overall share of votes, for every caption",
        "truth",
        np.full(log.n_rows, above.sum() / count.sum()),
        above,
        count,
        log.groups,
    )
    print("\n## What `diagnose` says beforehand\n\n```text")
    print(as_text(diagnose(log)))
    print("```")


def adaptive_log(frame: pd.DataFrame, features: np.ndarray) -> FeedbackLog:
    """What the bandit's log shows of captions that it chose at least once."""
    votes = np.array(frame.adaptive.tolist())
    exposure = np.log(frame.n_adaptive.to_numpy(dtype=float))
    log = FeedbackLog(
        features=(features / np.sqrt(np.mean(features.astype(float) ** 2))).astype(np.float32),
        feedback=(votes[:, 1:].sum(1) > 0).astype(np.float32)[None],
        groups=frame.group.to_numpy(dtype=np.int64),
    )
    context = (exposure - exposure.mean()) / exposure.std()
    # prompts are contests, too few to hold out: captions are held out instead
    return replace(log, context=context[:, None].astype(np.float32))


def row(name: str, told: str, reward: np.ndarray, above: np.ndarray, count: np.ndarray, groups: np.ndarray):
    """One line of the table, with intervals over resampled captions."""
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(DRAWS):
        rows = rng.integers(0, len(reward), len(reward))
        draws.append(metrics(reward[rows], above[rows], count[rows], groups[rows]))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    cells = zip(metrics(reward, above, count, groups), low, high, strict=True)
    text = " | ".join(f"{value:.3f} [{a:.3f}, {b:.3f}]" for value, a, b in cells)
    print(f"| {name} | {told} | {text} |", flush=True)


def metrics(reward: np.ndarray, above: np.ndarray, count: np.ndarray, groups: np.ndarray) -> list[float]:
    """AUROC, calibration shift and Brier score at the level of votes."""
    share = above.sum() / count.sum()
    shift = float((reward * count).sum() / count.sum() - share)
    brier = float((above * (1 - reward) ** 2 + (count - above) * reward**2).sum() / count.sum())
    return [auroc(reward, above, count, groups), shift, brier]


def auroc(score: np.ndarray, above: np.ndarray, count: np.ndarray, groups: np.ndarray) -> float:
    """Chance that a vote above unfunny went to a better scored caption than one that is not."""
    values, weights = [], []
    for group in np.unique(groups):
        rows = (groups == group) & (count > 0)
        good, bad = above[rows], count[rows] - above[rows]
        if good.sum() == 0 or bad.sum() == 0:
            continue
        order = np.argsort(score[rows], kind="stable")
        ordered, good, bad = score[rows][order], good[order], bad[order]
        _, tie = np.unique(ordered, return_inverse=True)
        good, bad = np.bincount(tie, good), np.bincount(tie, bad)
        wins = (good * (np.cumsum(bad) - bad / 2)).sum()
        values.append(wins / (good.sum() * bad.sum()))
        weights.append(good.sum())
    return float(np.average(values, weights=weights))


if __name__ == "__main__":
    main()
