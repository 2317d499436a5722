"""What the commands do that train a language model and export reward models."""

import shutil
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simbench.commands.language import text_warnings
from simbench.commands.log import columns_of, parameters_of
from simbench.errors import BadInput
from simbench.reward.language.settings import Settings
from simbench.reward.model import CARD


def finetune(flags: dict[str, Any]) -> None:
    """``simbench finetune``."""
    out: Path = flags["out"]
    if flags["force"]:
        (out / CARD).unlink(missing_ok=True)
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
    elif (out / CARD).exists():
        raise BadInput(f"{out} holds a model already: choose another --out, or say --force.")
    columns = columns_of({**flags, "features": "text"})
    parameters = {"seed": flags["seed"], **parameters_of(flags["parameter"])}
    try:
        settings = Settings(**{name: flags[name] for name in Settings.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise BadInput(f"--{name}: {first['msg'].lower()}, got {first['input']!r}.") from error
    # heavy: after what can be wrong with the flags was said
    from simbench.commands.progress import TrainingProgress
    from simbench.reward.language.finetune import finetune as train

    own = {name: flags[name] for name in ("text_column", "prompt_column")}
    with TrainingProgress() as progress:
        model = train(
            flags["log"], columns, flags["estimator"], settings, out, **own, progress=progress, **parameters
        )
    print(_summary(model.card))
    texts = model.card["log"]["texts"]
    for warning in text_warnings(texts, model.card["encoder"]["max_tokens"]):
        print(f"simbench: {warning}", file=sys.stderr)
    print(f"model: {out}; for transformers and TRL: simbench export {out} --to hf FOLDER", file=sys.stderr)


def _summary(card: dict[str, Any]) -> str:
    log, made, steps = card["log"], card["encoder"], card["steps"]
    how = f"adapter of rank {made['lora']}" if made["lora"] else "all weights"
    return (
        f"{card['estimator']}, told {', '.join(card['told']) or 'nothing'}, on {log['rows']:,} responses to "
        f"{log['prompts']:,} prompts, feedback rate {log['feedback_rate']:.3f}; "
        f"{made['parameters'] / 1e6:,.1f}M parameters, {how}; "
        f"held-out loss {card['held_out_loss']:.4f} after {steps['of_best']:,} of {steps['planned']:,} steps"
    )


def export(
    model: Path, folder: Path, to: str, *, allow_shift: bool, diagnosis: Path | None, force: bool
) -> None:
    """``simbench export``."""
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        if not force:
            raise BadInput(f"{folder} is there already: choose another, or say --force.")
        if not (folder / "config.json").exists():
            raise BadInput(f"{folder} holds something else than a model: choose another folder.")
    told = None
    if diagnosis is not None:
        if not diagnosis.is_file():
            raise BadInput(f"{diagnosis} does not exist: keep what simbench diagnose prints in a file.")
        told = diagnosis.read_text()
    from simbench.reward.language.export import export as write

    shift = write(model, folder, to, allow_shift=allow_shift, diagnosis=told)
    code = ", trust_remote_code=True" if to == "hf-code" else ""
    print(f"AutoModelForSequenceClassification.from_pretrained({str(folder)!r}{code})")
    if shift:
        print(
            f"simbench: the classifier has no bias: its logits are simbench's less {shift:.6g}.",
            file=sys.stderr,
        )
    print(f"model card: {folder / 'README.md'}", file=sys.stderr)
