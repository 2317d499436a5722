"""Writes the model card of an exported reward model: what it is, what it was told, whether to believe it."""

from pathlib import Path
from typing import Any

import yaml

from simbench.estimator.registry import find
from simbench.reward.language.reward_networks import RewardModelParts

UNEXAMINED = (
    "Nobody examined whether this log identifies the reward: run `simbench diagnose` on the same log, and "
    "export with `--diagnosis FILE`. A low held-out loss says that clicks are predicted, not that the reward "
    "is right: feedback shows only the product of reward and propensity."
)


def model_card(card: dict[str, Any], parts: RewardModelParts, to: str, diagnosis: str | None) -> str:
    """The model card in Markdown, with the front matter of the Hugging Face hub.

    Parameters
    ----------
    card : dict
        Card of the model; its ``shift`` is the bias that the export left out.
    parts : RewardModelParts
    to : {"hf", "hf-code"}
    diagnosis : str or None
        What ``simbench diagnose`` printed.
    """
    facts = card.get("encoder") or card["features"]["encoder"]
    base = facts["model"]
    is_local = Path(base).exists()
    front: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["reward-model", "implicit-feedback", "simbench"],
    }
    if not is_local:
        front["base_model"] = base
    sections = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        "# Reward model from implicit feedback",
        _what(card, Path(base).name if is_local else base, facts),
        "## What it was told\n\n" + _told(card),
        "## From logit to reward\n\n" + _link(card),
        "## Use\n\n" + _use(card, parts, to, facts["max_tokens"]),
        "## Can it be believed?\n\n" + _belief(card, diagnosis),
        "## Versions\n\n" + ", ".join(f"{name} {number}" for name, number in card["versions"].items()),
    ]
    return "\n\n".join(sections) + "\n"


def _what(card: dict[str, Any], base: str, facts: dict[str, Any]) -> str:
    kind = find(card["estimator"])
    how = "the encoder was trained itself" if "settings" in card else "a head on frozen embeddings"
    if facts.get("lora"):
        how = f"the encoder was trained by an adapter of rank {facts['lora']}, merged here"
    return (
        f"Estimator `{card['estimator']}` of simbench ({kind.source}) on `{base}`, revision "
        f"`{facts['revision']}`: {how}; pooling {facts['pooling']}, at most {facts['max_tokens']} tokens.\n\n"
        f"It assumes: {kind.assumption}."
    )


def _told(card: dict[str, Any]) -> str:
    log = card["log"]
    texts = log.get("texts")
    cut = f" {texts['cut']:,} texts were longer and cut." if texts else ""
    return (
        f"Feedback `{log['feedback']}` on {log['rows']:,} responses to {log['prompts']:,} prompts, rate "
        f"{log['feedback_rate']:.3f} (file `{log['file']}`, SHA-256 `{log['sha256'][:16]}`).{cut} Besides: "
        f"{', '.join(card['told']) or 'nothing'}.\n\n"
        f"Loss on held-out *feedback*: {card['held_out_loss']:.4f}. No truth was seen."
    )


def _link(card: dict[str, Any]) -> str:
    link, shift = card["link"], card.get("shift", 0.0)
    if link["formula"] is None:
        text = "The logit ranks responses; it is no probability."
    else:
        calibration = "" if link["c"] is None else f", `c = {link['c']:.8g}`"
        text = (
            f"The reward is `{link['formula']}` of the logit `s`{calibration}. `config.simbench` has it too."
        )
    if shift:
        text += (
            "\n\nThe architecture's classifier has no bias: "
            f"**`s` is the model's logit plus {shift:.8g}**. The order of responses needs no correction."
        )
    return text


def _use(card: dict[str, Any], parts: RewardModelParts, to: str, longest: int) -> str:
    trust = ", trust_remote_code=True" if to == "hf-code" else ""
    own = parts.encoder.tokenizer.chat_template is not None
    text = "the chat template" if own else "prompt, blank line, response"
    if to == "hf-code":
        return (
            "```python\nfrom transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
            f"model = AutoModelForSequenceClassification.from_pretrained(FOLDER{trust})\n"
            f"tokenizer = AutoTokenizer.from_pretrained(FOLDER{trust})\n"
            "logits = model(**model.inputs_of(tokenizer, responses, prompts)).logits\n```\n\n"
            f"`inputs_of` writes texts by {text} and cuts those of more than {longest} tokens as training "
            "did: the end of the prompt and the beginning of the response are kept. A batch that holds a "
            "longer text is refused. Texts may be padded on either side."
        )
    right_only = card.get("padding", "either" if parts.encoder.causal else "right") == "right"
    side = " Pad on the right: padding on the left changes its logits." if right_only else ""
    return (
        "```python\nfrom transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
        f"model = AutoModelForSequenceClassification.from_pretrained(FOLDER{trust})\n"
        f"tokenizer = AutoTokenizer.from_pretrained(FOLDER{trust})\n```\n\n"
        f"Text is written by {text}.{side} It was trained on at most {longest} tokens: of longer texts, "
        "training kept the end of the prompt and the beginning of the response. Plain transformers runs no "
        "code that would do so: keep texts shorter, or export with `--to hf-code`, which cuts alike, refuses "
        "what is longer, and pads on either side."
    )


def _belief(card: dict[str, Any], diagnosis: str | None) -> str:
    parts = [f"Warning of the fit: {card['warning']}"] if card.get("warning") else []
    parts.append(UNEXAMINED if diagnosis is None else f"```text\n{diagnosis.strip()}\n```")
    return "\n\n".join(parts)
