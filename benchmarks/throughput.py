"""Speed of stacked training, as ratios measured in one run.

For three shapes: milliseconds an epoch and replicate, GFLOP/s and share of the machine's sgemm rate,
and the ratio to a plain PyTorch ``DataLoader`` loop of the same mathematics, one replicate at a time.

    python benchmarks/throughput.py [--device cpu] [--threads 2] [--out FOLDER]

With ``--out`` the numbers are kept as FOLDER/throughput.parquet, of which ``simbench figure throughput
FOLDER`` draws a picture.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from simbench_figures.throughput import FILE
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from simbench.estimator.registry import find
from simbench.files.write import write_whole
from simbench.log.feedback import FeedbackLog
from simbench.training.train import train

# rows, features, hidden widths, replicates; goals: ratio to the loop, share of sgemm
SHAPES = [
    (8_000, 32, (32, 16), 32, 30.0, None),
    (8_000, 64, (256, 64), 8, 4.0, 0.55),
    (8_000, 1024, (256, 64), 4, None, 0.85),
]
BATCH = 512


def best_of(times: int, work: Callable[[], object]) -> float:
    """Shortest wall time of ``work`` in seconds: on a shared machine the minimum is the program's."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return min(durations)


def sgemm_rate(device: str) -> float:
    """GFLOP/s of a 2048-cube float32 product."""
    n = 2048
    a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)

    def work():
        (a @ b).sum().item()

    work()
    return 2 * n**3 / best_of(8, work) / 1e9


def flops_an_epoch(n: int, d: int, hidden: tuple[int, ...]) -> float:
    """Of one replicate: forward, weight gradients, and input gradients but for the first layer."""
    products = [a * b for a, b in pairwise((d, *hidden, 1))]
    return 2.0 * n * (2 * sum(products) + sum(products[1:]))


def log_of(n: int, d: int, replicates: int) -> FeedbackLog:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((n, d)).astype(np.float32)
    feedback = (rng.random((replicates, n)) < 0.3).astype(np.float32)
    return FeedbackLog(features, feedback, np.arange(n))


def ours(log: FeedbackLog, hidden: tuple[int, ...], epochs: int, device: str) -> float:
    """Seconds an epoch of all replicates, through the call that users make.

    The difference of a long and a short training: what is done once (initial weights) cancels.
    """
    held_out = 1 / log.n_rows  # one row is held out, so that all others are trained on

    def work(count: int) -> Callable[[], object]:
        estimator = find("naive")(
            hidden=hidden,
            epochs=count,
            patience=count,
            batch_size=BATCH,
            validation_share=held_out,
            device=device,
        )
        return lambda: train(estimator, log, range(log.n_replicates))

    work(1)()
    return (best_of(3, work(1 + epochs)) - best_of(3, work(1))) / epochs


def plain_loop(log: FeedbackLog, hidden: tuple[int, ...], epochs: int, device: str) -> float:
    """Seconds an epoch of one replicate in the loop that most published code runs."""
    features = torch.tensor(log.features, device=device)
    feedback = torch.tensor(log.feedback[0], device=device)
    loader = DataLoader(TensorDataset(features, feedback), batch_size=BATCH, shuffle=True)
    widths = (features.shape[1], *hidden)
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], 1)).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    criterion = nn.BCEWithLogitsLoss()

    def epoch():
        for x, r in loader:
            optimiser.zero_grad()
            criterion(model(x).squeeze(-1), r).backward()
            optimiser.step()

    epoch()
    return best_of(epochs, epoch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peak = sgemm_rate(options.device)
    print(f"torch {torch.__version__}, device {options.device}, {options.threads} threads")
    print(f"sgemm {peak:.0f} GFLOP/s\n")
    print("| shape (rows x features, hidden, replicates) | ms/epoch/replicate | GFLOP/s | of sgemm | goal |")
    print("|---|---|---|---|---|", flush=True)
    ratios, measured = [], []
    for n, d, hidden, replicates, ratio_goal, share_goal in SHAPES:
        log = log_of(n, d, replicates)
        mine = ours(log, hidden, 5, options.device) / replicates
        theirs = plain_loop(log, hidden, 4, options.device)
        rate = flops_an_epoch(n, d, hidden) / mine / 1e9
        shape = f"{n:,} x {d:,}, {'-'.join(map(str, hidden))}, {replicates}"
        goal = "-" if share_goal is None else f"{share_goal:.0%}"
        print(f"| {shape} | {mine * 1e3:.2f} | {rate:.0f} | {rate / peak:.0%} | {goal} |", flush=True)
        ratios.append((shape, theirs, theirs / mine, ratio_goal))
        measured.append((n, d, "-".join(map(str, hidden)), replicates, mine * 1e3, theirs * 1e3))
        measured[-1] += (rate, rate / peak, ratio_goal, share_goal)
    print("\n| shape | DataLoader loop, ms/epoch/replicate | ratio to ours | goal |")
    print("|---|---|---|---|")
    for shape, theirs, ratio, goal in ratios:
        print(f"| {shape} | {theirs * 1e3:.1f} | {ratio:.1f} | {'-' if goal is None else goal} |")
    if options.out is not None:
        names = ["rows", "features", "hidden", "replicates", "ms", "loop_ms"]
        names += ["gflops", "share_of_sgemm", "ratio_goal", "share_goal"]
        table = pd.DataFrame(measured, columns=names).astype({"ratio_goal": float, "share_goal": float})
        facts = {"sgemm_gflops": peak, "device": options.device, "threads": options.threads}
        table = table.assign(**facts, torch=torch.__version__)
        write_whole(options.out / FILE, lambda to: table.to_parquet(to, index=False))


if __name__ == "__main__":
    main()
