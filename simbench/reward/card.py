"""The card of a fitted reward, and how cards are read: every field checked, one sentence on what is wrong."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import configured, names
from simbench.log.encoding import ContextColumn

CARD = "card.json"
LARGEST = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Head = Annotated[str, Field(pattern=r"^(reward|propensity|imputation|signal:\d{1,3})$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of a card: nothing of another type, nothing unknown, no number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CardNetwork(Part):
    """One network: its heads, which matrix it reads, and how wide that is."""

    heads: tuple[Head, ...] = Field(min_length=1)
    inputs: Literal["features", "context"]
    width: Count


class CardEmbedding(Part):
    """How embeddings were made, from the card that ``simbench embed`` wrote beside them."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(min_length=1)
    revision: str
    pooling: Literal["mean", "cls", "last"]
    max_tokens: int = Field(ge=8, le=LARGEST)
    truncation: Literal["prompt", "end"] = "prompt"
    normalised: bool


class CardFeatures(Part):
    """Where the features came from, and how every column is standardised: ``(x - mean) * scale``."""

    source: str
    columns: tuple[str, ...] | None
    left_out: tuple[str, ...]
    width: Count
    mean: tuple[float, ...]
    scale: tuple[Annotated[float, Field(gt=0)], ...]
    encoder: dict[str, Any] | None  # what exports ask of it is in CardEmbedding

    @model_validator(mode="after")
    def _one_number_a_column(self) -> "CardFeatures":
        if not len(self.mean) == len(self.scale) == self.width:
            raise PydanticCustomError("width", "must have as many means and scales as its width says")
        if self.columns is not None and len(self.columns) not in (1, self.width):
            raise PydanticCustomError("columns", "must name as many columns as its width says")
        return self


class CardLog(Part):
    """What the reward was fitted on."""

    file: str
    sha256: str
    rows: Count
    prompts: Count
    feedback: str
    feedback_rate: float = Field(gt=0, lt=1)


class Card(Part):
    """The card of a reward on features, as :meth:`simbench.reward.model.RewardModel.save` writes it."""

    format: int
    estimator: str = Field(min_length=1)
    parameters: dict[str, Any]
    told: tuple[str, ...]
    warning: str | None
    row: int = Field(ge=0, le=LARGEST)
    held_out_loss: float
    epochs: Count
    networks: tuple[CardNetwork, ...] = Field(min_length=1)
    features: CardFeatures
    context: tuple[ContextColumn, ...]
    log: CardLog
    versions: dict[str, str]
    weights_sha256: Digest

    @model_validator(mode="after")
    def _parts_fit(self) -> "Card":
        heads = [head for network in self.networks for head in network.heads]
        if heads.count("reward") != 1 or len(set(heads)) < len(heads):
            raise PydanticCustomError("heads", "must have one network with a reward, and no head twice")
        own = sum(1 if column.kind == "number" else len(column.levels) for column in self.context)
        for network in self.networks:
            reads = own if network.inputs == "context" and self.context else self.features.width
            if network.width != reads:
                raise PydanticCustomError("width", "has a network that reads a matrix of another width")
        return self


Kind = TypeVar("Kind", bound=BaseModel)


def checked_card(folder: Path, kind: type[Kind], expected: int) -> Kind:
    """The card in a folder, checked.

    Parameters
    ----------
    folder : Path
    kind : type of BaseModel
        What the card must be; it has a field ``format``.
    expected : int
        The format that is read.

    Raises
    ------
    BadInput
        If it cannot be read, is of another format, or a field is missing, unknown or impossible.
    """
    try:
        content = (folder / CARD).read_bytes()
    except OSError as error:
        raise BadInput(f"the card {folder / CARD} cannot be read: {error.strerror or error}.") from error
    found = raw_card(content).get("format")
    if isinstance(found, int) and not isinstance(found, bool) and found != expected:
        raise BadInput(
            f"the model in {folder} is of format {str(found)[:20]}, this simbench reads {expected}: fit it "
            "again, or read it with the simbench that wrote it."
        )
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        what = sentence(error)
        raise BadInput(f"the model in {folder} is damaged: its card {what}: fit it again.") from error


def raw_card(content: bytes) -> dict[str, Any]:
    """What a card holds, not yet checked; empty if it is no JSON object."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def sentence(error: ValidationError) -> str:
    """What is wrong with the first field that is, without what it holds: that may be anything."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part)[:40] for part in first["loc"])
    said = first["msg"].replace("Input should", "must", 1).replace("greater than or equal to", "at least")
    said = {"missing": "is missing", "extra_forbidden": "is no field of a card"}.get(first["type"], said)
    if first["type"].startswith("json"):
        return "is no JSON" + (" of reasonable depth" if "recursion" in said else "")
    return f"{where} {said}".strip() if where else said


def estimator_of(card: Card | Any, folder: Path, trust_code: bool) -> Estimator:
    """The estimator that a card names, with its parameters.

    Parameters
    ----------
    card : Card, or another with ``estimator`` and ``parameters``
    folder : Path
        Where the card lies, for messages.
    trust_code : bool
        Whether a name that is not installed may be imported, which runs its code.

    Raises
    ------
    BadInput
        If there is no such estimator, it is not installed and may not be imported, or a parameter is wrong.
    """
    if not trust_code and card.estimator not in names():
        raise BadInput(
            f"the card of {folder} names the estimator {card.estimator[:80]!r}, which no installed package "
            "registers: reading the model would run code from elsewhere; install it, or say --trust-code."
        )
    parameters = {key: tuple(v) if isinstance(v, list) else v for key, v in card.parameters.items()}
    if "device" in parameters:
        parameters["device"] = "cpu"  # a model is read on the processor, wherever it was fitted
    try:
        return configured(card.estimator, parameters)
    except BadInput as error:
        raise BadInput(f"the model in {folder} cannot be read: {error}") from error
