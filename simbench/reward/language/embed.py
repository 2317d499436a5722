"""Embeds the texts of a file: in shards that survive a kill, then in one file with its card."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.tables.table import Table
from simbench.files.tensor_file import write_blocks
from simbench.files.write import write_json, write_whole
from simbench.log.embedding_card import card_path, hash_of_texts, read_card
from simbench.log.messages import prompts_of, responses_of
from simbench.log.rated_responses import TEXTS, usual_column
from simbench.reward.language.batches import equal_width_batches
from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.unfinished import Unfinished, rows_done

PROMPT_TEXTS = ("prompt", "question", "instruction")
SHARD_ROWS = 1024  # long enough to find texts of one width
MARKS = ("cut", "response_cut", "lost", "empty", "not_text")

Advance = Callable[[int], None]  # so many more texts are done
TextObserver = Callable[[int, int], Advance]  # texts in all, texts that an earlier run has done


def silent(total: int, done: int) -> Advance:
    """A :data:`TextObserver` that shows nothing."""
    return lambda count: None


@dataclass(frozen=True)
class Texts:
    """The texts that are read from a file, and facts about their source.

    Parameters
    ----------
    responses : list of n
        What is no string is read as empty.
    prompts : list of n, or None
        The prompt of each response, if prompts are read.
    source : dict
        Facts for the card: file, columns, rows, hash.
    """

    responses: list[Any]
    prompts: list[Any] | None
    source: dict[str, Any]


def texts_of(table: Table, text_column: str | None, prompt_column: str | None) -> Texts:
    """The responses of a table and their prompts; chat messages are read as texts.

    Parameters
    ----------
    table : Table
    text_column, prompt_column : str or None
        None takes the first usual name that the table has; the prompt column ``none`` reads responses alone.

    Raises
    ------
    BadInput
        If a named column is missing, no column for the text is named and none has a usual name, or a prompt
        is missing.
    """
    text = usual_column(table, text_column, TEXTS, "text")
    if prompt_column is None:
        prompt_column = next((name for name in PROMPT_TEXTS if name in table), "none")
    prompts, name = None, None
    if prompt_column != "none":
        name = usual_column(table, prompt_column, (), "prompt")
        prompts = prompts_of(table, name)
    responses = responses_of(table, text, after_prompt=prompts is not None)
    source = {
        "file": table.name,
        "rows": len(table),
        "text_column": text,
        "prompt_column": name,
        "sha256": hash_of_texts(responses, prompts),
    }
    return Texts(responses.tolist(), None if prompts is None else prompts.tolist(), source)


def embed_texts(
    texts: Texts,
    encoder: TextEncoder,
    out: Path,
    *,
    batch_size: int,
    normalise: bool = False,
    progress: TextObserver = silent,
) -> dict[str, Any]:
    """Embed texts, and write ``out`` (key ``embeddings``, shape (n, h), float32, in order) and its card.

    Meanwhile ``OUT.parts`` holds finished shards, and what is done of the next, at most a minute old. If the
    run is killed, the next one computes the rest.

    Parameters
    ----------
    texts : Texts
    encoder : TextEncoder
    out : Path
        Must end in .safetensors.
    batch_size : int
        Number of texts that are embedded at a time; the embeddings do not depend on it.
    normalise : bool
        Scale every embedding to length 1.
    progress : TextObserver, optional

    Returns
    -------
    dict
        The card.

    Raises
    ------
    BadInput
        If ``out`` or its parts were made from other texts or by another model, a value is not finite,
        memory does not suffice, or the disk is full.
    """
    facts = {"input": texts.source, "encoder": {**encoder.describe(), "normalised": normalise}}
    done = _finished(out, facts)
    if done is not None:
        return done
    parts = out.with_name(f"{out.name}.parts")
    _claim(parts, facts)
    n = len(texts.responses)
    starts = range(0, n, SHARD_ROWS)
    missing = [start for start in starts if not _is_whole(_shard(parts, start))]
    left = sum(min(SHARD_ROWS, n - start) - rows_done(_begun(parts, start)) for start in missing)
    advance = progress(n, n - left)
    for start in missing:
        rows = slice(start, min(start + SHARD_ROWS, n))
        begun = Unfinished(_begun(parts, start), rows.stop - start, encoder.hidden_size)
        marks = _embed_rows(texts, rows, encoder, batch_size, begun, advance)
        matrix = begun.matrix
        if normalise:
            matrix /= np.linalg.norm(matrix, axis=1, keepdims=True).clip(1e-12)
        blob = save({"embeddings": matrix, **marks})
        write_whole(_shard(parts, start), lambda to, blob=blob: to.write_bytes(blob))
        begun.forget()
    return _assemble(parts, starts, out, (n, encoder.hidden_size), facts)


def _embed_rows(
    texts: Texts, rows: slice, encoder: TextEncoder, batch_size: int, begun: Unfinished, advance: Advance
) -> dict[str, np.ndarray]:
    """Embed those of some rows that are not done; returns what was marked about all of them."""
    prompts = None if texts.prompts is None else texts.prompts[rows]
    tokens = encoder.tokenise(texts.responses[rows], prompts)
    lengths = np.array([len(ids) for ids in tokens.ids])
    left = np.flatnonzero(~begun.done)
    with torch.inference_mode():
        for some, width in equal_width_batches(lengths[left], batch_size, encoder.max_tokens):
            batch = left[some]
            try:
                found = encoder.embed(encoder.pad([tokens.ids[row] for row in batch], width=width))
            except torch.OutOfMemoryError as error:
                raise BadInput(
                    f"a batch of {len(batch)} texts with {width} tokens does not fit in memory: lower "
                    "--batch-size or --max-tokens; finished shards are kept."
                ) from error
            begun.add(batch, found.cpu().numpy())
            advance(len(batch))
    if not np.isfinite(begun.matrix).all():
        row = rows.start + int(np.argwhere(~np.isfinite(begun.matrix))[0, 0])
        raise BadInput(f"the embedding of row {row} is not finite in {encoder.dtype}: try --dtype fp32.")
    marks = {name: getattr(tokens, name).astype(np.uint8) for name in MARKS}
    return {**marks, "tokens": lengths.astype(np.int32)}


def _finished(out: Path, facts: dict[str, Any]) -> dict[str, Any] | None:
    """The card of an output that is there already and is what would be made."""
    if out.suffix != ".safetensors":
        raise BadInput(f"{out} must end in .safetensors.")
    if not out.exists() or not card_path(out).exists():
        if out.exists() and not out.with_name(f"{out.name}.parts").exists():
            raise BadInput(f"{out} is there already, without a card: choose another --out, or delete it.")
        return None
    card = read_card(card_path(out))
    _check_same(card, facts, out)
    return card


def _claim(parts: Path, facts: dict[str, Any]) -> None:
    """Make the folder of shards, or see that the one there is of the same texts and model."""
    plan = parts / "plan.json"
    if plan.exists():
        _check_same(read_card(plan), facts, parts)
    else:
        write_json(plan, facts)


def _check_same(old: dict[str, Any], new: dict[str, Any], where: Path) -> None:
    for part, names in (("input", ("sha256",)), ("encoder", tuple(new["encoder"]))):
        for name in names:
            was, wanted = old[part].get(name), new[part][name]
            if was != wanted:
                what = "other texts" if part == "input" else f"{name} {was}, not {wanted}"
                raise BadInput(f"{where} was made with {what}: choose another --out, or delete it.")


def _shard(parts: Path, start: int) -> Path:
    return parts / f"rows-{start:010d}.safetensors"


def _begun(parts: Path, start: int) -> Path:
    return parts / f"begun-{start:010d}.safetensors"


def _is_whole(path: Path) -> bool:
    """Whether a shard can be opened: safetensors checks its length against the header."""
    try:
        with safe_open(path, framework="np"):
            return True
    except (OSError, SafetensorError):
        return False


def _assemble(
    parts: Path, starts: Iterable[int], out: Path, shape: tuple[int, int], facts: dict[str, Any]
) -> dict[str, Any]:
    """One file from the shards, one shard in memory at a time; the card last, so that it vouches for both."""
    totals = dict.fromkeys((*MARKS, "tokens"), 0)

    def blocks() -> Iterator[np.ndarray]:
        for start in starts:
            with safe_open(_shard(parts, start), framework="np") as shard:
                for name in totals:
                    totals[name] += int(shard.get_tensor(name).sum())
                yield shard.get_tensor("embeddings")

    write_whole(out, lambda to: write_blocks(to, "embeddings", blocks(), shape))
    versions = {name: version(name) for name in ("torch", "transformers")}
    card = {**facts, "texts": {"rows": shape[0], **totals}}
    card["versions"] = {"simbench-rm": VERSION, **versions}
    write_json(card_path(out), card)
    shutil.rmtree(parts)
    return card
