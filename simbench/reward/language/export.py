"""Exports reward models in the form that transformers and TRL load: ``hf``, or ``hf-code`` with a code file.

A fine-tuned native classifier has the form ``hf`` already. A head on frozen embeddings fits it only if the
architecture's own classifier can express the same function: a linear head on the last token of a causal model
(``score``), or on the first token of a BERT (its pooler made linear). Anything else needs ``hf-code``.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from simbench.errors import BadInput
from simbench.estimator.registry import configured
from simbench.files.write import write_whole
from simbench.reward.card import CardEmbedding, sentence
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.model import link_of, load_language_model
from simbench.reward.language.model_card import model_card
from simbench.reward.language.reward_networks import (
    RewardModelParts,
    base_of,
    load_reward_model,
    pooled_reward,
    with_pad_token,
)
from simbench.reward.language.transformers_folder import reads_right_padding_only, write_folder
from simbench.reward.model import RewardModel, is_language_folder, load_model

EPSILON = 2.0**-12  # pooler's scale: tanh(εh) is εh to the rounding of fp32 for states as large as 8
FINAL_NORMS = ("ln_f", "final_layer_norm", "final_layernorm", "norm")
WITH_CODE = "native with code"
CODE_INSTEAD = "export it with --to hf-code"
PROBES = ("A short answer.", "Because it is, and so it was before: why not, then?", "No.")


@dataclass(frozen=True)
class Head:
    """A fitted reward head on pooled states.

    Parameters
    ----------
    weights, biases : list of ndarray
        Those of each layer, shapes (fan_out, fan_in) and (fan_out,), float32; the first reads embeddings as
        they are, because it holds their standardisation too.
    encoder : dict
        Facts about the encoder, from the card of the embeddings.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    encoder: dict[str, Any]

    @property
    def hidden(self) -> list[int]:
        """Widths of the hidden layers; empty for a linear head."""
        return [len(bias) for bias in self.biases[:-1]]


def export(
    model: Path,
    folder: Path,
    to: str,
    *,
    allow_shift: bool = False,
    diagnosis: str | None = None,
    trust_code: bool = False,
) -> float:
    """Export a model to a folder: weights, tokenizer, template, model card, and code for ``hf-code``.

    Parameters
    ----------
    model : Path
        Folder of ``simbench finetune``, or of ``simbench fit`` on embeddings that have a card.
    folder : Path
        Where to write.
    to : {"hf", "hf-code"}
    allow_shift : bool
        Leave out a bias that the architecture's classifier cannot hold, which changes no order of responses.
    diagnosis : str, optional
        What ``simbench diagnose`` printed, for the model card.
    trust_code : bool
        Whether an estimator that no installed package registers may be imported.

    Returns
    -------
    float
        The bias that was left out: simbench's logit less the exported one.

    Raises
    ------
    BadInput
        If the model does not fit the form, or its encoder cannot be found.
    """
    shift = 0.0
    if is_language_folder(model):
        fitted = load_language_model(model, trust_code=trust_code)
        parts, card = fitted.parts, fitted.card
        if to == "hf" and parts.pooling != "native":
            raise BadInput(
                f"the model pools with {parts.pooling}, which the classifier of its architecture does not: "
                f"{CODE_INSTEAD}, or fine-tune with --pooling native."
            )
        if to == "hf-code" and parts.pooling == "native":
            parts = with_own_code(parts)
    else:
        fitted = load_model(model, trust_code)
        head, card = head_of(fitted), card_of(fitted)
        parts = with_code(head) if to == "hf-code" else None
        if parts is None:
            parts, shift = plain(head, allow_shift)
        _prove(parts, head, shift)
    one_side = to == "hf" and reads_right_padding_only(parts)
    facts = {**card, "shift": shift, "padding": "right" if one_side else "either"}
    write_folder(parts, folder, facts)
    page = model_card(facts, parts, to, diagnosis)
    write_whole(folder / "README.md", lambda file: file.write_text(page, "utf-8"))
    return shift


def head_of(fitted: RewardModel) -> Head:
    """The reward head of a model fitted on embeddings.

    Raises
    ------
    BadInput
        If its features were not made by ``simbench embed``, or the card does not say how.
    """
    encoder = fitted.card["features"].get("encoder")
    if encoder is None:
        raise BadInput(
            "the model was fitted on features of unknown origin: embed the texts with simbench embed (its "
            "card lies beside the features), fit again, and export."
        )
    try:
        CardEmbedding.model_validate(encoder)
    except ValidationError as error:
        raise BadInput(
            f"the model's card does not say how its features were embedded: encoder.{sentence(error)}: embed "
            "and fit again."
        ) from error
    network, stacked = next((n, s) for n, s in fitted.fitted.networks.items() if "reward" in n.heads)
    weights, biases = stacked.layers_of(fitted.row)
    output = network.heads.index("reward")
    weights[-1], biases[-1] = weights[-1][[output]], biases[-1][[output]]
    weights[0], biases[0] = _on_raw_features(weights[0], biases[0], fitted.card["features"])
    return Head(weights, biases, encoder)


def _on_raw_features(
    weight: np.ndarray, bias: np.ndarray, described: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """A layer on standardised features as one on raw ones: ``W s (x - m) + b = (W s) x + (b - W s m)``."""
    scaled = weight.astype(float) * np.array(described["scale"])
    shifted = bias - scaled @ np.array(described["mean"])
    return scaled.astype(np.float32), shifted.astype(np.float32)


def card_of(fitted: RewardModel) -> dict[str, Any]:
    """The card of a model fitted on embeddings, with the link that a fine-tuned model's card has."""
    parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in fitted.card["parameters"].items()}
    estimator = configured(fitted.card["estimator"], {**parameters, "device": "cpu"})
    calibration = fitted.fitted.calibration
    own = None if calibration is None else calibration[fitted.row]
    return {**fitted.card, "link": link_of(estimator, own)}


def with_code(head: Head) -> RewardModelParts:
    """Encoder and head as a model that carries its own code."""
    encoder = _encoder_of(head)
    described = {"hidden": head.hidden, "normalise": head.encoder["normalised"]}
    model = pooled_reward(encoder.model, encoder.pooling, **described).eval()
    layers = [layer for layer in model.head if isinstance(layer, nn.Linear)]
    for layer, weight, bias in zip(layers, head.weights, head.biases, strict=True):
        _set(layer.weight, weight)
        _set(layer.bias, bias)
    with_pad_token(model, encoder.tokenizer)
    return RewardModelParts(model, encoder, encoder.pooling)


def with_own_code(parts: RewardModelParts) -> RewardModelParts:
    """The architecture's own classifier in a model that carries code, and so pads and cuts as in training."""
    inner = parts.model
    model = pooled_reward(inner, "native", pad_token_id=inner.config.pad_token_id).eval()
    return RewardModelParts(model, parts.encoder, WITH_CODE)


def plain(head: Head, allow_shift: bool) -> tuple[RewardModelParts, float]:
    """Encoder and head as the architecture's own classifier.

    Parameters
    ----------
    head : Head
    allow_shift : bool
        Leave out a bias that the classifier cannot hold.

    Returns
    -------
    parts : RewardModelParts
    shift : float
        The bias that was left out.

    Raises
    ------
    BadInput
        If the classifier cannot express the head.
    """
    facts = head.encoder
    if head.hidden:
        raise BadInput(
            f"the head has hidden layers {head.hidden}, which no plain classifier has: {CODE_INSTEAD}, or "
            "fit a linear one (--parameter 'hidden=()')."
        )
    if facts["normalised"]:
        raise BadInput(
            f"the embeddings were scaled to length 1, which no plain classifier does: {CODE_INSTEAD}."
        )
    encoder = _encoder_of(head)
    parts = load_reward_model(facts["model"], max_tokens=facts["max_tokens"], revision=_revision(facts))
    parts = replace(parts, encoder=_with_base(encoder, parts))
    weight, bias = head.weights[0][0], float(head.biases[0][0])
    model, base = parts.model, base_of(parts.model)
    score, pooler = getattr(model, "score", None), getattr(base, "pooler", None)
    if isinstance(score, nn.Linear) and encoder.causal and encoder.pooling == "last":
        _set(score.weight, weight[None])
        return parts, _place_bias(score, base, weight, bias, allow_shift)
    classifier: Any = getattr(model, "classifier", None)
    dense: Any = getattr(pooler, "dense", None)
    is_tanh = isinstance(getattr(pooler, "activation", None), nn.Tanh)
    is_bert = is_tanh and isinstance(classifier, nn.Linear) and isinstance(dense, nn.Linear)
    if encoder.pooling == "cls" and is_bert:
        _set(dense.weight, np.eye(len(weight)) * EPSILON)
        _set(dense.bias, np.zeros(len(weight)))
        _set(classifier.weight, weight[None] / EPSILON)
        _set(classifier.bias, np.array([bias]))
        return parts, 0.0
    raise BadInput(
        f"a head on {encoder.pooling}-pooled states of a {base.config.model_type} is not what its own "
        f"classifier reads: {CODE_INSTEAD}."
    )


def _place_bias(score: nn.Linear, base: Any, weight: np.ndarray, bias: float, allow_shift: bool) -> float:
    """Put the bias into the classifier, or into the norm before it; else leave it out and return it.

    With a final LayerNorm ``n(h) + c``, the logit ``wᵀ(n(h) + c) + b`` is ``wᵀ(n(h) + c + b w / wᵀw)``.
    """
    if score.bias is not None:
        _set(score.bias, np.array([bias]))
        return 0.0
    norms = [
        getattr(part, name, None) for part in (base, getattr(base, "decoder", None)) for name in FINAL_NORMS
    ]
    norm = next((n for n in norms if isinstance(n, nn.LayerNorm) and n.bias is not None), None)
    square = float(weight.astype(float) @ weight.astype(float))
    if norm is not None and square > 0:
        with torch.no_grad():
            norm.bias.add_(torch.as_tensor(bias * weight.astype(float) / square, dtype=norm.bias.dtype))
        return 0.0
    if not allow_shift:
        raise BadInput(
            f"the classifier of {base.config.model_type} has no bias, and the head's is {bias:.4f}: say "
            f"--allow-shift (the order of responses is the same), or {CODE_INSTEAD}."
        )
    return bias


def _encoder_of(head: Head) -> TextEncoder:
    """The encoder that made the embeddings, in fp32.

    Raises
    ------
    BadInput
        If it cannot be found, or has changed since.
    """
    facts = head.encoder
    encoder = TextEncoder.load(
        facts["model"],
        pooling=facts["pooling"],
        dtype="fp32",
        max_tokens=facts["max_tokens"],
        revision=_revision(facts),
        truncation=facts.get("truncation", "prompt"),
    )
    if encoder.revision != facts["revision"]:
        raise BadInput(
            f"{facts['model']} is no longer the model that made the embeddings ({encoder.revision}, was "
            f"{facts['revision']}): embed again."
        )
    return encoder


def _revision(facts: dict[str, Any]) -> str | None:
    """The commit on the hub; None for a local folder, whose revision is a hash."""
    return None if facts["revision"].startswith("sha256:") else facts["revision"]


def _with_base(encoder: TextEncoder, parts: RewardModelParts) -> TextEncoder:
    """The classifier's own tokenizer (with its pad token) under the pooling that the head was fitted on."""
    own = parts.encoder
    own.pooling, own.truncation = encoder.pooling, encoder.truncation
    return own


def _prove(parts: RewardModelParts, head: Head, shift: float) -> None:
    """Compare the exported logits with those of the head, before anything is written."""
    encoder = _encoder_of(head)
    tokens = encoder.tokenise(list(PROBES))
    with torch.inference_mode():
        states = encoder.embed(encoder.pad(tokens.ids))
        if head.encoder["normalised"]:
            states = nn.functional.normalize(states, dim=-1)
        values: Tensor = states
        for place, (weight, bias) in enumerate(zip(head.weights, head.biases, strict=True)):
            values = values.clamp_min(0) if place else values
            values = values @ torch.as_tensor(weight).T + torch.as_tensor(bias)
        written = parts.logits(parts.encoder.pad(tokens.ids)) + shift
    gap = float((values[:, 0] - written).abs().max() / values.abs().max().clamp_min(1))
    if not gap < 1e-4:
        raise BadInput(f"the exported logits would differ from simbench's by {gap:.1e}: {CODE_INSTEAD}.")


def _set(parameter: Tensor, value: np.ndarray) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(np.ascontiguousarray(value), dtype=parameter.dtype))
