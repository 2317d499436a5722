"""What the commands on the user's own log do."""

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench.errors import BadInput
from simbench.files.write import write_whole
from simbench.log.encoding import raw_features
from simbench.log.rated_responses import read_frame
from simbench.log.user_log import LogColumns, read_log
from simbench.reward.model import CARD, fit_log, is_language_folder, load_model

SEVERAL = ("context", "signals", "negative_signals")
WRITERS = {
    ".parquet": lambda frame, to: frame.to_parquet(to, index=False),
    ".csv": lambda frame, to: frame.to_csv(to, index=False),
    ".jsonl": lambda frame, to: frame.to_json(to, orient="records", lines=True),
}


def fit(flags: dict[str, Any]) -> None:
    """``simbench fit``."""
    out: Path = flags["out"]
    if (out / CARD).exists() and not flags["force"]:
        raise BadInput(f"{out} holds a model already: choose another --out, or say --force.")
    parameters = {"seed": flags["seed"], **parameters_of(flags["parameter"])}
    model = fit_log(flags["log"], columns_of(flags), flags["estimator"], **parameters)
    model.save(out)
    log, told = model.card["log"], ", ".join(model.card["told"]) or "nothing"
    print(
        f"{flags['estimator']}, told {told}: {log['rows']:,} responses to {log['prompts']:,} prompts, "
        f"feedback rate {log['feedback_rate']:.3f}; held-out loss {model.card['held_out_loss']:.4f} "
        f"after {model.card['epochs']} epochs"
    )
    if model.card["warning"]:
        print(f"simbench: {model.card['warning']}", file=sys.stderr)
    print(f"model: {out}", file=sys.stderr)
    print("can it be believed? simbench diagnose", flags["log"], "...", file=sys.stderr)


def score(model: Path, responses: Path, features: str | None, out: Path) -> None:
    """``simbench score``."""
    write = WRITERS.get(out.suffix)
    if write is None:
        raise BadInput(f"{out} must end in {', '.join(WRITERS)}.")
    frame, reward = _rewards(model, responses, features)
    scored = frame.assign(reward=reward)
    write_whole(out, lambda to: write(scored, to))
    print(
        f"{len(reward):,} rewards, mean {reward.mean():.3f}, from {reward.min():.3f} to "
        f"{reward.max():.3f}: {out}"
    )


def _rewards(model: Path, responses: Path, features: str | None) -> tuple[pd.DataFrame, np.ndarray]:
    """The responses and their rewards, from text where the model is a language model."""
    if is_language_folder(model):
        if features is not None:
            raise BadInput(f"{model} reads text, not features: leave out --features.")
        from simbench.reward.language.finetune import frame_tokens
        from simbench.reward.language.model import load_language_model

        reader = load_language_model(model)
        frame = read_frame(responses)
        return frame, reader.predict_reward(frame_tokens(reader.parts, frame, responses, reader.card))
    fitted = load_model(model)
    if features is None:
        raise BadInput(f"{model} reads features: say --features.")
    frame = read_frame(responses)
    return frame, fitted.predict_reward(raw_features(features, frame, responses))


def diagnose(flags: dict[str, Any]) -> None:
    """``simbench diagnose``."""
    from simbench.reward.diagnosis.diagnose import diagnose as examine
    from simbench.reward.diagnosis.report import as_html, as_text

    log = read_log(flags["log"], columns_of(flags)).log
    found = examine(log, seed=flags["seed"], **parameters_of(flags["parameter"]))
    print(as_text(found))
    if flags["report"] is not None:
        page = as_html(found, flags["log"].name)
        write_whole(flags["report"], lambda to: to.write_text(page))
        print(f"report: {flags['report']}", file=sys.stderr)


def columns_of(flags: dict[str, Any]) -> LogColumns:
    """What the flags say about the log's columns."""
    names = [name for name in LogColumns.__dataclass_fields__ if name in flags]
    values = {name: flags[name] for name in names}
    for name in SEVERAL:
        parts = [part.strip() for text in values.get(name) or () for part in text.split(",")]
        values[name] = tuple(part for part in parts if part)
    return LogColumns(**values)


def parameters_of(given: list[str] | None) -> dict[str, Any]:
    """``["epochs=50", "hidden=(64,)"]`` -> values; a text that is no Python literal stays a text."""
    parameters = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--parameter must be NAME=VALUE, got {text!r}.")
        try:
            parameters[name.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parameters[name.strip()] = value
    return parameters
