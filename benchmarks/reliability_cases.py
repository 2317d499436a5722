"""The commands that ``reliability.py`` breaks off: their arguments, and what a finished one has written."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.numpy import load_file

COMMAND = (sys.executable, "-m", "simbench")
TINY_MODELS = Path(__file__).parents[1] / "tests" / "reward" / "language"
TIMES = ("seconds", "created", "tokens_per_second")  # of a card: no two runs agree on them

Pieces = dict[str, str]  # what is there of a command's output: a name, and a hash of what decides it


@dataclass(frozen=True)
class Case:
    """One command.

    Parameters
    ----------
    name : str
    arguments : callable
        ``arguments(out)``: those of the command line, without the program.
    pieces : callable
        ``pieces(out)``: every file that is there under its final name, which must be whole.
    own_session : bool
        Whether all that it starts is its own to end; a Ray cluster's workers are not.
    forks : bool
        Whether it may be forked from a process that has imported the libraries; it must not start workers.
    suffix : str
        Of the output's name.
    kilobytes : int
        Room that the output does not fit in.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    pieces: Callable[[Path], Pieces]
    own_session: bool = True
    forks: bool = True
    suffix: str = ""
    kilobytes: int = 300

    def command(self, out: Path) -> list[str]:
        """The command line that writes to this place."""
        return [*COMMAND, *self.arguments(out)]


def digest(content: bytes | str) -> str:
    """Short hash of some content."""
    whole = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(whole).hexdigest()[:16]


def of_study(out: Path) -> Pieces:
    """Predictions of every finished cell, and the table without its times."""
    found = {}
    for path in sorted(out.glob("**/*.safetensors")):
        found[path.name] = digest(load_file(path)["predictions"].tobytes())
    for path in sorted(out.glob("**/results.parquet")):
        table = pd.read_parquet(path)
        found[str(path.relative_to(out))] = digest(table.drop(columns="seconds", errors="ignore").to_csv())
    for path in sorted(out.glob("**/study.json")):
        json.loads(path.read_text())
    return found


def of_reproduction(out: Path) -> Pieces:
    """As of a study, and the measured values of the document."""
    values = out / "paper_repro.json"
    if not values.exists():
        return of_study(out)
    return of_study(out) | {"values": digest(json.dumps(_without_times(json.loads(values.read_text()))))}


def of_model(out: Path) -> Pieces:
    """Weights and card of a fitted reward; a folder of transformers beside it is of the same weights."""
    card = out / "card.json"
    if not card.exists():  # without a card there is no model
        return {}
    content = json.loads(card.read_text())
    found = {"card": digest(json.dumps(_without_times(content), sort_keys=True))}
    for path in sorted(out.glob("**/*.safetensors")):
        found[str(path.relative_to(out))] = digest(path.read_bytes())
    return found


def of_embeddings(out: Path) -> Pieces:
    """The matrix, and its card."""
    card = out.with_suffix(".card.json")
    found = {"card": digest(card.read_bytes())} if card.exists() else {}
    return found | ({"embeddings": digest(load_file(out)["embeddings"].tobytes())} if out.exists() else {})


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(one) for name, one in value.items() if name not in TIMES}
    return [_without_times(one) for one in value] if isinstance(value, list) else value


def study(*more: str) -> Callable[[Path], list[str]]:
    """A study of a dozen small cells."""
    names = "oracle,naive,ips,upu,implicitrm,sklearn:LogisticRegression"
    grid = ["--estimators", names, "--bias-level", "0.5,0.8", "--size", "1000", "--replicates", "6"]
    return lambda out: ["run", *grid, *more, "--out", str(out)]


def cases(inputs: Path, ray_address: str | None = None) -> dict[str, Case]:
    """All cases by name, on the files of a folder that :func:`write_inputs` filled."""
    log, texts, model = str(inputs / "log.parquet"), inputs / "texts.parquet", str(inputs / "llama")
    fit = ["--features", "col:emb_", "--groups", "prompt_id"]
    tuned = ["--feedback", "clicked", "--groups", "prompt", "--epochs", "2", "--batch-size", "8"]
    often = ["--checkpoint-steps", "3"]
    steps = ["--quick", "--only", "risk,efficiency"]
    found = [
        Case("run", study(), of_study, kilobytes=2000),
        Case("run --jobs 2", study("--jobs", "2"), of_study, forks=False),
        Case("fit", lambda out: ["fit", log, *fit, "--out", str(out)], of_model, kilobytes=20),
        Case(
            "embed",
            lambda out: ["embed", str(inputs / "many.parquet"), "--model", model, "--out", str(out)],
            of_embeddings,
            suffix=".safetensors",
        ),
        Case(
            "finetune",
            lambda out: ["finetune", str(texts), "--model", model, *tuned, *often, "--out", str(out)],
            of_model,
        ),
        Case("repro", lambda out: ["repro", *steps, "--out", str(out)], of_reproduction),
    ]
    if ray_address is not None:
        on_ray = study("--executor", "ray", "--ray-address", ray_address)
        found.append(Case("run --executor ray", on_ray, of_study, own_session=False, forks=False))
    return {case.name: case for case in found}


def write_inputs(folder: Path, simulate: Callable[[list[str]], object]) -> None:
    """Write a log of features, logs of texts, and a language model of two layers with random weights."""
    if (folder / "many.parquet").exists():
        return
    sys.path.insert(0, str(TINY_MODELS))
    from tiny import make_llama, text_log  # needs transformers, which the other cases do not

    folder.mkdir(parents=True, exist_ok=True)
    simulate(["simulate", "--out", str(folder / "log.parquet"), "--size", "6000", "--seed", "0"])
    make_llama(folder / "llama")
    text_log(folder / "texts.parquet", 160)
    text_log(folder / "many.parquet", 3000)
