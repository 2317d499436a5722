"""Small valid inputs of every kind, made once: logs, responses, embeddings, models, results, code."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from contract import call
from safetensors.numpy import save_file

ROWS, WIDTH = 40, 2
PATIENT = 120.0  # seconds of the processor for a valid input, which must be there
STUDY = """\
# a small study
bias_levels: [0.8]
sizes: [60]
replicates: 1
seed: 3
estimators: [naive, ips]
parameters: {naive: {epochs: 2, hidden: [4]}}
grant: [propensity]
downstream: {kls: [0.1], ns: [2]}
protocols:
- {name: mine}
worlds:
- preset: exclusive
  name: small
  responses: {n_features: 2, responses_per_prompt: 4}
  reward: {base_rate: 0.5}
  channel: {action_rate: 0.3}
"""
ESTIMATOR = """\
from simbench import Estimator
from simbench.training.losses import cross_entropy


class Mine(Estimator):
    epochs: int = 2

    def reward_loss(self, out, batch):
        return cross_entropy(out.reward, batch.feedback)
"""
FIGURE = """\
from matplotlib.figure import Figure

shows, needs = "nothing", "any study"


def draw(table):
    return Figure()
"""


def make(folder: Path) -> None:
    """Write the inputs into a folder, with simbench's own commands where they are its outputs."""
    rng = np.random.default_rng(0)
    log = pd.DataFrame({f"emb_{k}": rng.normal(size=ROWS).round(3) for k in range(WIDTH)})
    log.insert(0, "clicked", rng.integers(0, 2, ROWS))
    log.insert(0, "prompt_id", [f"p{k // 4}" for k in range(ROWS)])
    log["activity"] = rng.normal(size=ROWS).round(3)
    log["copied"] = rng.integers(0, 2, ROWS)
    log["label"] = pd.array([1, 0, *[None] * (ROWS - 2)], dtype="Int64")
    log["propensity"] = rng.uniform(0.2, 0.9, ROWS).round(3)
    log["prompt"] = [f"question {k // 4}" for k in range(ROWS)]
    log["response"] = [f"answer {k} of {'many words ' * (k % 5)}" for k in range(ROWS)]
    log["rating"] = rng.integers(0, 5, ROWS)
    log.to_csv(folder / "log.csv", index=False)
    log.to_parquet(folder / "log.parquet", index=False)
    log.to_json(folder / "log.jsonl", orient="records", lines=True)
    log.to_json(folder / "log.jsonl.gz", orient="records", lines=True)
    matrix = log[[f"emb_{k}" for k in range(WIDTH)]].to_numpy(np.float32)
    np.save(folder / "emb.npy", matrix)
    save_file({"embeddings": matrix}, folder / "emb.safetensors")
    (folder / "study.yaml").write_text(STUDY)
    (folder / "mine.py").write_text(ESTIMATOR)
    (folder / "picture.py").write_text(FIGURE)
    (folder / "empty.csv").write_text("")
    (folder / "empty").mkdir()
    outputs = [*OUTPUTS]
    if importlib.util.find_spec("transformers"):
        _make_encoder(folder / "bert")
        outputs += OF_TEXT
    for arguments in outputs:
        ended = call([place_in(folder, word) for word in arguments], PATIENT)
        assert ended.code == 0, (arguments, ended.err)
    assert json.loads((folder / "model" / "card.json").read_text())


FIT = ("--features", "col:emb_", "--estimator", "naive", "--parameter", "epochs=2")
SMALL = ("--size", "60", "--replicates", "1", "--features-dim", "2")
# what the commands themselves write; a word that begins with @ is a name in the folder
OUTPUTS: Sequence[Sequence[str]] = (
    ("fit", "@log.csv", *FIT, "--out", "@model"),
    (
        "run",
        "--worlds",
        "1",
        *SMALL,
        "--estimators",
        "oracle,naive",
        "--replicates",
        "2",
        "--out",
        "@results",
    ),
    ("repro", "--quick", "--only", "risk", "--out", "@repro"),
)


OF_TEXT: Sequence[Sequence[str]] = (
    ("embed", "@log.csv", "--model", "@bert", "--out", "@texts.safetensors"),
    ("finetune", "@log.csv", "--model", "@bert", "--estimator", "naive", "--epochs", "1", "--out", "@tuned"),
    ("fit", "@log.csv", "--features", "@texts.safetensors", *FIT[2:], "--out", "@linear"),
)


def _make_encoder(folder: Path) -> None:
    """Write the tiny encoder of the tests of language models."""
    path = Path(__file__).parents[1] / "reward" / "language" / "tiny.py"
    spec = importlib.util.spec_from_file_location("tiny_models", path)
    assert spec is not None and spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    tiny.make_bert(folder)


def place_in(folder: Path, word: str) -> str:
    """A word of a command line, with the names of the folder as paths."""
    return str(folder / word[1:]) if word.startswith("@") else word
