"""``simbench export``: writes a reward model as a folder that transformers loads."""

import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simbench.cli.options import ForceOption, TrustCodeOption
from simbench.cli.printable import print
from simbench.errors import BadInput


class Target(StrEnum):
    """The form in which a model is written."""

    hf = "hf"
    hf_code = "hf-code"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Arguments of ``simbench export``."""

    model: Annotated[Path, typer.Argument(help="Folder that simbench fit or simbench finetune wrote.")]
    folder: Annotated[Path, typer.Argument(help="Folder to write.")]
    to: Annotated[
        Target,
        typer.Option(
            help="hf is loaded by plain transformers and TRL; hf-code holds any model, and is loaded with "
            "trust_remote_code."
        ),
    ] = Target.hf
    allow_shift: Annotated[
        bool,
        typer.Option("--allow-shift", help="Leave out a bias that the format cannot hold (default: refuse)."),
    ] = False
    diagnosis: Annotated[
        Path | None,
        typer.Option(help="File with what simbench diagnose printed, for the model card (default: none)."),
    ] = None
    trust_code: TrustCodeOption = False
    force: ForceOption = False


def export(options: ExportOptions) -> None:
    """Write a reward model as a folder that transformers loads, with tokenizer, template and model card."""
    folder = options.folder
    _check_folder(folder, options.force)
    told = None
    if options.diagnosis is not None:
        if not options.diagnosis.is_file():
            raise BadInput(
                f"{options.diagnosis} does not exist: keep what simbench diagnose prints in a file."
            )
        told = _text_of(options.diagnosis)
    from simbench.reward.language.export import export as write

    target = options.to.value
    given = {"allow_shift": options.allow_shift, "trust_code": options.trust_code}
    shift = write(options.model, folder, target, diagnosis=told, **given)
    code = ", trust_remote_code=True" if options.to is Target.hf_code else ""
    print(f"AutoModelForSequenceClassification.from_pretrained({str(folder)!r}{code})")
    if shift:
        print(
            f"simbench: the classifier has no bias: its logits are simbench's less {shift:.6g}.",
            file=sys.stderr,
        )
    if json.loads((folder / "config.json").read_text("utf-8"))["simbench"]["padding"] == "right":
        print(
            "simbench: pad texts on the right: plain transformers reads them differently behind padding on "
            "the left; --to hf-code pads on either side.",
            file=sys.stderr,
        )
    print(f"model card: {folder / 'README.md'}", file=sys.stderr)


def _text_of(diagnosis: Path) -> str:
    try:
        return diagnosis.read_text(encoding="utf-8")
    except ValueError as error:
        raise BadInput(f"{diagnosis} is no text: keep what simbench diagnose prints in a file.") from error


def _check_folder(folder: Path, force: bool) -> None:
    """Raise :class:`BadInput` if the folder holds something that must not be replaced."""
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        if not force:
            raise BadInput(f"{folder} is there already: choose another, or say --force.")
        if not (folder / "config.json").exists():
            raise BadInput(f"{folder} holds something else than a model: choose another folder.")
