"""Writes a reward model as a folder that transformers loads: weights, tokenizer, and code if it needs any."""

import os
import shutil
from pathlib import Path
from typing import Any

from simbench.errors import BadInput
from simbench.reward.language.reward_networks import RewardModelParts, base_of
from simbench.reward.language.template import add_plain_template

CODE = ("pooled_reward.py", "pooling.py")


def write_folder(parts: RewardModelParts, folder: Path, card: dict[str, Any]) -> None:
    """Write model, tokenizer and, for a :class:`PooledRewardModel`, its code; whole or not at all.

    Parameters
    ----------
    parts : RewardModelParts
    folder : Path
        Replaced if it exists.
    card : dict
        Card of the model; some of it is kept in the configuration, as ``config.simbench``.

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
    }
    add_plain_template(tokenizer)
    is_pooled = parts.pooling != "native"
    if is_pooled:
        config.encoder = base_of(model).config.to_dict()  # its vocabulary may have grown by a pad token
        module = CODE[0].removesuffix(".py")
        config.auto_map = {
            "AutoConfig": f"{module}.PooledRewardConfig",
            "AutoModelForSequenceClassification": f"{module}.PooledRewardModel",
        }
    tokenizer.model_max_length = parts.encoder.max_tokens
    if not parts.encoder.causal:
        tokenizer.padding_side = "right"  # these read the first token, which must not be padding
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
