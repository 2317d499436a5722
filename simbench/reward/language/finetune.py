"""Fine-tunes a language model as a reward on a log of texts, and writes the model with its card."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import configured
from simbench.files.tables.table import Table
from simbench.log.feedback import FeedbackLog
from simbench.log.possible import require_possible
from simbench.log.source import open_table
from simbench.log.user_log import LogColumns, log_of_table
from simbench.reward.language.checkpoint import Checkpoints
from simbench.reward.language.embed import MARKS, Texts, texts_of
from simbench.reward.language.model import LanguageReward, link_of, versions
from simbench.reward.language.reward_networks import (
    RewardModelParts,
    RewardNetworks,
    load_reward_model,
    with_lora,
)
from simbench.reward.language.settings import Settings
from simbench.reward.language.tokens import Tokens
from simbench.reward.language.training import EncoderTrainer, Silent, TrainingObserver
from simbench.training.device import usable_device

CHECKPOINT = "checkpoint"


def finetune(
    source: Any,
    columns: LogColumns,
    estimator: str,
    settings: Settings,
    out: str | Path,
    *,
    text_column: str | None = None,
    prompt_column: str | None = None,
    progress: TrainingObserver | None = None,
    **parameters: Any,
) -> LanguageReward:
    """Fine-tune an encoder on a log of texts and feedback, and write the model folder.

    If it is killed, the next call continues from the last checkpoint, to the same result.

    Parameters
    ----------
    source : str, Path, DataFrame, Table, or a table of Arrow or polars
        As :func:`simbench.log.source.open_table` opens it; its texts may be chat messages.
    columns : LogColumns
        Which column holds what. Its ``features`` are not read; without ``groups``, equal prompts are a group.
    estimator : str
        A name of ``simbench list estimators``, or ``package.module:Class``, with a pointwise loss.
    settings : Settings
    out : str or Path
        Folder to write the model to.
    text_column, prompt_column : str, optional
        As in :func:`simbench.reward.language.embed.texts_of`.
    progress : TrainingObserver, optional
    **parameters
        Hyper-parameters of the estimator. Only those of the loss, ``hidden`` (of auxiliary heads),
        ``validation_share`` and ``seed`` matter.

    Returns
    -------
    LanguageReward

    Raises
    ------
    BadInput
        If the log cannot be used, the estimator has no pointwise loss, or ``out`` holds another run.
    """
    out = Path(out)
    loss = pointwise(configured(estimator, parameters))
    usable_device(settings.device)
    table = open_table(source)
    texts = texts_of(table, text_column, prompt_column)
    if columns.groups is None and texts.prompts is not None:
        columns = replace(columns, groups=texts.source["prompt_column"])
    log, context = log_of_table(table, columns, np.zeros((len(table), 1), dtype=np.float32))
    require_possible(log, (columns.feedback, *columns.signals))
    loss.require(log)
    loss.require_read(log)
    if "context" not in loss.reads(log):
        log, context = replace(log, context=None), ()
    parts = load_reward_model(
        settings.model,
        pooling=settings.pooling,
        max_tokens=settings.max_tokens,
        revision=settings.revision,
        seed=loss.seed,
    )
    tokens = parts.encoder.tokenise(texts.responses, texts.prompts)
    log = _prepared(loss, log, parts, tokens)
    width = None if log.context is None else log.context.shape[1]
    size = sum(p.numel() for p in parts.model.parameters())
    rank = settings.rank(size)
    if rank:
        parts = replace(parts, model=with_lora(_at_rest(parts.model, settings), rank, loss.seed))
    hidden = getattr(loss, "hidden", ())
    networks = RewardNetworks(parts, loss.networks_for(log), hidden, width, loss.seed)
    described = {
        "estimator": estimator,
        "parameters": {key: _plain(value) for key, value in loss.get_params().items()},
        "settings": settings.model_dump(),
        "told": [name for name in columns.told() if name != "context" or context],
        "columns": {name: getattr(columns, name) for name in LogColumns.__dataclass_fields__},
        "log": _log_facts(table, columns, log, texts, tokens),
        "encoder": {**parts.encoder.describe(), "pooling": parts.pooling, "parameters": size, "lora": rank},
    }
    run = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()
    checkpoints = Checkpoints(out / CHECKPOINT, run)
    rates = (settings.rate(rank), settings.head_learning_rate)
    own = (loss, log, tokens.ids, networks, parts.encoder, settings, rates, checkpoints)
    trainer = EncoderTrainer(*own, Silent() if progress is None else progress)
    standing = trainer.run()
    calibration = trainer.calibration()
    card = {
        **described,
        "warning": None,
        "link": link_of(loss, calibration),
        "class_prior": None if log.class_prior is None else float(np.asarray(log.class_prior).ravel()[0]),
        "held_out_loss": standing.best_loss,
        "steps": {"of_best": standing.best_step, "trained": standing.step, "planned": trainer.total},
        "history": standing.history,
        "context": [column.model_dump() for column in context],
        "run": run,
        "versions": versions(),
    }
    merged = networks.model.float().merge_and_unload() if rank else networks.model
    whole = replace(parts, model=merged.eval())
    result = LanguageReward(whole, loss, calibration, card, dict(networks.auxiliary.state_dict()))
    result.save(out)
    checkpoints.forget()
    return result


def pointwise(estimator: Estimator) -> Estimator:
    """The estimator itself, if its loss can be trained on an encoder.

    Raises
    ------
    BadInput
        If it needs the truth, reads pairs, has no loss of its own, or asks for several fits.
    """
    name, kind = estimator.name, type(estimator)
    if "truth" in estimator.needs:
        raise BadInput(f"{name} needs the truth, which no log holds.")
    if estimator.reads_pairs:
        raise BadInput(f"{name} reads pairs of responses: choose an estimator with a pointwise loss.")
    if kind.reward_loss is Estimator.reward_loss and kind.objective is Estimator.objective:
        raise BadInput(f"{name} has no loss that an encoder could be trained with: choose another estimator.")
    if getattr(estimator, "restarts", 1) != 1:
        raise BadInput("an encoder is trained once, not from several starts: drop restarts, and vary --seed.")
    return estimator


def _prepared(loss: Estimator, log: FeedbackLog, parts: RewardModelParts, tokens: Tokens) -> FeedbackLog:
    """The log with what the estimator estimates before training.

    If that may read features, as to estimate a class prior, they are the embeddings of the encoder before it
    is trained.
    """
    if type(loss).prepare is Estimator.prepare:
        return log
    if log.class_prior is None and log.signals is None:
        log = replace(log, features=_embeddings(parts, tokens))
    return loss.prepare(log)


def _embeddings(parts: RewardModelParts, tokens: Tokens, batch_size: int = 32) -> np.ndarray:
    """Embeddings of the texts, shape (n, h), float32, scaled to a mean square of 1."""
    order = np.argsort([-len(ids) for ids in tokens.ids], kind="stable")
    matrix = np.empty((len(order), parts.encoder.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            matrix[rows] = parts.encoder.embed(parts.encoder.pad([tokens.ids[row] for row in rows])).cpu()
    return (matrix / np.sqrt(np.mean(matrix.astype(float) ** 2))).astype(np.float32)


def _at_rest(model: Any, settings: Settings) -> Any:
    """The model in bf16 if that is asked for: under an adapter its weights stay, and take half the memory."""
    return model.to(torch.bfloat16) if settings.mixed_precision == "bf16" else model


def _log_facts(
    table: Table, columns: LogColumns, log: FeedbackLog, texts: Texts, tokens: Tokens
) -> dict[str, Any]:
    marks = {name: int(getattr(tokens, name).sum()) for name in MARKS}
    return {
        "file": table.short_name,
        "sha256": table.sha256,
        "rows": log.n_rows,
        "prompts": len(np.unique(log.groups)),
        "feedback": columns.feedback,
        "feedback_rate": float(log.feedback.mean()),
        "texts": {**texts.source, **marks, "file": table.short_name, "tokens": sum(map(len, tokens.ids))},
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def table_tokens(parts: RewardModelParts, table: Table, card: dict[str, Any]) -> Tokens:
    """Tokens of the responses of a table, from the columns that the model was trained on.

    Parameters
    ----------
    parts : RewardModelParts
    table : Table
    card : dict
        Card of the model.
    """
    source = card["log"]["texts"]
    texts = texts_of(table, source["text_column"], source["prompt_column"] or "none")
    return parts.encoder.tokenise(texts.responses, texts.prompts)
