"""Everything that is claimed of a GPU, measured on one, in Markdown.

    python benchmarks/gpu.py [--device cuda] [--tables ceilings,heads,...] [--small]

It needs this checkout and torch, numpy, scipy, scikit-learn, pandas and pydantic; no network, no
installation. The table of the encoder needs transformers as well, and is left out with a sentence where that
is missing.
``--device cpu --small`` runs every line on any machine in seconds.

Tables: ``ceilings`` (measured rates that the others are shares of), ``heads`` (the paper's size, 28,264 x
4,096, heads 256-64, R replicates), ``estimators`` (ImplicitRM against naive), ``agreement`` (with the CPU,
and of recorded steps with unrecorded ones), ``profile`` (where the time of an epoch goes), ``study`` (12
estimators x 32 replicates x 100 epochs), ``encoder`` (a randomly initialised 1B LLaMA).
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from simbench_estimators.doubly_robust import DR, MRDR, MultiIPS
from simbench_estimators.implicitrm import ImplicitRM, ImplicitRMKnown, ImplicitRMPrior
from simbench_estimators.inverse_propensity import IPS, NNPU, SNIPS, UPU
from simbench_estimators.naive import BalancedNaive, Naive

from simbench.estimator.estimator import Estimator
from simbench.log.feedback import FeedbackLog
from simbench.training.holdout import Holdout
from simbench.training.precision import Precision, products_in
from simbench.training.trainer import Execution, Trainer

STUDY = (Naive, BalancedNaive, IPS, SNIPS, UPU, NNPU, DR, MRDR, MultiIPS, ImplicitRM, ImplicitRMPrior)
STUDY += (ImplicitRMKnown,)
CONTEXT = 16


@dataclass(frozen=True)
class Sizes:
    """How large the work is: the paper's, or enough to run every line."""

    rows: int = 28_264
    features: int = 4096
    hidden: tuple[int, ...] = (256, 64)
    batch: int = 512
    replicates: tuple[int, ...] = (1, 16, 64, 256)
    cube: int = 8192
    copied: int = 1 << 30
    epochs: int = 5
    study_epochs: int = 100
    study_replicates: int = 32
    layers: int = 16  # of the encoder: LLaMA 3.2 1B
    width: int = 2048
    tokens: tuple[int, int] = (64, 512)


SMALL = Sizes(600, 64, (32, 16), 128, (1, 4), 128, 1 << 20, 2, 2, 2, 2, 64, (2, 16))


# -- measuring ---------------------------------------------------------------------------------------


class Machine:
    """A device, the sizes that are run on it, and its measured ceilings."""

    def __init__(self, device: str, sizes: Sizes):
        self.device, self.sizes = torch.device(device), sizes
        self.ceilings: dict[str, float] = {}
        self.precisions = ("fp32", "tf32", "bf16") if self.is_gpu else ("fp32", "bf16")
        self.cube = sizes.cube if self.is_gpu else min(sizes.cube, 2048)

    @property
    def is_gpu(self) -> bool:
        return self.device.type == "cuda"

    def wait(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], times: int = 5) -> float:
        """Shortest of several, after one that is not counted."""
        work()
        durations = []
        for _ in range(times):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            durations.append(time.perf_counter() - start)
        return min(durations)

    def describe(self) -> str:
        name = (
            torch.cuda.get_device_name(self.device) if self.is_gpu else f"{torch.get_num_threads()} threads"
        )
        versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}, Python {sys.version.split()[0]}"
        return f"{self.device.type}: {name}; {versions}; {time.strftime('%Y-%m-%d')}"

    def memory(self) -> str:
        """Peak GB on the GPU since it was last asked; of other machines it is not known."""
        if not self.is_gpu:
            return "-"
        peak = torch.cuda.max_memory_allocated(self.device) / 1e9
        torch.cuda.reset_peak_memory_stats(self.device)
        return f"{peak:.2f}"


def rate(machine: Machine, precision: str) -> float:
    """TFLOP/s of the product of two square matrices."""
    n = machine.cube
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(n, n, device=machine.device).to(dtype)
    out = torch.empty_like(a)
    with products_in(precision):
        return 2 * n**3 / machine.seconds(lambda: torch.mm(a, a, out=out)) / 1e12


def log_of(sizes: Sizes, replicates: int, rows: int | None = None) -> FeedbackLog:
    """Clicks that a linear reward and a context explain, with all that estimators may be told."""
    n, rng = rows or sizes.rows, np.random.default_rng(0)
    features = rng.standard_normal((n, sizes.features), dtype=np.float32)
    context = rng.standard_normal((n, CONTEXT), dtype=np.float32)
    reward = 1 / (1 + np.exp(-1.5 * features[:, :8].sum(1) / np.sqrt(8)))
    propensity = np.clip(1 / (1 + np.exp(1 - context[:, 0])), 0.05, 1)
    feedback = (rng.random((replicates, n)) < reward * propensity).astype(np.float32)
    return FeedbackLog(
        features,
        feedback,
        np.arange(n) // 5,
        context,
        propensity=propensity,
        class_prior=float(reward.mean()),
    )


def estimator(machine: Machine, kind: type[Estimator], epochs: int = 1) -> Estimator:
    sizes = machine.sizes
    return kind(
        hidden=sizes.hidden,
        batch_size=sizes.batch,
        epochs=epochs,
        patience=epochs,
        device=str(machine.device),
    )


class Epochs:
    """Training epochs of a stacked model, apart from what is done once."""

    def __init__(self, machine: Machine, kind: type[Estimator], log: FeedbackLog, precision: Precision):
        self.precision, how = precision, Execution.on(str(machine.device), precision)
        made = estimator(machine, kind)
        self.trainer = Trainer(made, log, list(range(log.n_replicates)), (), Holdout(), how)
        self.order = np.random.default_rng(0)
        self.steps = self.trainer._steps(self.trainer._optimiser(), made.objective)
        self.flops = flops_an_epoch(made, self.trainer) * log.n_replicates

    def __call__(self) -> None:
        with products_in(self.precision):
            self.trainer._epoch(self.steps, self.order)


def flops_an_epoch(made: Estimator, trainer: Trainer) -> float:
    """Of one replicate: forward, weight gradients, and input gradients but for the first layer."""
    total = 0.0
    for network in trainer.networks.values():
        products = [a * b for a, b in pairwise(network.sizes)]
        total += 2.0 * len(trainer.order.train_rows) * (2 * sum(products) + sum(products[1:]))
    return total


def table(*columns: str) -> None:
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


# -- tables --------------------------------------------------------------------------------------------


def ceilings(machine: Machine) -> None:
    table("ceiling", "measured")
    for precision in machine.precisions:
        row(f"{precision} product, {machine.cube}-cube", f"{machine.ceilings[precision]:.2f} TFLOP/s")
    source = torch.empty(machine.sizes.copied // 4, device=machine.device)
    target = torch.empty_like(source)
    seconds = machine.seconds(lambda: target.copy_(source))
    row("copy, read and write", f"{2 * machine.sizes.copied / seconds / 1e9:.0f} GB/s")


def first_layer(machine: Machine, precision: str, replicates: int) -> float:
    """TFLOP/s of the first layer's two products alone, at the shapes of a step."""
    sizes, dtype = machine.sizes, torch.bfloat16 if precision == "bf16" else torch.float32
    columns = replicates * sizes.hidden[0]
    x = torch.randn(sizes.batch, sizes.features, device=machine.device).to(dtype)
    weight = torch.randn(sizes.features, columns, device=machine.device).to(dtype)
    gradient = torch.randn(sizes.batch, columns, device=machine.device).to(dtype)
    out, below = torch.empty_like(gradient), torch.empty_like(weight)

    def work() -> None:
        torch.mm(x, weight, out=out)
        torch.mm(x.t(), gradient, out=below)

    with products_in(precision):
        return 4 * sizes.batch * sizes.features * columns / machine.seconds(work, 10) / 1e12


def heads(machine: Machine) -> None:
    sizes = machine.sizes
    shape = (
        f"{sizes.rows:,} x {sizes.features:,}, {'-'.join(map(str, sizes.hidden))}, batches of {sizes.batch}"
    )
    print(f"`naive`, {shape}\n")
    columns = ("R", "products", "ms/epoch/replicate", "TFLOP/s", "of ceiling")
    table(*columns, "first layer's products alone", "of ceiling", "peak, GB")
    for replicates in sizes.replicates:
        log = log_of(sizes, replicates)
        for precision in machine.precisions:
            machine.memory()
            epochs = Epochs(machine, Naive, log, precision)
            seconds = machine.seconds(epochs, sizes.epochs)
            speed, alone = epochs.flops / seconds / 1e12, first_layer(machine, precision, replicates)
            ceiling = machine.ceilings[precision]
            each = f"{seconds / replicates * 1e3:.3f}"
            shares = (
                f"{speed:.2f}",
                f"{speed / ceiling:.0%}",
                f"{alone:.2f} TFLOP/s",
                f"{alone / ceiling:.0%}",
            )
            row(replicates, precision, each, *shares, machine.memory())
            del epochs


def compared(machine: Machine) -> None:
    replicates = machine.sizes.replicates[-2]
    log, found = log_of(machine.sizes, replicates), {}
    table(f"estimator, R = {replicates}, bf16", "networks", "ms/epoch/replicate", "ratio to naive")
    for kind in (Naive, ImplicitRM, ImplicitRMKnown):
        epochs = Epochs(machine, kind, log, "bf16")
        found[kind] = machine.seconds(epochs, machine.sizes.epochs) / replicates
        ratio = found[kind] / found[Naive]
        row(kind.name, len(epochs.trainer.networks), f"{found[kind] * 1e3:.3f}", f"{ratio:.2f}")


def agreement(machine: Machine) -> None:
    """The same replicates in float32 on the CPU in blocks, here in one wide block.

    After one step the two differ by rounding alone. Two epochs at this width multiply any difference: the
    last row changes the last bit of the features, on the CPU, and shows how much.
    """
    sizes, count = machine.sizes, min(4, machine.sizes.replicates[-1])
    log = log_of(sizes, count, rows=min(sizes.rows, 4000))
    probe, host = log.features[:1000], Machine("cpu", sizes)

    def fitted(where: Machine, execution: Execution, on: FeedbackLog = log, steps: int = 0) -> np.ndarray:
        made = estimator(where, ImplicitRM, epochs=1 if steps else 2)
        made.batch_size = on.n_rows if steps else made.batch_size
        with products_in(execution.precision):
            return Trainer(made, on, list(range(count)), (), Holdout(), execution).run().predict(probe)

    usual, wide = Execution.on(str(machine.device)), Execution(wide=True)
    signs = np.random.default_rng(1).choice([-1, 1], log.features.shape).astype(np.float32)
    nearby = replace(log, features=np.nextafter(log.features, signs * np.inf, dtype=np.float32))
    table(f"`implicitrm`, {log.n_rows:,} rows, {count} replicates", "largest difference", "goal")
    one = fitted(machine, wide, steps=1) - fitted(host, Execution(), steps=1)
    reference = fitted(host, Execution())
    pairs = [
        ("one step: fp32 here - fp32 on the CPU", one, "1e-4"),
        ("two epochs: fp32 here - on the CPU", fitted(machine, wide) - reference, "-"),
    ]
    if usual.record is not None:
        gap = fitted(machine, usual) - fitted(machine, wide)
        pairs.append(("recorded - unrecorded steps", gap, "0"))
    for precision in machine.precisions[1:]:
        gap = fitted(machine, replace(wide, precision=precision)) - reference
        pairs.append((f"{precision} here - fp32 on the CPU", gap, "-"))
    pairs.append(("last bit of the features, on the CPU", fitted(host, Execution(), nearby) - reference, "-"))
    for name, gap, goal in pairs:
        row(name, f"{np.abs(gap).max():.1e}", goal)


def profile(machine: Machine) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    replicates = machine.sizes.replicates[-2]
    epochs = Epochs(machine, ImplicitRM, log_of(machine.sizes, replicates), "bf16")
    epochs()
    machine.wait()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if machine.is_gpu else [])]
    with profiler(activities=kinds) as seen:
        epochs()
        machine.wait()
    times = [
        (event.self_device_time_total if machine.is_gpu else event.self_cpu_time_total, event)
        for event in seen.key_averages()
    ]
    total = sum(spent for spent, _ in times)
    table(f"kernel, an epoch of `implicitrm`, R = {replicates}, bf16", "calls", "ms", "share")
    for spent, event in sorted(times, key=lambda pair: -pair[0])[:12]:
        row(f"`{event.key[:70]}`", event.count, f"{spent / 1e3:.2f}", f"{spent / total:.0%}")


def study(machine: Machine) -> None:
    sizes = machine.sizes
    log, start = log_of(sizes, sizes.study_replicates), time.perf_counter()
    table("estimator", "seconds")
    for kind in STUDY:
        begun = time.perf_counter()
        made, how = estimator(machine, kind, sizes.study_epochs), Execution.on(str(machine.device), "bf16")
        predictions = made.fit_replicates(log, execution=how).predict(log.features[:5000])
        assert np.isfinite(predictions).all()
        row(kind.name, f"{time.perf_counter() - begun:.1f}")
    what = f"{len(STUDY)} estimators x {sizes.study_replicates} replicates x {sizes.study_epochs} epochs"
    row(
        f"**{what}**, initial weights and predictions included (goal: 300)",
        f"{time.perf_counter() - start:.0f}",
    )


def encoder(machine: Machine) -> None:
    try:
        from transformers import LlamaConfig, LlamaModel
    except ImportError:
        print("The encoder was left out: transformers is not installed.")
        return
    from simbench.reward.language.encoder import TextEncoder

    sizes = machine.sizes
    wide = LlamaConfig(
        hidden_size=sizes.width,
        intermediate_size=4 * sizes.width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.width // 64 or 1,
        num_key_value_heads=max(1, sizes.width // 256),
        vocab_size=32_000,
    )
    torch.manual_seed(0)
    model = LlamaModel(wide).to(machine.device, torch.bfloat16).eval()
    texts, tokens = sizes.tokens
    ids = torch.randint(0, 32_000, (texts, tokens), device=machine.device)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    reader = TextEncoder(model, None, pooling="last", max_tokens=tokens, causal=True)
    with torch.inference_mode():
        seconds = machine.seconds(lambda: reader.embed(batch), 3)
    counted = sum(p.numel() for name, p in model.named_parameters() if "embed_tokens" not in name)
    # attention of a causal model: scores and values over half of the t² pairs, two FLOP each
    attention = sizes.layers * 2 * tokens * sizes.width
    flops = texts * tokens * (2 * counted + attention)
    table(f"LLaMA of {counted / 1e9:.2f}B weights, {texts} x {tokens} tokens, bf16", "measured", "goal")
    row("tokens/s", f"{texts * tokens / seconds:,.0f}", "-")
    share = flops / seconds / 1e12 / machine.ceilings["bf16"]
    row("model FLOPs, of the measured bf16 rate", f"{share:.0%}", "45%")


TABLES: dict[str, Callable[[Machine], None]] = {
    "ceilings": ceilings,
    "heads": heads,
    "estimators": compared,
    "agreement": agreement,
    "profile": profile,
    "study": study,
    "encoder": encoder,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--small", action="store_true", help="sizes that take seconds on a CPU")
    parser.add_argument("--replicates", help="of `heads`, comma list, in place of 1,16,64,256")
    parser.add_argument("--epochs", type=int, help="timed; the shortest counts [5]")
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(
            "gpu.py: PyTorch finds no CUDA device here; --device cpu --small shows that the script runs."
        )
    sizes = SMALL if options.small else Sizes()
    if options.replicates:
        sizes = replace(sizes, replicates=tuple(map(int, options.replicates.split(","))))
    if options.epochs:
        sizes = replace(sizes, epochs=options.epochs)
    machine = Machine(options.device, sizes)
    print(machine.describe(), flush=True)
    machine.ceilings = {precision: rate(machine, precision) for precision in machine.precisions}
    for name in options.tables.split(","):
        print(f"\n## {name}\n", flush=True)
        TABLES[name](machine)


if __name__ == "__main__":
    main()
