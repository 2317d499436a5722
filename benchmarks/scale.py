"""Time and memory of logs that are larger than memory: streamed from a file against resident.

Four tables, each measured in processes of their own:

* ``one``: 1,000,000 x 384 float32, `naive` with 256-64, one replicate: the file against the same features in
  memory, turn about; seconds an epoch, and peak resident memory, anonymous and of the file apart;
* ``growth``: one epoch at 1,250,000 to 10,000,000 rows of float16, default heads: time and memory against n;
* ``replicates``: peak memory of a study of 100, 300 and 1,000 replicates within ``--memory``;
* ``precision``: predictions with bfloat16 products against float32, on this CPU.

    python benchmarks/scale.py [--tables one,growth,replicates,precision] [--folder /tmp]
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

D, HIDDEN, DEFAULT, BATCH = 384, (256, 64), (32, 16), 1024
GROWTH = (1_250_000, 2_500_000, 5_000_000, 10_000_000)


# -- memory of this process ----------------------------------------------------------------------


def resident() -> dict[str, float]:
    """GB of resident memory: all of it, anonymous, and of mapped files (where the system counts those)."""
    memory = psutil.Process().memory_info()
    mapped = getattr(memory, "shared", 0)
    parts = {"all": memory.rss, "anonymous": memory.rss - mapped, "file": mapped}
    return {name: size / 1e9 for name, size in parts.items()}


class Peak:
    """Largest resident memory while it is open, sampled every 10 ms."""

    def __enter__(self) -> "Peak":
        self.found, self._stop = resident(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            now = resident()
            self.found = {name: max(self.found[name], now[name]) for name in now}

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def apart(work: Callable[..., None], *arguments: Any) -> dict[str, Any]:
    """What ``work`` writes as JSON, run in a process of its own."""
    with tempfile.NamedTemporaryFile() as out:
        process = multiprocessing.get_context("spawn").Process(target=work, args=(out.name, *arguments))
        process.start()
        process.join()
        return json.loads(Path(out.name).read_text())


# -- files and logs --------------------------------------------------------------------------------


@contextmanager
def features(folder: Path, rows: int, dtype: type) -> Iterator[Path]:
    """A .npy file of standard normal features, written in blocks; deleted afterwards."""
    path = folder / f"scale-{rows}-{np.dtype(dtype)}.npy"
    rng, step = np.random.default_rng(0), 1 << 16
    block = rng.standard_normal((step, D), dtype=np.float32).astype(dtype)
    try:
        matrix = np.lib.format.open_memmap(path, "w+", dtype, (rows, D))
        for start in range(0, rows, step):
            part = matrix[start : start + step]
            part[:] = np.roll(block, start // step, axis=1)[: len(part)]
        matrix.flush()
        del matrix
        yield path
    finally:
        path.unlink(missing_ok=True)


def log_of(matrix) -> Any:
    """One replicate of clicks with probability .3, five responses a prompt."""
    from simbench.log.feedback import FeedbackLog

    feedback = (np.random.default_rng(1).random((1, len(matrix)), dtype=np.float32) < 0.3).astype(np.float32)
    return FeedbackLog(matrix, feedback, np.arange(len(matrix)) // 5)


def timed_epochs(estimator, log, epochs: int) -> list[float]:
    """Seconds of each epoch: steps and held-out evaluation."""
    from simbench.training.trainer import Trainer

    marks, original = [time.perf_counter()], Trainer._held_out_loss

    def marked(self):
        loss = original(self)
        marks.append(time.perf_counter())
        return loss

    Trainer._held_out_loss = marked
    try:
        estimator.set_params(epochs=epochs, patience=epochs).fit_replicates(log)
    finally:
        Trainer._held_out_loss = original
    return list(np.diff(marks))


def fit(out: str, path: str, on_disk: bool, epochs: int, hidden: tuple[int, ...] = HIDDEN) -> None:
    """In a process of its own: fit `naive` on the file, mapped or read whole."""
    from simbench.estimator.registry import find
    from simbench.files.matrix import MappedMatrix

    with Peak() as peak:
        matrix = MappedMatrix.open(Path(path)) if on_disk else np.load(path)
        start = time.perf_counter()
        log = log_of(matrix)
        checked = time.perf_counter() - start
        seconds = timed_epochs(find("naive")(hidden=hidden, batch_size=BATCH), log, epochs)
    found = {"epochs": seconds, "check": checked, "peak": peak.found, "total": time.perf_counter() - start}
    Path(out).write_text(json.dumps(found))


# -- tables ------------------------------------------------------------------------------------------


def one(folder: Path) -> None:
    rows, turns = 1_000_000, {"in memory": [], "streamed": []}
    with features(folder, rows, np.float32) as path:
        for _ in range(2):
            for name, found in turns.items():
                found.append(apart(fit, str(path), name == "streamed", 3))
    shape = f"{rows:,} x {D} float32, hidden {'-'.join(map(str, HIDDEN))}"
    print(f"| {shape} | s/epoch | peak, GB | anonymous | file |")
    print("|---|---|---|---|---|")
    best = {}
    for name, found in turns.items():
        best[name] = min(min(f["epochs"][1:]) for f in found)
        peak = {key: max(f["peak"][key] for f in found) for key in ("all", "anonymous", "file")}
        parts = " | ".join(f"{value:.2f}" for value in peak.values())
        print(f"| {name} | {best[name]:.2f} | {parts} |")
    ratio = best["streamed"] / best["in memory"]
    print(f"\nratio of streamed to in memory: {ratio:.3f} (goal: under 1.15)\n")


def growth(folder: Path) -> None:
    columns = ("file, GB", "check, s", "one epoch, s", "µs a row", "peak, GB", "anonymous", "file")
    print(f"| rows x {D} float16, hidden {'-'.join(map(str, DEFAULT))} | {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    seconds, peaks = [], []
    for rows in GROWTH:
        with features(folder, rows, np.float16) as path:
            found = apart(fit, str(path), True, 1, DEFAULT)
            size = path.stat().st_size / 1e9
        seconds.append(found["epochs"][0])
        peaks.append(found["peak"]["all"])
        each, peak = seconds[-1] / rows * 1e6, found["peak"]
        print(
            f"| {rows:,} | {size:.2f} | {found['check']:.1f} | {seconds[-1]:.1f} | {each:.2f} "
            f"| {peak['all']:.2f} | {peak['anonymous']:.2f} | {peak['file']:.2f} |",
            flush=True,
        )
    for name, values, unit in (("time", seconds, "s"), ("memory", peaks, "GB")):
        slope, base = np.polyfit(GROWTH, values, 1)
        off = np.max(np.abs(np.polyval((slope, base), GROWTH) / values - 1))
        line = f"{base:.2f} {unit} + {slope * 1e6:.3f} {unit} a million rows; largest deviation {off:.0%}"
        print(f"\n{name}: {line}")
    print()


def study(out: str, replicates: int) -> None:
    """In a process of its own: a study within 200 MB of replicates."""
    from simbench.study.config import StudyConfig
    from simbench.study.run import run
    from simbench.worlds.presets import PRESETS

    short = {"epochs": 2, "hidden": (64, 32)}
    config = StudyConfig(
        worlds=(PRESETS["exclusive"].changed(n_features=256, test_size=1000),),
        estimators=("naive", "implicitrm"),
        parameters={"naive": short, "implicitrm": short},
        sizes=(2000,),
        replicates=replicates,
        memory_budget=200 << 20,
    )
    start = time.perf_counter()
    with Peak() as peak, tempfile.TemporaryDirectory() as results:
        run(config, Path(results) / "study")
    Path(out).write_text(json.dumps({"peak": peak.found, "seconds": time.perf_counter() - start}))


def replicates(_: Path) -> None:
    shape = "2,000 x 256, 64-32, two epochs, --memory 200MiB"
    print(f"| replicates ({shape}) | peak, GB | seconds | ms a replicate |")
    print("|---|---|---|---|", flush=True)
    for count in (100, 300, 1000):
        found = apart(study, count)
        each = found["seconds"] / count * 1e3
        print(f"| {count:,} | {found['peak']['all']:.2f} | {found['seconds']:.0f} | {each:.0f} |", flush=True)
    print()


def precision(_: Path) -> None:
    """RMS over responses and replicates; the spread of replicates beside it, as a scale."""
    from simbench.estimator.estimator import grant
    from simbench.estimator.registry import find
    from simbench.training.trainer import Execution
    from simbench.worlds.presets import PRESETS
    from simbench.worlds.world import build

    world = build(PRESETS["exclusive"].changed(n_features=256), 0.8, 10_000, 0)
    log, truth = world.draw(range(4))
    log = grant(log, propensity=truth.propensity)
    columns = ("RMS of bf16 - fp32", "RMS between replicates", "MSE, fp32", "MSE, bf16")
    print(f"| estimator (10,000 x 256, 256-64, 4 replicates) | {' | '.join(columns)} |")
    print("|---|---|---|---|---|", flush=True)
    for name in ("naive", "ips", "implicitrm-known", "implicitrm"):
        found = {}
        for arithmetic in ("fp32", "bf16"):
            estimator, how = find(name)(hidden=(256, 64), epochs=20), Execution(precision=arithmetic)
            found[arithmetic] = estimator.fit_replicates(log, execution=how).predict(world.test.features)
        gap = np.sqrt(np.mean((found["bf16"] - found["fp32"]) ** 2))
        spread = np.sqrt(2) * np.sqrt(found["fp32"].var(0, ddof=1).mean())
        errors = [np.mean((f - world.test.reward) ** 2) for f in found.values()]
        print(f"| {name} | {gap:.4f} | {spread:.4f} | {errors[0]:.4f} | {errors[1]:.4f} |", flush=True)
    print()


TABLES = {"one": one, "growth": growth, "replicates": replicates, "precision": precision}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    day = time.strftime("%Y-%m-%d")
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {day}\n")
    for name in options.tables.split(","):
        TABLES[name](options.folder)


if __name__ == "__main__":
    main()
