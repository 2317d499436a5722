"""Fine-tuned reward models on disk: a transformers folder, auxiliary heads, and a JSON card; never a pickle.

``MODEL/reward`` is what transformers loads. ``MODEL/auxiliary.safetensors`` holds the heads that only
training needs, such as a propensity. ``MODEL/card.json`` is written last: without it there is no model.
"""

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.files.checksum import file_sha256
from simbench.files.write import write_json, write_whole
from simbench.reward.card import CARD, checked_card, estimator_of
from simbench.reward.language.card import FORMAT, LanguageCard
from simbench.reward.language.reward_networks import RewardModelParts, read_reward_model
from simbench.reward.language.tokens import Tokens
from simbench.reward.language.transformers_folder import write_folder
from simbench.reward.model import is_language_folder
from simbench.training.device import usable_device

REWARD, AUXILIARY, KIND = "reward", "auxiliary.safetensors", "language"


@dataclass(frozen=True)
class LanguageReward:
    """A reward model that reads text.

    Parameters
    ----------
    parts : RewardModelParts
    estimator : Estimator
        The estimator whose link turns logits into rewards.
    calibration : Tensor, shape (1, 1), or None
        Constant that the link needs, if it does.
    card : dict
        What it was trained on, what it was told, versions, hashes.
    auxiliary : dict of Tensor
        Weights of the heads that only training needs.
    """

    parts: RewardModelParts
    estimator: Estimator
    calibration: Tensor | None
    card: dict[str, Any]
    auxiliary: dict[str, Tensor]

    def logits(self, tokens: Tokens, batch_size: int = 32) -> np.ndarray:
        """Reward logits of n texts, shape (n,), float64; the batch size changes only their rounding."""
        order = np.argsort([-len(ids) for ids in tokens.ids], kind="stable")
        found = np.empty(len(order))
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch = self.parts.encoder.pad([tokens.ids[row] for row in rows])
                found[rows] = self.parts.logits(batch).double().cpu().numpy()
        return found

    def predict_reward(self, tokens: Tokens) -> np.ndarray:
        """Rewards ``γ̂`` of n texts, shape (n,), float64, in [0, 1]."""
        logits = torch.as_tensor(self.logits(tokens))[None]
        calibration = None if self.calibration is None else self.calibration.double().cpu()
        return self.estimator.link(logits, calibration)[0].numpy()

    def save(self, folder: Path) -> None:
        """Write the weights, then the card that holds their hashes: without a card there is no model."""
        (folder / CARD).unlink(missing_ok=True)
        write_folder(self.parts, folder / REWARD, self.card)
        content = save({name: value.contiguous() for name, value in self.auxiliary.items()})
        write_whole(folder / AUXILIARY, lambda to: to.write_bytes(content))
        hashes = {AUXILIARY: hashlib.sha256(content).hexdigest(), **_hashes(folder / REWARD)}
        write_json(folder / CARD, {"format": FORMAT, "kind": KIND, **self.card, "sha256": hashes})


def load_language_model(folder: str | Path, device: str = "cpu", trust_code: bool = False) -> LanguageReward:
    """Read a model that :meth:`LanguageReward.save` wrote, in fp32 and without its auxiliary heads.

    Parameters
    ----------
    folder : str or Path
    device : str
    trust_code : bool
        Whether an estimator that no installed package registers may be imported, which runs its code.

    Raises
    ------
    BadInput
        If it is missing, damaged, of another format, or of an estimator that may not be imported.
    """
    folder = Path(folder)
    if not is_language_folder(folder):
        raise BadInput(f"{folder} holds no fine-tuned language model: make one with simbench finetune.")
    card = checked_card(folder, LanguageCard, FORMAT)
    estimator = estimator_of(card, folder, trust_code)
    found = {**_hashes(folder / REWARD), AUXILIARY: _hash(folder / AUXILIARY)}
    wrong = sorted(name for name in found | card.sha256 if found.get(name) != card.sha256.get(name))
    if wrong:
        raise BadInput(f"the model in {folder} is damaged: {wrong[0]} is not what its card says.")
    parts = read_reward_model(folder / REWARD, card.encoder.pooling, card.encoder.max_tokens)
    if not all(bool(torch.isfinite(values).all()) for values in parts.model.parameters()):
        raise BadInput(f"the model in {folder} is damaged: it has weights that are not finite.")
    calibrates = type(estimator).calibration is not Estimator.calibration
    if calibrates == (card.link.c is None):
        raise BadInput(f"the model in {folder} is damaged: its card and its estimator differ on link.c.")
    parts.model.to(usable_device(device))
    c = card.link.c
    calibration = None if c is None else torch.full((1, 1), c, dtype=torch.float64)
    kept = card.model_dump(mode="json", exclude={"format", "kind", "sha256"})
    return LanguageReward(parts, estimator, calibration, kept, {})


def link_of(estimator: Estimator, calibration: Tensor | None) -> dict[str, Any]:
    """How a logit becomes a reward, for a card.

    Returns
    -------
    dict
        ``formula``: in the syntax of NumPy, of the logit ``s`` and the constant ``c``; None if the logit only
        ranks, or the link has no formula. ``c``: the calibration, or None.
    """
    formula: str | None = estimator.link_formula
    if type(estimator).link is not Estimator.link and formula == Estimator.link_formula:
        formula = None  # a link of its own that nobody wrote down
    if estimator.ranks_only:
        formula = None
    return {"formula": formula, "c": None if calibration is None else float(calibration)}


def versions() -> dict[str, str]:
    """Versions of what made the model, by name."""
    packages = ("torch", "transformers", "accelerate", "numpy")
    own = {"simbench": VERSION, "python": platform.python_version()}
    return {**own, **{package: version(package) for package in packages}}


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
    return {f"{REWARD}/{file.name}": _hash(file) for file in files}


def _hash(file: Path) -> str:
    return file_sha256(file) if file.exists() else ""
