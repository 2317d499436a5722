"""Fine-tuned against frozen, naive against ImplicitRM: MiniLM on a simulated log of real responses.

python benchmarks/finetune.py run RESPONSES.jsonl.gz MODEL OUT --pooling mean --replicates 0,1,2
python benchmarks/finetune.py report OUT > benchmarks/finetune.md

``run`` makes the log, embeds, fits heads on the frozen embeddings, and fine-tunes encoder after encoder; each
keeps its predictions in OUT and survives a kill. ``report`` reads whatever is finished.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file, save_file
from scipy.special import logit

from simbench.cli.progress import TrainingProgress
from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.log.source import open_table
from simbench.log.user_log import LogColumns
from simbench.reward.language.embed import embed_texts, texts_of
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.finetune import finetune, table_tokens
from simbench.reward.language.settings import Settings
from simbench.score.ranking import (
    expected_auroc,
    expected_calibration_error,
    pairwise_accuracy,
)
from simbench.streams import stream
from simbench.worlds.presets import PRESETS
from simbench.worlds.responses import RatedFile, RatingLink
from simbench.worlds.world import World, build

BIAS_LEVEL, ACTION_RATE = 2.0, 0.5
TRAIN_PER_PROMPT, TEST_PER_PROMPT = 3, 8
SHARE = 0.15  # of the prompts held out for early stopping
TOKENS = 64
BOOTSTRAP = 300
CONTEXT = tuple(f"context_{number}" for number in range(4))
METRICS = {
    "pairs": "pairs of a prompt ordered rightly",
    "auroc": "AUROC",
    "shift": "mean γ̂ less mean γ",
    "ece": "calibration error",
    "rmse": "RMSE of γ̂",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run")
    run_parser.add_argument("responses", type=Path)
    run_parser.add_argument("model", type=Path)
    run_parser.add_argument("out", type=Path)
    run_parser.add_argument("--pooling", default="native", choices=("native", "mean"))
    run_parser.add_argument("--do", default="frozen,naive,implicitrm", help="Frozen heads, and estimators.")
    run_parser.add_argument("--replicates", default="0,1,2", help="Numbers of the logs.")
    run_parser.add_argument("--epochs", type=int, default=2)
    run_parser.add_argument("--learning-rate", type=float, default=1e-4)
    report_parser = commands.add_parser("report")
    report_parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "report":
        report(arguments.out)
    else:
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Make what is missing of the log, the frozen heads and the fine-tuned encoders."""
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    world, train, test = sampled_world(arguments.responses, out)
    frame = open_table(arguments.responses).frame
    replicates = [int(number) for number in arguments.replicates.split(",")]
    for number in replicates:
        log, truth = world.draw(range(number, number + 1))
        rows = world.train.features[train, 0]
        table = text_rows(frame, row_numbers(world, rows)).assign(
            clicked=log.feedback[0, train].astype(int), good=truth.preference[0, train].astype(int)
        )
        assert log.context is not None
        for place, name in enumerate(CONTEXT):
            table[name] = log.context[train, place]
        table.to_parquet(out / f"log-{number}.parquet")
    held_out = text_rows(frame, row_numbers(world, world.test.features[test, 0]))
    held_out.to_parquet(out / "test.parquet")
    save_file(
        {"reward": world.test.reward[test], "groups": world.test.groups[test]}, out / "truth.safetensors"
    )
    for number in replicates:
        for name in arguments.do.split(","):
            if name == "frozen":
                frozen_heads(out, number, arguments.model)
            else:
                fine_tuned(out, number, name, arguments)


def sampled_world(responses: Path, out: Path) -> tuple[World, np.ndarray, np.ndarray]:
    """All responses as a world, and which of its training and test responses are read as text.

    The world's features are row numbers: in ``exclusive`` nothing but the rating's link and the context
    decides who clicks, so that they are never read.
    """
    frame = open_table(responses).frame
    # the judge's probability is near 0 or 1 for most: its logit is the rating
    rating = logit(frame.rating.clip(1e-5, 1 - 1e-5))
    numbers = np.column_stack([np.arange(len(frame)), np.ones(len(frame))]).astype(np.float32)
    np.save(out / "rows.npy", numbers)
    rated = pd.DataFrame({"prompt": frame.prompt, "rating": rating})
    rated.to_parquet(out / "ratings.parquet")
    rated = RatedFile(path=str(out / "ratings.parquet"), features=str(out / "rows.npy"))
    config = PRESETS["exclusive"].changed(
        responses=rated, reward=RatingLink(link="logistic"), action_rate=ACTION_RATE
    )
    world = build(config, BIAS_LEVEL, len(frame), 0)
    rng = stream(0, "read as text")
    parts = ((world.train.groups, TRAIN_PER_PROMPT), (world.test.groups, TEST_PER_PROMPT))
    train, test = (_some_of_each(groups, count, rng) for groups, count in parts)
    return world, train, test


def row_numbers(world: World, scaled: np.ndarray) -> np.ndarray:
    """Rows of the file: responses come scaled by the factor that the column of ones shows."""
    return np.rint(scaled / world.train.features[0, 1]).astype(int)


def text_rows(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    return frame.iloc[rows][["prompt", "response"]].reset_index(drop=True)


def _some_of_each(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    shuffled = rng.permutation(len(groups))
    rank = pd.Series(groups[shuffled]).groupby(groups[shuffled]).cumcount().to_numpy()
    return np.sort(shuffled[rank < count])


def frozen_heads(out: Path, number: int, model: Path) -> None:
    """Heads on the frozen embeddings; ``oracle`` learns from the latent preferences."""
    path = out / f"frozen-{number}.safetensors"
    if path.exists():
        return
    encoder = TextEncoder.load(str(model), max_tokens=TOKENS)
    for name in (f"log-{number}", "test"):
        texts = texts_of(open_table(out / f"{name}.parquet"), "response", "prompt")
        where = out / f"{'train' if name != 'test' else name}.safetensors"
        embed_texts(texts, encoder, where, batch_size=32, normalise=True)
    table = pd.read_parquet(out / f"log-{number}.parquet")
    features = load_file(out / "train.safetensors")["embeddings"]
    scale = np.float32(1 / np.sqrt(np.mean(features.astype(float) ** 2)))
    held_out = load_file(out / "test.safetensors")["embeddings"] * scale
    log = FeedbackLog(
        features * scale,
        table.clicked.to_numpy(np.float32)[None],
        pd.factorize(table.prompt)[0].astype(np.int64),
        table[list(CONTEXT)].to_numpy(np.float32),
    )
    found = {}
    for name in ("naive", "implicitrm", "oracle"):
        own = log.with_feedback(table.good.to_numpy(np.float32)[None]) if name == "oracle" else log
        kind = find("naive" if name == "oracle" else name)
        # batches as small as those of fine-tuning: at the default 512, an epoch of so few is three steps
        fitted = kind(validation_share=SHARE, seed=number, batch_size=32).fit_replicates(own, [number])
        print(f"frozen {name} {number}: {fitted.epochs}", file=sys.stderr)
        found[name] = fitted.predict(held_out)[0]
    save_file(found, path)


def fine_tuned(out: Path, number: int, name: str, arguments: argparse.Namespace) -> None:
    """One encoder; ``oracle`` learns from the latent preferences."""
    run_name = f"{arguments.pooling}-{name}-{number}"
    path = out / f"tuned-{run_name}.safetensors"
    if path.exists():
        return
    feedback, estimator = ("good", "naive") if name == "oracle" else ("clicked", name)
    settings = Settings(
        model=str(arguments.model),
        pooling=arguments.pooling,
        max_tokens=TOKENS,
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        precision="bf16",
        checkpoint_steps=20,
    )
    columns = LogColumns(feedback, "text", context=CONTEXT)
    source = out / f"log-{number}.parquet"
    with TrainingProgress(run_name) as progress:
        model = finetune(
            source,
            columns,
            estimator,
            settings,
            out / run_name,
            progress=progress,
            seed=number,
            validation_share=SHARE,
        )
    reward = model.predict_reward(table_tokens(model.parts, open_table(out / "test.parquet"), model.card))
    (out / f"tuned-{run_name}.json").write_text(json.dumps(model.card))
    save_file({"reward": reward}, path)


def report(out: Path) -> None:
    """The tables, on stdout."""
    known = load_file(out / "truth.safetensors")
    truth = (known["reward"], known["groups"])
    found: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    for path in sorted(out.glob("frozen-*.safetensors")):
        for name, reward in load_file(path).items():
            found.setdefault(("frozen, mean", name), {})[int(path.stem.split("-")[1])] = reward
    for path in sorted(out.glob("tuned-*.safetensors")):
        _, pooling, name, number = path.stem.split("-")
        found.setdefault((f"fine-tuned, {pooling}", name), {})[int(number)] = load_file(path)["reward"]
    print(_heading(out, truth))
    print(f"| encoder, pooling | estimator | logs | {' | '.join(METRICS.values())} |")
    print("|---|---|---|" + "---|" * len(METRICS))
    logs = set.intersection(*(set(each) for each in found.values()))
    scores = {key: samples({n: each[n] for n in logs}, *truth) for key, each in found.items()}
    for (encoder, name), values in scores.items():
        cells = [_interval(values[metric]) for metric in METRICS]
        print(f"| {encoder} | {name} | {len(logs)} | {' | '.join(cells)} |")
    print("\nDifferences on the same logs and prompts:\n")
    print(f"| | {' | '.join(METRICS.values())} |")
    print("|---|" + "---|" * len(METRICS))
    for first, second in _compared(scores):
        cells = [_interval(scores[first][m] - scores[second][m]) for m in METRICS]
        print(f"| {first[0]} {first[1]} less {second[0]} {second[1]} | {' | '.join(cells)} |")


def samples(fits: dict[int, np.ndarray], reward: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric, mean over logs: on all prompts, then on each bootstrap sample of prompts and logs."""
    names = np.unique(groups)
    members = [np.flatnonzero(groups == name) for name in names]
    rng = np.random.default_rng(0)
    draws = [(np.arange(len(names)), sorted(fits))]
    draws += [
        (rng.integers(0, len(names), len(names)), rng.choice(sorted(fits), len(fits)))
        for _ in range(BOOTSTRAP)
    ]
    values = []
    for prompts, chosen in draws:
        rows = np.concatenate([members[prompt] for prompt in prompts])
        # a prompt drawn twice is two prompts
        own = np.repeat(np.arange(len(prompts)), [len(members[prompt]) for prompt in prompts])
        each = [metrics(fits[number][rows], reward[rows], own) for number in chosen]
        values.append({name: np.mean([one[name] for one in each]) for name in METRICS})
    return {name: np.array([value[name] for value in values]) for name in METRICS}


def metrics(predicted: np.ndarray, reward: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Of one fit, against the truth."""
    one = predicted[None]
    return {
        "pairs": float(pairwise_accuracy(one, reward, groups)[0]),
        "auroc": float(expected_auroc(one, reward)[0]),
        "shift": float((predicted - reward).mean()),
        "ece": float(expected_calibration_error(one, reward)[0]),
        "rmse": float(np.sqrt(np.mean((predicted - reward) ** 2))),
    }


def _compared(scores: dict) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Fine-tuned less frozen by estimator, and ImplicitRM less naive by encoder."""
    pairs = [(key, ("frozen, mean", key[1])) for key in scores if key[0] != "frozen, mean"]
    pairs += [(key, (key[0], "naive")) for key in scores if key[1] == "implicitrm"]
    return [(first, second) for first, second in pairs if first in scores and second in scores]


def _interval(values: np.ndarray) -> str:
    """The value on all prompts, and the middle 95 % of the bootstrap."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:.3f} [{low:.3f}, {high:.3f}]"


def _heading(out: Path, truth: tuple[np.ndarray, np.ndarray]) -> str:
    table = pd.read_parquet(sorted(out.glob("log-*.parquet"))[0])
    cards = [json.loads(path.read_text()) for path in sorted(out.glob("tuned-*.json"))]
    settings = cards[0]["settings"]
    texts = cards[0]["log"]["texts"]
    lines = [
        "# Fine-tuned against frozen, naive against ImplicitRM\n",
        "Written by `python benchmarks/finetune.py report`; AlpacaEval 2 (CC BY-NC, not shipped): "
        "the logit of a judge's rating is linked to a reward, users click with propensities of the context "
        f"(`exclusive`, bias level {BIAS_LEVEL:g}, action rate {ACTION_RATE:g}).\n",
        f"{len(table):,} responses to {table.prompt.nunique():,} prompts to learn from, "
        f"{table.clicked.mean():.2f} of them clicked and {table.good.mean():.2f} good in the first log; "
        f"{len(truth[0]):,} responses to {len(np.unique(truth[1])):,} other prompts to be judged by. "
        f"all-MiniLM-L6-v2, {settings['max_tokens']} tokens ({texts['cut']:,} of the texts were cut), "
        f"{settings['epochs']} epochs of {settings['batch_size']} responses, peak rate "
        f"{settings['learning_rate']:g}, bf16; early stopping on the *feedback* of {SHARE:.0%} of "
        "the prompts. Frozen: heads 32-16 on the normalised mean-pooled embedding, batches of 32 too. "
        "`oracle` learns from the latent preferences. Brackets: 95 % by bootstrap over judged prompts and "
        "the logs; of one log, "
        "they do not know how another log would have come out.\n",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
