"""Loads transformers models and tokenizers by name or from a folder, with a clear message on failure."""

import hashlib
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simbench.errors import BadInput
from simbench.files.checksum import file_sha256
from simbench.files.network import hub_reachable

LONGEST = 2048  # tokens, where nothing shorter is said: long contexts are rarely meant for one response
MISSING = "language models need transformers: pip install 'simbench-rm[llm]'."


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded, and facts about it.

    Parameters
    ----------
    model : PreTrainedModel
    tokenizer : PreTrainedTokenizerBase
    revision : str
        Commit on the hub, or the hash of a local folder's configuration and weights.
    causal : bool
        Whether a token sees only those before it.
    own_pooling : str or None
        Pooling that the model's authors state, if they do.
    own_max_tokens : int
        Longest text that the model takes, at most :data:`LONGEST` tokens.
    """

    model: Any
    tokenizer: Any
    revision: str
    causal: bool
    own_pooling: str | None
    own_max_tokens: int


def load(
    name: str,
    *,
    dtype: Any,
    revision: str | None,
    gguf_file: str | None,
    kind: str = "AutoModel",
    **options: Any,
) -> Loaded:
    """Load a model and its tokenizer.

    Parameters
    ----------
    name : str
        Name on the Hugging Face hub, a folder, or a .gguf file.
    dtype : torch.dtype
    revision : str or None
        Branch, tag or commit on the hub.
    gguf_file : str or None
        A GGUF file of that folder or repository.
    kind : str
        Class of transformers that loads the model, by default the base without a head.
    **options
        Further arguments of ``from_pretrained``.

    Raises
    ------
    BadInput
        If transformers is missing, there is no such model, the hub cannot be reached, or a file be read.
    """
    try:
        import transformers
        from transformers import AutoTokenizer
    except ImportError as error:
        raise BadInput(MISSING) from error
    folder = Path(name)
    if folder.suffix == ".gguf" and gguf_file is None:
        name, gguf_file = str(folder.parent), folder.name
    local = Path(name).is_dir()
    _check_name(name, local, gguf_file)
    where: dict[str, Any] = {"revision": revision, "local_files_only": not local and not hub_reachable()}
    if gguf_file is not None:
        where["gguf_file"] = gguf_file
    with _quiet(transformers):
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, **where)
            model = getattr(transformers, kind).from_pretrained(name, dtype=dtype, **where, **options)
        except Exception as error:  # each library below raises its own; the first line says which file
            raise BadInput(_why(name, local, error)) from error
        where.pop("gguf_file", None)
        pooling, longest = _authors_choices(name, model.config, tokenizer, where)
    if kind == "AutoModel" and getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    commit = getattr(model.config, "_commit_hash", None)
    known = commit or (hash_of_folder(Path(name), gguf_file) if local else revision or "main")
    return Loaded(model.eval(), tokenizer, known, is_causal(model.config), pooling, longest)


def is_causal(config: Any) -> bool:
    """Whether a token sees only those before it.

    It does if transformers has a causal head for the type of model, and no masked one.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    masked = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not masked


def hash_of_folder(folder: Path, gguf_file: str | None) -> str:
    """The hash of a folder's configuration and weights, which tells two folders of one name apart."""
    if gguf_file is not None:
        files = [folder / gguf_file]
    else:
        files = sorted(f for kind in ("config.json", "*.safetensors", "*.bin") for f in folder.glob(kind))
    total = hashlib.sha256()
    for file in files:
        total.update(bytes.fromhex(file_sha256(file)))
    return f"sha256:{total.hexdigest()[:16]}"


def _check_name(name: str, local: bool, gguf_file: str | None) -> None:
    if local:
        if gguf_file is not None and not (Path(name) / gguf_file).is_file():
            raise BadInput(f"{Path(name) / gguf_file} does not exist: name a .gguf file of that folder.")
        if gguf_file is None and not (Path(name) / "config.json").is_file():
            raise BadInput(f"the folder {name} holds no config.json: it is no transformers model.")
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise BadInput(f"{name} does not exist: give a folder that holds a model, or a name on the hub.")


def _why(name: str, local: bool, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
    if isinstance(error, ImportError):
        return f"model {name} needs another package: {first}."
    if local:
        return f"the model in {name} cannot be loaded: {first}."
    if not hub_reachable():
        return (
            f"model {name} is not on this machine and the Hugging Face hub cannot be reached: "
            "give a folder that holds the model."
        )
    return f"model {name} cannot be loaded from the Hugging Face hub: {first}."


def _authors_choices(name: str, config: Any, tokenizer: Any, where: dict[str, Any]) -> tuple[str | None, int]:
    """The pooling that a sentence-transformers folder states, and the longest text that the model takes."""
    pooling = _json_of(name, "1_Pooling/config.json", where)
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
    modes["last"] = "pooling_mode_lasttoken"
    stated = next((mode for mode, key in modes.items() if pooling.get(key)), None)
    limits = [
        _json_of(name, "sentence_bert_config.json", where).get("max_seq_length"),
        getattr(config, "max_position_embeddings", None),
        tokenizer.model_max_length,
        LONGEST,
    ]
    return stated, min(limit for limit in limits if isinstance(limit, int) and limit > 0)


def _json_of(name: str, file: str, where: dict[str, Any]) -> dict[str, Any]:
    from transformers.utils.hub import cached_file

    # a plain model has no such file: None, and no error
    found = cached_file(
        name,
        file,
        **where,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return {} if found is None else json.loads(Path(found).read_text("utf-8"))


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Silence the progress bars of transformers, since the command shows its own progress.

    The bar over a GGUF file cannot be switched off: in a pipe it is swallowed, on a terminal it may be seen.
    """
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
