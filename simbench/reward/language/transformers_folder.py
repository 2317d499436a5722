"""Writes a reward model as a folder that transformers loads: weights, tokenizer, and code if it needs any."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from simbench.errors import BadInput
from simbench.reward.language.reward_networks import RewardModelParts, base_of
from simbench.reward.language.template import PROBE, add_plain_template

SAME = 1e-4  # difference of two logits up to which they are one
CODE = ("pooled_reward.py", "pooling.py", "tokens.py")


def reads_right_padding_only(parts: RewardModelParts) -> bool:
    """Whether the logit of a text changes where it is padded on the left, as plain transformers pads it."""
    encoder = parts.encoder
    ids = encoder.tokenise(list(PROBE)).ids
    logits = []
    for side in ("right", "left"):
        batch = encoder.pad(ids, side, max(map(len, ids)) + 3)
        batch.pop("position_ids", None)  # who pads on the left does not count positions
        with torch.inference_mode():
            logits.append(parts.logits(batch))
    return float((logits[0] - logits[1]).abs().max()) > SAME * max(1.0, float(logits[0].abs().max()))


def write_folder(parts: RewardModelParts, folder: Path, card: dict[str, Any]) -> None:
    """Write model, tokenizer and, for a :class:`PooledRewardModel`, its code; whole or not at all.

    Parameters
    ----------
    parts : RewardModelParts
    folder : Path
        Replaced if it exists.
    card : dict
        Card of the model; some of it is kept in the configuration, as ``config.simbench``. Its ``padding`` is
        "right" if the logits change where texts are padded on the left; by default it is "either".

    Raises
    ------
    BadInput
        If the folder cannot be written.
    """
    model, tokenizer = parts.model, parts.encoder.tokenizer
    config = model.config
    config.id2label, config.label2id = {0: "reward"}, {"reward": 0}
    config.problem_type = "regression"  # pipelines then report the logit as it is
    config.simbench = {
        **{key: card[key] for key in ("estimator", "told", "link")},
        "shift": card.get("shift", 0.0),
        "padding": card.get("padding", "either"),
    }
    add_plain_template(tokenizer)
    is_pooled = parts.pooling != "native"
    if is_pooled:
        config.encoder = base_of(model).config.to_dict()  # its vocabulary may have grown by a pad token
        config.max_tokens, config.truncation = parts.encoder.max_tokens, parts.encoder.truncation
        module = CODE[0].removesuffix(".py")
        config.auto_map = {
            "AutoConfig": f"{module}.PooledRewardConfig",
            "AutoModelForSequenceClassification": f"{module}.PooledRewardModel",
        }
    tokenizer.model_max_length = parts.encoder.max_tokens
    if config.simbench["padding"] == "right" or not parts.encoder.causal:
        tokenizer.padding_side = "right"
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if is_pooled:
            for name in CODE:
                shutil.copy(Path(__file__).with_name(name), temporary / name)
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
