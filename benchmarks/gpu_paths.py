"""Every path that takes a device, run on the CPU and on a GPU, and the results compared, in Markdown.

    python benchmarks/gpu_paths.py [--device cuda] [--tables estimators,commands] [--small]

``estimators``: every trained estimator, as ``simbench run`` trains it: a cell on each device, in worlds that
log what it needs. ``commands``: ``run``, ``fit`` and, where transformers is installed, ``embed`` and
``finetune`` with an encoder of MiniLM's size and random weights, in processes of their own.

Epochs are few, so that rounding is compared and not what training makes of it; the goal is 1e-4 in the
predicted reward in fp32. ``--device cpu --small`` runs every line anywhere.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from simbench.study.cell import Cell, fit_cell, missing
from simbench.study.config import StudyConfig, cells_of
from simbench.study.file import everyone
from simbench.study.guests.kinds import find
from simbench.worlds.presets import PRESETS

WORLDS = ("exclusive", "signals", "page", "cascade", "regenerate")
GRANT = ("propensity", "class prior", "action rate", "misclick", "labels")
GOAL = 1e-4
WORDS = [f"w{number}" for number in range(500)]


def table(*columns: str) -> None:
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


# -- estimators ----------------------------------------------------------------------------------------


def cells(size: int, epochs: int, replicates: int) -> list[Cell]:
    """A cell of every trained estimator, in the first world that logs what it needs."""
    trained = [name for name in everyone() if "device" in find(name)().get_params()]
    found: dict[str, Cell] = {}
    for world in WORLDS:
        config = StudyConfig(
            worlds=(PRESETS[world],),
            estimators=tuple(name for name in trained if name not in found),
            parameters={name: few_epochs(name, epochs) for name in trained},
            sizes=(size,),
            replicates=replicates,
            grant=GRANT,
        )
        found |= {
            cell.estimator: cell for cell in cells_of(config) if not missing(cell, find(cell.estimator))
        }
        if len(found) == len(trained):
            break
    left = [name for name in trained if name not in found]
    if left:
        print(f"No world here logs what these need: {', '.join(left)}.\n")
    return [found[name] for name in sorted(found)]


def few_epochs(name: str, epochs: int) -> dict[str, object]:
    there = find(name)().get_params()
    return {key: epochs for key in ("epochs", "patience") if key in there}


def estimators(device: str, is_small: bool) -> None:
    size, epochs, replicates = (300, 2, 2) if is_small else (2000, 5, 4)
    title = f"estimator ({size:,} responses, {replicates} replicates, {epochs} epochs)"
    worst, found = 0.0, cells(size, epochs, replicates)
    table(title, "largest difference", f"within {GOAL:g}", "CPU, s", f"{device}, s", "warnings")
    for cell in found:
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                (on_cpu, slow), (there, fast) = (predictions(cell, where) for where in ("cpu", device))
        except Exception as error:  # a row of its own: the others are still to be seen
            row(cell.estimator, f"{type(error).__name__}: {error}", "no", "", "", "")
            continue
        gap = float(np.abs(on_cpu - there).max())
        worst = max(worst, gap)
        said = "; ".join(sorted({str(each.message)[:80] for each in warned})) or "-"
        row(cell.estimator, f"{gap:.1e}", "yes" if gap < GOAL else "no", f"{slow:.1f}", f"{fast:.1f}", said)
    print(f"\nLargest of all: {worst:.1e}.")


def predictions(cell: Cell, device: str) -> tuple[np.ndarray, float]:
    """Predicted rewards on a device, (R, m), and the seconds that they took."""
    start = time.perf_counter()
    found, _ = fit_cell(cell.model_copy(update={"device": device}), find(cell.estimator))
    return found, time.perf_counter() - start


# -- commands ------------------------------------------------------------------------------------------


def commands(device: str, is_small: bool) -> None:
    rows, epochs = (200, 1) if is_small else (1000, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table("command", "largest difference", "CPU, s", f"{device}, s")
        compare_run(folder, device, rows)
        try:
            encoder = small_encoder(folder / "encoder", is_small)
        except ImportError:
            print("\n`embed` and `finetune` were left out: transformers is not installed.")
            return
        texts(folder / "texts.parquet", rows)
        compare_embed(folder, encoder, device)
        compare_finetune(folder, encoder, device, epochs)


def simbench(command: str) -> float:
    """Run a command in a process of its own, and return its seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "simbench", *command.split()], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"simbench {command}: exit {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def compare_run(folder: Path, device: str, rows: int) -> None:
    what = f"run --estimators oracle,naive,implicitrm --replicates 8 --size {rows}"
    seconds = [simbench(f"{what} --device {where} --out {folder}/run-{where}") for where in ("cpu", device)]
    mse = [
        frame[frame.metric == "mse"].value.to_numpy()
        for frame in (pd.read_parquet(folder / f"run-{where}/results.parquet") for where in ("cpu", device))
    ]
    difference(f"`{what}`: MSE, trained to the end", np.abs(mse[0] - mse[1]).max(), seconds)


def compare_embed(folder: Path, encoder: Path, device: str) -> None:
    from safetensors.numpy import load_file

    found, seconds = [], []
    for number, where in enumerate(("cpu", device)):
        out = folder / f"embedded-{number}.safetensors"
        what = (
            f"embed {folder}/texts.parquet --model {encoder} --pooling mean --dtype fp32 --device {where} "
            f"--out {out}"
        )
        seconds.append(simbench(what))
        found.append(next(iter(load_file(out).values())))
    difference("`embed`, relative to the largest entry", gap(found) / np.abs(found[0]).max(), seconds)


def compare_finetune(folder: Path, encoder: Path, device: str, epochs: int) -> None:
    found, seconds = [], []
    for number, where in enumerate(("cpu", device)):
        out = folder / f"tuned-{number}"
        what = (
            f"finetune {folder}/texts.parquet --model {encoder} --pooling mean --feedback clicked "
            f"--groups prompt --estimator naive --epochs {epochs} --batch-size 32 --micro-batch-size 32 "
            f"--precision fp32 --device {where} --out {out}"
        )
        seconds.append(simbench(what))
        scored = folder / f"scored-{number}.parquet"
        simbench(f"score {out} {folder}/texts.parquet --out {scored}")
        found.append(pd.read_parquet(scored).reward.to_numpy())
    difference(f"`finetune`, {epochs} epochs, fp32: reward", gap(found), seconds)


def difference(what: str, largest: float, seconds: list[float]) -> None:
    row(what, f"{largest:.1e}", *(f"{each:.1f}" for each in seconds))


def gap(found: list[np.ndarray]) -> float:
    return float(np.abs(found[0] - found[1]).max())


def small_encoder(folder: Path, is_small: bool) -> Path:
    """A BERT of MiniLM's size with random weights, and a tokenizer of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    specials = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    ids = {word: number for number, word in enumerate([*specials.values(), *WORDS])}
    core = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    around = [("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    core.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    torch.manual_seed(0)
    layers, width = (2, 32) if is_small else (6, 384)
    model = BertModel(
        BertConfig(
            vocab_size=len(ids),
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 16 if is_small else 12,
            max_position_embeddings=128,
            pad_token_id=ids["[PAD]"],
        )
    )
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=128, **specials)
    tokenizer.save_pretrained(folder)
    return folder


def texts(path: Path, rows: int) -> None:
    """Responses of up to 60 words, clicked the more often the more of their words are of the first half."""
    rng = np.random.default_rng(0)
    share = rng.random(rows)
    written = [
        " ".join(
            WORDS[rng.integers(0, 250) + (0 if rng.random() < good else 250)]
            for _ in range(rng.integers(5, 60))
        )
        for good in share
    ]
    prompts = [f"w{number // 4 % 500} w{number // 4 // 500}" for number in range(rows)]
    clicked = (rng.random(rows) < 0.5 * share).astype(int)
    pd.DataFrame({"prompt": prompts, "response": written, "clicked": clicked}).to_parquet(path)


TABLES = {"estimators": estimators, "commands": commands}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--small", action="store_true", help="sizes that take seconds on a CPU")
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("gpu_paths.py: PyTorch finds no CUDA device here; --device cpu --small shows that it runs.")
    name = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else "CPU"
    print(f"{name}; torch {torch.__version__}; {time.strftime('%Y-%m-%d')}", flush=True)
    for table_name in options.tables.split(","):
        print(f"\n## {table_name}\n", flush=True)
        TABLES[table_name](options.device, options.small)


if __name__ == "__main__":
    main()
